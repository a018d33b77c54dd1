import CNightjarProbe
import Dispatch
import Foundation
import NightjarSymbols
import NightjarWire
import Synchronization
import Testing

@testable import NightjarProbe

/// Real stalls on real queues in this process. One probe for all of them; each test looks at its own queue's lines.
@Suite(.serialized) struct StallTests {
    private static let lines = Mutex<[String]>([])
    private static let probe: Probe = {
        var settings = ProbeSettings()
        settings.stallThreshold = .milliseconds(100)
        settings.reportsPerMinute = 1000
        settings.socket = ""
        settings.watchesPool = false
        settings.report = { line in lines.withLock { $0.append(line) } }
        return Probe.start(service: "tests", settings: settings)
    }()

    /// Runs `work` on a watched queue of this name and waits for the line that tells of it.
    private func line(about name: String, _ work: @escaping @Sendable () -> Void) async -> String? {
        let queue = DispatchQueue(label: name)
        Self.probe.watch(queue)
        await answered(name)
        queue.async(execute: work)
        for _ in 0..<300 {
            if let line = Self.lines.withLock({ $0.last { $0.contains(" \(name) stalled") } }) { return line }
            try? await Task.sleep(for: .milliseconds(50))
        }
        return nil
    }

    /// Until the watchdog has seen the loop live.
    private func answered(_ name: String) async {
        for _ in 0..<200 {
            if Self.probe.loops.contains(where: { $0.name == name && $0.state != .unserved }) { return }
            try? await Task.sleep(for: .milliseconds(10))
        }
    }

    @Test func `a sleep on a queue is named by its function and its call`() async throws {
        let line = try #require(await line(about: "sleeper") { Guilty.nap() })
        #expect(line.contains("Guilty.nap()"))
        #expect(line.contains("sleeping (clock_nanosleep)"))
    }

    @Test func `work on a queue is named by its function`() async throws {
        let line = try #require(await line(about: "worker") { Guilty.compute() })
        #expect(line.contains("Guilty.compute()"))
        #expect(line.contains("computing"))
    }

    @Test func `a blocking read is named with what it reads`() async throws {
        let line = try #require(await line(about: "reader") { Guilty.readsPipe() })
        #expect(line.contains("Guilty.readsPipe()"))
        #expect(line.contains("blocked in read of descriptor"))
        #expect(line.contains("pipe:["))
    }

    @Test func `a lock is named with its holder and the holder's function`() async throws {
        let lock = Guilty.Lock()
        Thread { lock.hold() }.start()
        lock.isHeld.wait()
        let line = try #require(await line(about: "locked") { lock.take() })
        #expect(line.contains("waiting for a lock held by"))
        #expect(line.contains("Lock.take()"))
        #expect(line.contains("Lock.hold()"))
    }

    @Test func `a usleep that is looked at lasts as long as it was asked to`() async throws {
        let took = Mutex(0.0)
        let line = await line(about: "whole sleep") {
            let start = ContinuousClock.now
            Guilty.nap()
            let span = (ContinuousClock.now - start).components
            took.withLock { $0 = Double(span.seconds) + Double(span.attoseconds) / 1e18 }
        }
        #expect(line != nil)
        #expect(took.withLock { $0 } >= 0.35)
    }

    @Test func `known long work is not reported`() async {
        let probe = Self.probe
        let line = await Task {
            await self.lineWithin(2, about: "warm-up") { probe.withKnownLongWork { Guilty.nap() } }
        }.value
        #expect(line == nil)
    }

    private func lineWithin(_ seconds: Int, about name: String, _ work: @escaping @Sendable () -> Void) async -> String?
    {
        let queue = DispatchQueue(label: name)
        Self.probe.watch(queue)
        await answered(name)
        // The scope belongs to the queue that last beat on this thread.
        queue.async(execute: work)
        try? await Task.sleep(for: .seconds(seconds))
        return Self.lines.withLock { $0.last { $0.contains(" \(name) ") } }
    }

    @Test func `a quick loop has no stall, and its lags are counted`() async throws {
        let queue = DispatchQueue(label: "quick")
        Self.probe.watch(queue)
        await answered("quick")
        for _ in 0..<20 {
            queue.async {}
            try? await Task.sleep(for: .milliseconds(10))
        }
        let reading = try #require(Self.probe.loops.first { $0.name == "quick" })
        #expect(reading.stalls == 0)
        #expect(reading.readings > 0)
    }

    @Test func `a signal that is not ours reaches whom it was meant for`() async {
        _ = Self.probe
        // The handler that was there before ours was the default one; here only that ours survives foreign values.
        #expect(nj_capture_is_ours() == 1)
    }
}

/// Functions to be blamed.
enum Guilty {
    @inline(never) static func nap() {
        usleep(400_000)
        touched.add(1, ordering: .relaxed)
    }

    /// By processor time: on a crowded machine wall time would mostly be the scheduler's.
    @inline(never) static func compute() {
        func spent() -> Int {
            var time = timespec()
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
            return time.tv_sec * 1_000_000_000 + time.tv_nsec
        }
        let end = spent() + 300_000_000
        var value = 1.0
        while spent() < end { value = (value * 1.000001).squareRoot() + 1 }
        touched.add(Int(value), ordering: .relaxed)
    }

    @inline(never) static func readsPipe() {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { return }
        let write = ends[1]
        Thread {
            usleep(400_000)
            _ = Glibc.write(write, "x", 1)
        }.start()
        var byte: UInt8 = 0
        _ = read(ends[0], &byte, 1)
        close(ends[0])
        close(ends[1])
        touched.add(Int(byte), ordering: .relaxed)
    }

    final class Lock: @unchecked Sendable {
        private let lock = NSLock()
        let isHeld = DispatchSemaphore(value: 0)

        @inline(never) func hold() {
            lock.lock()
            isHeld.signal()
            usleep(1_500_000)
            lock.unlock()
            touched.add(1, ordering: .relaxed)
        }

        @inline(never) func take() {
            lock.lock()
            lock.unlock()
            touched.add(1, ordering: .relaxed)
        }
    }

    static let touched = Atomic(0)
}
