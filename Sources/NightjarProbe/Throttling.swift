// How long our control group has been held back by its CPU quota, v1 or v2.

import CNightjarProbe
import Glibc

/// The `cpu.stat` of the group that this process is in.
struct Throttling: ~Copyable {
    private let file: nj_descriptor
    private let isNanoseconds: Bool

    init(cgroupFile: String = "/proc/self/cgroup", root: String = "/sys/fs/cgroup") {
        var candidates: [(String, Bool)] = []
        let lines = wholeReading(cgroupFile) { String(decoding: $0, as: UTF8.self) } ?? ""
        for line in lines.split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { continue }
            if parts[1].isEmpty {
                candidates.append(("\(root)\(parts[2])/cpu.stat", false))
            } else if parts[1].split(separator: ",").contains("cpu") {
                candidates.append(("\(root)/\(parts[1])\(parts[2])/cpu.stat", true))
                candidates.append(("\(root)/cpu\(parts[2])/cpu.stat", true))
                candidates.append(("\(root)/cpu/cpu.stat", true))
            }
        }
        // Inside a container's own view the group is the root.
        candidates.append(("\(root)/cpu.stat", false))
        for (path, isNanoseconds) in candidates {
            let file = open(path, O_RDONLY | O_CLOEXEC)
            if file >= 0 {
                self.file = nj_note(file)
                self.isNanoseconds = isNanoseconds
                return
            }
        }
        file = nj_note(-1)
        isNanoseconds = false
    }

    deinit { nj_close_ours(file) }

    /// Nanoseconds since the group was made; nil where there is no quota to speak of.
    func total() -> UInt64? {
        guard file.number >= 0 else { return nil }
        return withUnsafeTemporaryAllocation(byteCount: 1024, alignment: 8) { buffer in
            let got = pread(file.number, buffer.baseAddress, buffer.count, 0)
            guard got > 0 else { return nil }
            let text = UnsafeRawBufferPointer(rebasing: buffer[..<got])
            return Self.value(in: text, of: isNanoseconds ? "throttled_time" : "throttled_usec")
                .map { isNanoseconds ? $0 : $0 &* 1000 }
        }
    }

    private static func value(in text: UnsafeRawBufferPointer, of key: String) -> UInt64? {
        var start = 0
        while start < text.count {
            let line = UnsafeRawBufferPointer(rebasing: text[start...])
            if line.starts(with: key.utf8), line.count > key.utf8.count, line[key.utf8.count] == 0x20 {
                var words = Words(UnsafeRawBufferPointer(rebasing: line[key.utf8.count...]))
                return words.decimal()
            }
            guard let end = line.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
            start += end + 1
        }
        return nil
    }
}
