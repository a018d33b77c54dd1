// The memory of a copy is read through /proc/PID/mem, not by process_vm_readv. That call pins what it reads, and the kernel
// gives a page that is shared since a fork an owner of its own before it is pinned: reading the whole copy would copy the
// whole heap, page by page. A plain read leaves the pages shared. Measured, seconds of CPU a GiB: 0.27 against 0.81, and
// 0.17 for the target itself by process_vm_readv.

import CNightjarLinux
import Glibc

/// Reads a frozen copy of a process.
final class CopyMemory: TargetMemory {
    /// Requests nearer to each other than this are read in one go.
    private static let nearby: UInt64 = 1024
    private static let runBytes: UInt64 = 1 << 16

    private(set) var bytesRead: UInt64 = 0
    private let pid: Int32
    private let procRoot: String
    private let descriptor: Int32
    private let run = UnsafeMutableRawPointer.allocate(byteCount: Int(runBytes), alignment: 4096)
    /// The process that it is a copy of: once that ends, nothing more can be read, so that the copy, which keeps the
    /// process's files open, goes soon.
    private let original: Int32
    private let lifeline: Int32

    init(pid: Int32, original: Int32, procRoot: String) {
        (self.pid, self.original, self.procRoot) = (pid, original, procRoot)
        descriptor = open("\(procRoot)/\(pid)/mem", O_RDONLY | O_CLOEXEC)
        lifeline = nj_open_life(original)
    }

    deinit {
        for open in [descriptor, lifeline] where open >= 0 { close(open) }
        run.deallocate()
    }

    func twin() -> (any TargetMemory)? { CopyMemory(pid: pid, original: original, procRoot: procRoot) }

    private var isOver: Bool { lifeline >= 0 && nj_life_ended(lifeline) != 0 }

    func read(_ address: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        guard let base = buffer.baseAddress, buffer.count > 0, address < 1 << 56 else { return 0 }
        if buffer.count >= 1 << 16, isOver { return 0 }
        var done = 0
        while done < buffer.count {
            let got = pread(descriptor, base + done, buffer.count - done, off_t(address) + off_t(done))
            if got <= 0 { break }
            done += got
        }
        bytesRead &+= UInt64(done)
        return done
    }

    func readScattered(_ requests: UnsafeBufferPointer<ReadRequest>) {
        var first = 0
        while first < requests.count {
            let start = requests[first].address
            var end = start + UInt64(requests[first].length)
            var next = first + 1
            while next < requests.count {
                let request = requests[next]
                let after = request.address + UInt64(request.length)
                guard request.address >= start, request.address < end + Self.nearby, after - start <= Self.runBytes
                else {
                    break
                }
                end = max(end, after)
                next += 1
            }
            if next == first + 1 {
                readAlone(requests[first])
            } else {
                readTogether(requests, first..<next, start, Int(end - start))
            }
            first = next
        }
    }

    private func readAlone(_ request: ReadRequest) {
        let place = UnsafeMutableRawBufferPointer(start: request.destination, count: request.length)
        let got = read(request.address, into: place)
        if got < request.length { memset(request.destination + got, 0, request.length - got) }
    }

    private func readTogether(
        _ requests: UnsafeBufferPointer<ReadRequest>, _ some: Range<Int>, _ start: UInt64, _ length: Int
    ) {
        // A gap between two of them may not be there: then each for itself.
        guard read(start, into: UnsafeMutableRawBufferPointer(start: run, count: length)) == length else {
            return some.forEach { readAlone(requests[$0]) }
        }
        for request in requests[some] {
            memcpy(request.destination, run + Int(request.address - start), request.length)
        }
    }
}
