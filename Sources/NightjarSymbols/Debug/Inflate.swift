// Distributions compress their debug files (SHF_COMPRESSED): each section is a zlib stream behind a header with its true size.
// Unpacked here, in plain Swift, because the probe may load no library into its host:
//
//     header (2 bytes) ─▶ blocks: stored · fixed codes · codes of its own ─▶ Adler-32          RFC 1950, RFC 1951
//
// A code's next 15 bits are looked up at once in a table of 32,768 entries. The size is known and kept to, so that a stream
// that was made to grow without end stops there.

enum Inflate {
    /// No stream of this format is packed more tightly.
    static let mostRatio: UInt64 = 1032

    /// The bytes that a zlib stream holds; nil where it is broken or holds another number than `count`.
    static func expand(_ packed: [UInt8], count: Int) -> [UInt8]? {
        packed.withUnsafeBytes { raw -> [UInt8]? in
            guard raw.count >= 6, raw[0] & 0x0F == 8, raw[1] & 0x20 == 0, (Int(raw[0]) << 8 | Int(raw[1])) % 31 == 0
            else { return nil }
            var isWhole = false
            let out = [UInt8](unsafeUninitializedCapacity: count) { buffer, used in
                var stream = InflateStream(raw, at: 2, into: UnsafeMutableRawBufferPointer(buffer))
                isWhole = stream.run()
                used = stream.written
            }
            return isWhole && out.count == count ? out : nil
        }
    }
}

