// How another process's memory is read. One protocol, four readers: a live process (process_vm_readv), a copy of one
// (CopyMemory), a recorded image (for tests and for offline work), and a recorder that stands between and keeps the pages
// it hands out.
// Nothing that is read is trusted: addresses are data, every length is bounded, a read that fails is an answer.

import CNightjarLinux
import Glibc

/// One piece of the target that is wanted: `length` bytes at `address` go to `destination`.
struct ReadRequest {
    var address: UInt64
    var length: Int
    var destination: UnsafeMutableRawPointer

    init(address: UInt64, length: Int, destination: UnsafeMutableRawPointer) {
        self.address = address
        self.length = length
        self.destination = destination
    }
}

/// Reads the memory of the process under examination. Reading never stops or changes it.
protocol TargetMemory: AnyObject {
    /// Copies from `address` on; answers how many leading bytes could be copied.
    func read(_ address: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int
    /// Copies many small pieces; a piece that cannot be read is filled with zeros.
    func readScattered(_ requests: UnsafeBufferPointer<ReadRequest>)
    /// What has been read so far, for the budget and the report.
    var bytesRead: UInt64 { get }
    /// Another reader of the same memory, for another thread; nil where one thread is to read it.
    func twin() -> (any TargetMemory)?
}

extension TargetMemory {
    func twin() -> (any TargetMemory)? { nil }

    /// The 64-bit word at `address`, or nil where nothing is mapped.
    func word(at address: UInt64) -> UInt64? {
        var value: UInt64 = 0
        let got = withUnsafeMutableBytes(of: &value) { read(address, into: $0) }
        return got == 8 ? value : nil
    }

    /// Up to `count` words from `address` on; shorter where the mapping ends.
    func words(at address: UInt64, count: Int) -> [UInt64] {
        [UInt64](unsafeUninitializedCapacity: count) { buffer, initialized in
            initialized = read(address, into: UnsafeMutableRawBufferPointer(buffer)) / 8
        }
    }
}

/// A running process. Needs the right to trace it: same user (Yama permitting) or CAP_SYS_PTRACE.
final class LiveMemory: TargetMemory {
    let pid: Int32
    private(set) var bytesRead: UInt64 = 0
    /// The errno of the last read that failed.
    private(set) var lastError: Int32 = 0
    private static let piecesPerCall = 512
    private var local = [iovec](repeating: iovec(), count: piecesPerCall)
    private var remote = [iovec](repeating: iovec(), count: piecesPerCall)

    init(pid: Int32) { self.pid = pid }

    func twin() -> (any TargetMemory)? { LiveMemory(pid: pid) }

    func read(_ address: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        guard let base = buffer.baseAddress, buffer.count > 0, address < 1 << 56 else { return 0 }
        var done = 0
        while done < buffer.count {
            var to = iovec(iov_base: base + done, iov_len: buffer.count - done)
            var from = iovec(
                iov_base: UnsafeMutableRawPointer(bitPattern: UInt(address) + UInt(done)), iov_len: buffer.count - done)
            let got = nj_read_pieces(pid, &to, 1, &from, 1)
            if got <= 0 {
                lastError = Int32(-got)
                break
            }
            done += Int(got)
        }
        bytesRead &+= UInt64(done)
        return done
    }

    func readScattered(_ requests: UnsafeBufferPointer<ReadRequest>) {
        var next = 0
        while next < requests.count {
            next += readSome(requests, from: next)
        }
    }

    /// One system call for up to 512 pieces. The kernel stops at the first piece that it cannot read: that one is
    /// filled with zeros and the next call goes on behind it.
    private func readSome(_ requests: UnsafeBufferPointer<ReadRequest>, from first: Int) -> Int {
        let count = min(Self.piecesPerCall, requests.count - first)
        var wanted = 0
        for index in 0..<count {
            let request = requests[first + index]
            local[index] = iovec(iov_base: request.destination, iov_len: request.length)
            remote[index] = iovec(
                iov_base: UnsafeMutableRawPointer(bitPattern: UInt(request.address)), iov_len: request.length)
            wanted += request.length
        }
        let got = Int(max(0, nj_read_pieces(pid, &local, UInt(count), &remote, UInt(count))))
        bytesRead &+= UInt64(got)
        if got == wanted { return count }
        var before = 0
        for index in 0..<count {
            let request = requests[first + index]
            if before + request.length > got {
                let part = max(0, got - before)
                memset(request.destination + part, 0, request.length - part)
                return index + 1
            }
            before += request.length
        }
        return count
    }
}
