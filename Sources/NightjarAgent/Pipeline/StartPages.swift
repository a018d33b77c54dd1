import Glibc

// A program of this size touches some 11 MiB of its code while it starts (arguments, relocation, configuration, SQLite)
// and a third of that afterwards. The rest stays counted as resident though nobody runs it. Once the first rounds are
// over the code pages are unmapped (MADV_DONTNEED, madvise(2)); what is really used is mapped again from the page cache
// at its next fault, a few hundred minor faults in all.
//
// Only executable mappings: they are never written. Read-only data may hold relocated pages that exist nowhere else.

enum StartPages {
    /// Gives back code pages that only the start needed; returns the bytes that were looked at.
    @discardableResult static func giveBack() -> Int {
        guard let maps = fopen("/proc/self/maps", "re") else { return 0 }
        defer { fclose(maps) }
        var bytes = 0
        var line = [CChar](repeating: 0, count: 4352)
        while fgets(&line, Int32(line.count), maps) != nil {
            let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            guard let range = codeRange(text) else { continue }
            if let start = UnsafeMutableRawPointer(bitPattern: range.lowerBound) {
                if madvise(start, Int(range.upperBound - range.lowerBound), MADV_DONTNEED) == 0 { bytes += range.count }
            }
        }
        return bytes
    }

    /// The addresses of a private, executable, never writable mapping of a file; nil for any other line of maps.
    static func codeRange(_ line: String) -> Range<UInt>? {
        let fields = line.split(separator: " ", omittingEmptySubsequences: true)
        guard fields.count >= 6, fields[1] == "r-xp", fields[4] != "0", fields[5].hasPrefix("/") else { return nil }
        let ends = fields[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
        guard ends.count == 2, ends[0] < ends[1] else { return nil }
        return ends[0]..<ends[1]
    }
}
