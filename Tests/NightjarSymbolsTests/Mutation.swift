/// Seeded damage for fuzz tests: flipped, overwritten, cut and repeated bytes.
struct Mutation {
    private var state: UInt64

    init(seed: UInt64) { state = seed &* 2_862_933_555_777_941_757 &+ 3_037_000_493 }

    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state
    }

    mutating func below(_ limit: Int) -> Int { Int(next() % UInt64(max(1, limit))) }

    /// `bytes` with one to eight places damaged; `within` narrows where.
    mutating func mutated(_ bytes: [UInt8], within: Range<Int>? = nil) -> [UInt8] {
        var out = bytes
        let range = within ?? 0..<bytes.count
        for _ in 0...below(8) where !out.isEmpty {
            let at = min(range.lowerBound + below(range.count), out.count - 1)
            switch below(6) {
            case 0: out[at] ^= 1 << UInt8(below(8))
            case 1: out[at] = UInt8(truncatingIfNeeded: next())
            case 2: out[at] = 0xFF
            case 3: out[at] = 0
            case 4: out.removeLast(below(out.count / 4 + 1))
            default:
                for index in at..<min(out.count, at + 8) { out[index] = UInt8(truncatingIfNeeded: next()) }
            }
        }
        return out
    }
}
