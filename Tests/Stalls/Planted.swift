// The stalls that are planted: each cause a function of its own that the compiler may not inline, holding its loop up for
// about as long as it is asked to.

import Foundation
import Synchronization

enum Planted {
    static let sink = Atomic(0)

    @inline(never) static func plantedCompute(_ seconds: Double) {
        let end = Helper.processorTime() + seconds
        var value = 1.0
        while Helper.processorTime() < end { for _ in 0..<1000 { value = (value * 1.000001).squareRoot() + 1 } }
        sink.add(Int(value), ordering: .relaxed)
    }

    struct Order: Codable {
        var id: Int
        var name: String
        var tags: [String]
    }

    static let document: Data = {
        let orders = (0..<2000).map { Order(id: $0, name: "order \($0)", tags: ["a", "b", "c"]) }
        return (try? JSONEncoder().encode(orders)) ?? Data()
    }()

    @inline(never) static func plantedJSON(_ seconds: Double) {
        let end = Helper.processorTime() + seconds
        var count = 0
        while Helper.processorTime() < end {
            count += (try? JSONDecoder().decode([Order].self, from: document).count) ?? 0
        }
        sink.add(count, ordering: .relaxed)
    }

    static let pattern = try? NSRegularExpression(pattern: "^(a+)+$")

    @inline(never) static func plantedRegex(_ seconds: Double) {
        let end = Helper.processorTime() + seconds
        let text = String(repeating: "a", count: 16) + "b"
        var count = 0
        while Helper.processorTime() < end {
            count += pattern?.numberOfMatches(in: text, range: NSRange(location: 0, length: text.utf16.count)) ?? 0
        }
        sink.add(count, ordering: .relaxed)
    }

    @inline(never) static func plantedSort(_ seconds: Double) {
        let end = Helper.processorTime() + seconds
        var sum = 0
        while Helper.processorTime() < end {
            var numbers = (0..<20_000).map { ($0 &* 2_654_435_761) % 1_000_003 }
            numbers.sort()
            sum += numbers[0]
        }
        sink.add(sum, ordering: .relaxed)
    }

    @inline(never) static func plantedSleep(_ seconds: Double) {
        usleep(UInt32(seconds * 1e6))
        sink.add(1, ordering: .relaxed)
    }

    @inline(never) static func plantedRead(_ seconds: Double) {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { return }
        let (near, far) = (ends[0], ends[1])
        Helper.after(seconds) { _ = write(far, "x", 1) }
        var byte: UInt8 = 0
        sink.add(read(near, &byte, 1), ordering: .relaxed)
        close(near)
        close(far)
    }

    @inline(never) static func plantedReceive(_ seconds: Double) {
        var ends: [Int32] = [0, 0]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0 else { return }
        let (near, far) = (ends[0], ends[1])
        Helper.after(seconds) { _ = send(far, "x", 1, 0) }
        var byte: UInt8 = 0
        sink.add(recv(near, &byte, 1, 0), ordering: .relaxed)
        close(near)
        close(far)
    }

    @inline(never) static func plantedMutex(_ seconds: Double) {
        let lock = NSLock()
        Helper.holding(lock, seconds)
        lock.lock()
        lock.unlock()
        sink.add(1, ordering: .relaxed)
    }

    @inline(never) static func plantedSemaphore(_ seconds: Double) {
        let semaphore = DispatchSemaphore(value: 0)
        Helper.after(seconds) { semaphore.signal() }
        semaphore.wait()
        sink.add(1, ordering: .relaxed)
    }

    @inline(never) static func plantedQueueSync(_ seconds: Double) {
        let queue = DispatchQueue(label: "busy")
        let begun = DispatchSemaphore(value: 0)
        queue.async {
            begun.signal()
            usleep(UInt32(seconds * 1e6))
        }
        begun.wait()
        queue.sync { _ = sink.add(1, ordering: .relaxed) }
        sink.add(1, ordering: .relaxed)
    }

    /// Reads a file through its mapping after the kernel was told to forget it, backwards, so that nothing reads ahead.
    @inline(never) static func plantedPageFaults(_ seconds: Double) {
        let end = ContinuousClock.now + .seconds(seconds)
        guard let file = ColdFile.shared else { return }
        var sum = 0
        while ContinuousClock.now < end { sum += file.touch(until: end) }
        sink.add(sum, ordering: .relaxed)
    }

    nonisolated(unsafe) private static var raced = 0

    /// Two threads write one number, and nothing orders them.
    static func race() -> Never {
        for _ in 0..<2 {
            Helper.run { for _ in 0..<100_000 { raced &+= 1 } }
        }
        usleep(1_000_000)
        exit(raced > 0 ? 0 : 1)
    }

    /// Never comes back.
    @inline(never) static func plantedDeadlock(_: Double) {
        let first = NSLock()
        let second = NSLock()
        let isHeld = DispatchSemaphore(value: 0)
        first.lock()
        Helper.run { Helper.takeBoth(second, first, isHeld) }
        isHeld.wait()
        usleep(20_000)
        second.lock()
        sink.add(1, ordering: .relaxed)
    }
}

enum Helper {
    /// Of the calling thread, in seconds: on a crowded machine wall time would mostly be the scheduler's.
    static func processorTime() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    static func run(_ body: @escaping @Sendable () -> Void) { Thread(block: body).start() }

    static func after(_ seconds: Double, _ body: @escaping @Sendable () -> Void) {
        run {
            usleep(UInt32(seconds * 1e6))
            body()
        }
    }

    @inline(never) static func holding(_ lock: NSLock, _ seconds: Double) {
        let isHeld = DispatchSemaphore(value: 0)
        run {
            lock.lock()
            isHeld.signal()
            usleep(UInt32(seconds * 1e6))
            lock.unlock()
        }
        isHeld.wait()
    }

    @inline(never) static func takeBoth(_ first: NSLock, _ second: NSLock, _ isHeld: DispatchSemaphore) {
        first.lock()
        isHeld.signal()
        second.lock()
        second.unlock()
        first.unlock()
        Planted.sink.add(1, ordering: .relaxed)
    }
}

/// 192 MB on the disk that holds /var/tmp.
final class ColdFile: @unchecked Sendable {
    static let shared = ColdFile()
    private static let length = 192 << 20

    private let descriptor: Int32
    private let memory: UnsafeMutableRawPointer
    private var next = 0

    private init?() {
        var path = Array("/var/tmp/nightjar-cold.XXXXXX".utf8CString)
        descriptor = mkstemp(&path)
        guard descriptor >= 0 else { return nil }
        unlink(path)
        let block = [UInt8](repeating: 7, count: 1 << 20)
        for _ in 0..<Self.length >> 20 {
            guard write(descriptor, block, block.count) == block.count else { return nil }
        }
        fsync(descriptor)
        guard let memory = mmap(nil, Self.length, PROT_READ, MAP_SHARED, descriptor, 0), memory != MAP_FAILED else {
            return nil
        }
        self.memory = memory
        madvise(memory, Self.length, MADV_RANDOM)
    }

    func touch(until end: ContinuousClock.Instant) -> Int {
        madvise(memory, Self.length, MADV_DONTNEED)
        posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED)
        var sum = 0
        for _ in 0..<4096 {
            next = (next + 7_919) % (Self.length / 4096)
            sum += Int(memory.load(fromByteOffset: next * 4096, as: UInt8.self))
            if ContinuousClock.now >= end { break }
        }
        return sum
    }
}
