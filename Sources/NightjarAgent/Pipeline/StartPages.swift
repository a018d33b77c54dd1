import CNightjarLinux
import Glibc

// A program of this size touches some 11 MiB of its code while it starts (arguments, relocation, configuration, SQLite)
// and a third of that afterwards. The rest stays counted as resident though nobody runs it. Once the first rounds are
// over they are unmapped (MADV_DONTNEED, madvise(2)); what is really used is mapped again from the page cache at its
// next fault, a few hundred minor faults in all.
//
// Only private, read-only mappings of files in which not one page is our own: `Anonymous: 0 kB` in /proc/self/smaps. Data
// that relocation has written exists nowhere else and stays.

enum StartPages {
    /// Gives back pages of code and constants that only the start needed; returns how many bytes were looked at.
    @discardableResult static func giveBack() -> Int {
        // What a look through folders or a census used is free inside the heap by now.
        _ = nj_malloc_trim()
        guard let smaps = fopen("/proc/self/smaps", "re") else { return 0 }
        defer { fclose(smaps) }
        var bytes = 0
        var pending: Range<UInt>?
        var line = [CChar](repeating: 0, count: 4352)
        while fgets(&line, Int32(line.count), smaps) != nil {
            let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            if text.hasPrefix("Anonymous:") {
                if let range = pending, isUntouched(text), forget(range) { bytes += range.count }
                pending = nil
            } else if text.first?.isHexDigit == true, text.contains("-") {
                pending = fileRange(text)
            }
        }
        return bytes
    }

    private static func forget(_ range: Range<UInt>) -> Bool {
        guard let start = UnsafeMutableRawPointer(bitPattern: range.lowerBound) else { return false }
        return madvise(start, range.count, MADV_DONTNEED) == 0
    }

    /// `Anonymous:             0 kB`: no page of this mapping was ever written.
    static func isUntouched(_ line: String) -> Bool {
        line.split(separator: " ").dropFirst().first == "0"
    }

    /// The addresses of a private, never writable mapping of a file; nil for any other head line of smaps.
    static func fileRange(_ line: String) -> Range<UInt>? {
        let fields = line.split(separator: " ", omittingEmptySubsequences: true)
        guard fields.count >= 6, fields[1] == "r-xp" || fields[1] == "r--p", fields[4] != "0", fields[5].hasPrefix("/")
        else { return nil }
        let ends = fields[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
        guard ends.count == 2, ends[0] < ends[1] else { return nil }
        return ends[0]..<ends[1]
    }
}
