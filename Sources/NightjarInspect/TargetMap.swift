// The memory map of another process, parsed from the text of /proc/PID/maps:
//
//     7f12c4000000-7f12c4021000 rw-p 00000000 00:00 0                          [heap]
//
// The text is a parameter, so that recorded images and live processes are read the same way.

/// One mapping of the target.
struct TargetRegion: Hashable, Sendable {
    var start: UInt64
    var end: UInt64
    var fileOffset: UInt64
    var readable: Bool
    var writable: Bool
    var executable: Bool
    var shared: Bool
    /// Not backed by a file (inode 0).
    var anonymous: Bool
    /// A path, `[heap]`, `[stack]`, `[anon:…]` or empty; cut at 4,096 bytes.
    var path: String
    /// A copy of the process finds zeros there (MADV_WIPEONFORK); known from smaps only.
    var wipedOnFork = false

    var length: UInt64 { end - start }
    func contains(_ address: UInt64) -> Bool { address >= start && address < end }
}

/// All mappings of the target, in the order of their addresses.
struct TargetMap: Hashable, Sendable {
    /// More mappings than vm.max_map_count usually allows; the rest is not looked at.
    static let limit = 131_072

    var regions: [TargetRegion]

    init(regions: [TargetRegion]) { self.regions = regions }

    /// Parses the text of a maps file. Lines that are none are left out; empty text gives no regions.
    init(text: [UInt8]) {
        regions = []
        var previousEnd: UInt64 = 0
        for line in text.split(separator: UInt8(ascii: "\n")) where regions.count < Self.limit {
            guard let region = Self.parse(line), region.start >= previousEnd else { continue }
            previousEnd = region.end
            regions.append(region)
        }
    }

    /// Parses the text of a smaps file: the same lines, each with figures and flags below it.
    init(smaps text: [UInt8]) {
        self.init(text: text)
        var position = -1
        for line in text.split(separator: UInt8(ascii: "\n")) {
            if line.starts(with: "VmFlags:".utf8) {
                guard regions.indices.contains(position) else { continue }
                let flags = line.dropFirst(8).split(separator: UInt8(ascii: " "))
                regions[position].wipedOnFork = flags.contains { $0.elementsEqual("wf".utf8) }
            } else if let region = Self.parse(line) {
                while position + 1 < regions.count, regions[position + 1].start <= region.start { position += 1 }
            }
        }
    }

    /// The region that holds `address`; binary search.
    func region(at address: UInt64) -> TargetRegion? {
        var low = 0
        var high = regions.count
        while low < high {
            let middle = (low + high) / 2
            if regions[middle].end <= address { low = middle + 1 } else { high = middle }
        }
        guard low < regions.count, regions[low].contains(address) else { return nil }
        return regions[low]
    }

    private static func parse(_ line: ArraySlice<UInt8>) -> TargetRegion? {
        var scanner = LineScanner(rest: line)
        guard let start = scanner.hex(), scanner.skip("-"), let end = scanner.hex(), start < end, scanner.skip(" ")
        else { return nil }
        let rights = scanner.word()
        guard rights.count == 4, scanner.skip(" "), let offset = scanner.hex(), scanner.skip(" ") else { return nil }
        _ = scanner.word()  // device
        guard scanner.skip(" "), let inode = scanner.decimal() else { return nil }
        while scanner.skip(" ") {}
        let bytes = Array(rights)
        return TargetRegion(
            start: start, end: end, fileOffset: offset, readable: bytes[0] == UInt8(ascii: "r"),
            writable: bytes[1] == UInt8(ascii: "w"), executable: bytes[2] == UInt8(ascii: "x"),
            shared: bytes[3] == UInt8(ascii: "s"), anonymous: inode == 0,
            path: String(decoding: scanner.rest.prefix(4096), as: UTF8.self))
    }
}

/// Reads the fields of one line from left to right.
struct LineScanner {
    var rest: ArraySlice<UInt8>

    mutating func skip(_ character: Character) -> Bool {
        guard let first = rest.first, first == character.asciiValue else { return false }
        rest = rest.dropFirst()
        return true
    }

    mutating func word() -> ArraySlice<UInt8> {
        let word = rest.prefix { $0 != UInt8(ascii: " ") && $0 != UInt8(ascii: "\t") }
        rest = rest.dropFirst(word.count)
        return word
    }

    mutating func hex() -> UInt64? { number(base: 16) }
    mutating func decimal() -> UInt64? { number(base: 10) }

    private mutating func number(base: UInt64) -> UInt64? {
        var value: UInt64 = 0
        var digits = 0
        while let byte = rest.first, let digit = Self.digit(byte), digit < base {
            let (product, overflow) = value.multipliedReportingOverflow(by: base)
            if overflow { return nil }
            value = product &+ digit
            digits += 1
            rest = rest.dropFirst()
        }
        return digits > 0 ? value : nil
    }

    private static func digit(_ byte: UInt8) -> UInt64? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt64(byte - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt64(byte - UInt8(ascii: "a") + 10)
        default: nil
        }
    }
}