/// One stream on its way.
private struct InflateStream {
    private static let codeBits = 15
    private static let lengthBases: [UInt16] = [
        3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227,
        258,
    ]
    private static let lengthExtras: [UInt8] = [
        0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0,
    ]
    private static let distanceBases: [UInt16] = [
        1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097,
        6145,
        8193, 12289, 16385, 24577,
    ]
    private static let distanceExtras: [UInt8] = [
        0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13,
    ]
    /// The order in which the lengths of the code that packs the codes are given.
    private static let orderOfLengths = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]

    private let packed: UnsafeRawBufferPointer
    private let out: UnsafeMutableRawBufferPointer
    private var at: Int
    private var bits: UInt64 = 0
    private var held = 0
    private var isBroken = false
    private(set) var written = 0

    init(_ packed: UnsafeRawBufferPointer, at: Int, into out: UnsafeMutableRawBufferPointer) {
        self.packed = packed
        self.at = at
        self.out = out
    }

    /// All blocks and the checksum; false where anything is amiss.
    mutating func run() -> Bool {
        var isLast = false
        while !isLast, !isBroken {
            isLast = take(1) == 1
            switch take(2) {
            case 0: copyStored()
            case 1: expandBlock(Self.table(Self.fixedLengths), Self.table([UInt8](repeating: 5, count: 30)))
            case 2: expandBlockWithCodes()
            default: return false
            }
        }
        return !isBroken && written == out.count && checksum() == storedChecksum()
    }

    // MARK: bits

    private mutating func fill() {
        while held <= 56, at < packed.count {
            bits |= UInt64(packed[at]) << UInt64(held)
            held += 8
            at += 1
        }
    }

    private mutating func take(_ count: Int) -> Int {
        fill()
        guard count <= held else {
            isBroken = true
            return 0
        }
        let value = bits & (1 << UInt64(count) - 1)
        bits >>= UInt64(count)
        held -= count
        return Int(value)
    }

    /// The next symbol of a code.
    private mutating func symbol(_ table: [UInt16]) -> Int {
        fill()
        let entry = table[Int(bits & 0x7FFF)]
        let length = Int(entry & 15)
        guard length > 0, length <= held else {
            isBroken = true
            return 0
        }
        bits >>= UInt64(length)
        held -= length
        return Int(entry >> 4)
    }

    /// Whole bytes begin here.
    private mutating func align() {
        bits >>= UInt64(held % 8)
        held -= held % 8
    }

    // MARK: blocks

    private mutating func copyStored() {
        align()
        let length = take(16)
        guard take(16) == ~length & 0xFFFF, length <= out.count - written else { return isBroken = true }
        for _ in 0..<length where !isBroken { put(UInt8(truncatingIfNeeded: take(8))) }
    }

    private mutating func put(_ byte: UInt8) {
        out[written] = byte
        written += 1
    }

    private mutating func expandBlockWithCodes() {
        let literals = take(5) + 257
        let distances = take(5) + 1
        var lengths = [UInt8](repeating: 0, count: 19)
        for index in 0..<take(4) + 4 { lengths[Self.orderOfLengths[index]] = UInt8(take(3)) }
        let code = Self.table(lengths)
        var all: [UInt8] = []
        while all.count < literals + distances, !isBroken {
            let symbol = symbol(code)
            switch symbol {
            case 16:
                guard let last = all.last else { return isBroken = true }
                all += [UInt8](repeating: last, count: take(2) + 3)
            case 17: all += [UInt8](repeating: 0, count: take(3) + 3)
            case 18: all += [UInt8](repeating: 0, count: take(7) + 11)
            default: all.append(UInt8(symbol))
            }
        }
        guard !isBroken, all.count == literals + distances else { return isBroken = true }
        expandBlock(Self.table(Array(all.prefix(literals))), Self.table(Array(all.dropFirst(literals))))
    }

    private mutating func expandBlock(_ literals: [UInt16], _ distances: [UInt16]) {
        while !isBroken {
            let symbol = symbol(literals)
            if symbol < 256 {
                guard !isBroken, written < out.count else { return isBroken = true }
                put(UInt8(symbol))
            } else if symbol == 256 {
                return
            } else {
                copyEarlier(symbol - 257, distances)
            }
        }
    }

    private mutating func copyEarlier(_ lengthCode: Int, _ distances: [UInt16]) {
        guard lengthCode < Self.lengthBases.count else { return isBroken = true }
        let length = Int(Self.lengthBases[lengthCode]) + take(Int(Self.lengthExtras[lengthCode]))
        let distanceCode = symbol(distances)
        guard distanceCode < Self.distanceBases.count else { return isBroken = true }
        let distance = Int(Self.distanceBases[distanceCode]) + take(Int(Self.distanceExtras[distanceCode]))
        guard !isBroken, distance <= written, length <= out.count - written else { return isBroken = true }
        // What is copied may be what this very copy writes.
        for _ in 0..<length { put(out[written - distance]) }
    }

    // MARK: codes

    private static let fixedLengths = (0..<288).map { symbol -> UInt8 in
        symbol < 144 ? 8 : symbol < 256 ? 9 : symbol < 280 ? 7 : 8
    }

    /// For every value of the next 15 bits the symbol and the length of its code; 0 where no code begins so. Codes that claim
    /// more than there is room for leave what came before them.
    private static func table(_ lengths: [UInt8]) -> [UInt16] {
        var counts = [Int](repeating: 0, count: codeBits + 1)
        for length in lengths where length > 0 { counts[Int(length)] += 1 }
        var next = [Int](repeating: 0, count: codeBits + 2)
        for length in 1...codeBits { next[length + 1] = (next[length] + counts[length]) << 1 }
        var table = [UInt16](repeating: 0, count: 1 << codeBits)
        for (symbol, length) in lengths.enumerated() where length > 0 {
            let code = next[Int(length)]
            next[Int(length)] += 1
            guard code < 1 << Int(length) else { continue }
            // Codes are packed from their highest bit on, everything else from the lowest.
            var index = reversed(code, Int(length))
            while index < table.count {
                table[index] = UInt16(symbol) << 4 | UInt16(length)
                index += 1 << Int(length)
            }
        }
        return table
    }

    private static func reversed(_ code: Int, _ length: Int) -> Int {
        var (rest, out) = (code, 0)
        for _ in 0..<length {
            out = out << 1 | rest & 1
            rest >>= 1
        }
        return out
    }

    // MARK: checksum

    private mutating func storedChecksum() -> UInt32 {
        align()
        return (0..<4).reduce(UInt32(0)) { sum, _ in sum << 8 | UInt32(take(8)) }
    }

    /// Adler-32 of what was written.
    private func checksum() -> UInt32 {
        var (a, b) = (UInt32(1), UInt32(0))
        var index = 0
        while index < written {
            // The sums cannot overflow within so many bytes.
            let end = min(index + 5552, written)
            while index < end {
                a &+= UInt32(out[index])
                b &+= a
                index += 1
            }
            a %= 65_521
            b %= 65_521
        }
        return b << 16 | a
    }
}
