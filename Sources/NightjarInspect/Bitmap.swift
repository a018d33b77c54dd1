import Glibc

/// A fixed number of bits, all zero at first. Memory is taken as it is touched.
final class Bitmap {
    let words: UnsafeMutablePointer<UInt64>
    let wordCount: Int

    init(bits: Int) throws {
        wordCount = (bits + 63) / 64 + 1
        guard let memory = calloc(wordCount, 8) else {
            throw InspectError(.overBudget, "no memory for a map of \(wordCount >> 17) MiB: raise --memory-limit")
        }
        words = memory.bindMemory(to: UInt64.self, capacity: wordCount)
    }

    deinit { Glibc.free(words) }

    @inline(__always) subscript(_ bit: Int) -> Bool { words[bit &>> 6] &>> UInt64(bit & 63) & 1 != 0 }
    @inline(__always) func set(_ bit: Int) { words[bit &>> 6] |= 1 &<< UInt64(bit & 63) }
    @inline(__always) func clear(_ bit: Int) { words[bit &>> 6] &= ~(1 &<< UInt64(bit & 63)) }

    /// The highest set bit at or below `bit`, not below `floor`; -1 where there is none.
    @inline(__always) func last(atOrBelow bit: Int, floor: Int) -> Int {
        var index = bit &>> 6
        var word = words[index] & (~0 &>> UInt64(63 &- (bit & 63)))
        while word == 0 {
            index &-= 1
            if index < floor &>> 6 { return -1 }
            word = words[index]
        }
        return index &* 64 &+ 63 &- word.leadingZeroBitCount
    }

    /// The lowest set bit above `bit`, below `ceiling`; `ceiling` where there is none.
    @inline(__always) func next(above bit: Int, ceiling: Int) -> Int {
        let first = bit &+ 1
        if first >= ceiling { return ceiling }
        var index = first &>> 6
        var word = words[index] & (~0 &<< UInt64(first & 63))
        while word == 0 {
            index &+= 1
            if index &* 64 >= ceiling { return ceiling }
            word = words[index]
        }
        return min(ceiling, index &* 64 &+ word.trailingZeroBitCount)
    }

    func clearAll() { memset(words, 0, wordCount * 8) }

    func count() -> Int { (0..<wordCount).reduce(0) { $0 + words[$1].nonzeroBitCount } }
}

/// Bits with two levels of summary above them, so that the next set bit of a nearly empty map is found at once.
final class SparseBitmap {
    private let bits: Bitmap
    private let middle: Bitmap
    private let top: Bitmap

    init(bits count: Int) throws {
        bits = try Bitmap(bits: count)
        middle = try Bitmap(bits: count / 64 + 1)
        top = try Bitmap(bits: count / 4096 + 1)
    }

    @inline(__always) func set(_ bit: Int) {
        bits.set(bit)
        middle.set(bit &>> 6)
        top.set(bit &>> 12)
    }

    /// The lowest set bit at or above `from`; nil where there is none.
    func first(from: Int) -> Int? {
        guard let word = firstWord(from: from &>> 6) else { return nil }
        if word == from &>> 6 {
            let value = bits.words[word] & (~0 &<< UInt64(from & 63))
            if value != 0 { return word &* 64 &+ value.trailingZeroBitCount }
            guard let next = firstWord(from: word + 1) else { return nil }
            return next &* 64 &+ bits.words[next].trailingZeroBitCount
        }
        return word &* 64 &+ bits.words[word].trailingZeroBitCount
    }

    func clear(_ bit: Int) {
        bits.clear(bit)
        let word = bit &>> 6
        if bits.words[word] == 0 {
            middle.clear(word)
            if middle.words[word &>> 6] == 0 { top.clear(word &>> 6) }
        }
    }

    private func firstWord(from: Int) -> Int? {
        let group = from &>> 6
        guard group < middle.wordCount else { return nil }
        let value = middle.words[group] & (~0 &<< UInt64(from & 63))
        if value != 0 { return group &* 64 &+ value.trailingZeroBitCount }
        let end = top.wordCount &* 64
        let next = top.next(above: group, ceiling: end)
        guard next < end, next < middle.wordCount, middle.words[next] != 0 else { return nil }
        return next &* 64 &+ middle.words[next].trailingZeroBitCount
    }
}

/// A set of addresses that is asked very often: open addressing, no hashing of any strength.
struct AddressSet {
    private var slots: [UInt64]
    private let mask: Int

    init(_ addresses: some Collection<UInt64>) {
        var size = 64
        while size < addresses.count * 4 { size *= 2 }
        slots = [UInt64](repeating: 0, count: size)
        mask = size - 1
        for address in addresses where address != 0 {
            var slot = Self.slot(address) & mask
            while slots[slot] != 0, slots[slot] != address { slot = (slot + 1) & mask }
            slots[slot] = address
        }
    }

    @inline(__always) private static func slot(_ address: UInt64) -> Int {
        Int(truncatingIfNeeded: (address &* 0x9E37_79B9_7F4A_7C15) >> 40)
    }

    @inline(__always) func contains(_ address: UInt64) -> Bool {
        var slot = Self.slot(address) & mask
        while true {
            let found = slots[slot]
            if found == address { return address != 0 }
            if found == 0 { return false }
            slot = (slot &+ 1) & mask
        }
    }
}
