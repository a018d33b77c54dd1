// Does a row of floors rise without ever coming back, and is it still rising?
//
// The row is cut into six parts; each part's smallest value is g. What was never given back since is s, the running
// minimum from the right, so s only rises:
//
//     g  ▁▃▂▄▅▆       rise  = s[5] - s[0]
//     s  ▁▂▂▄▅▆       tau   = how many pairs of g are in rising order, less those falling (-1…1)
//                     pace  = rise of the last two fifths over what an even rise would have made (0: it has settled)
//                     rest  = what remains without the largest step (0: one step, not a growth)
//                     ups   = share of the five rises that are worth the name (> 15 % of an even one)
//
// The same evidence as for memory, on whole numbers without allocator noise.

struct CountEvidence: Hashable, Sendable {
    static let parts = 6

    var from: UInt32
    var to: UInt32
    /// How many buckets were looked at.
    var buckets: Int
    var tau: Double
    var pace: Double
    var rest: Double
    var ups: Double

    var rise: UInt32 { to - from }

    /// Nil where there are fewer than six floors or nothing rose.
    ///
    /// The oldest floors are left out where the rest would not divide by six: parts of one or two buckets would make an
    /// even rise look uneven.
    init?(_ all: UnsafeBufferPointer<UInt32>) {
        guard all.count >= Self.parts else { return nil }
        let floors = UnsafeBufferPointer(rebasing: all[(all.count % Self.parts)...])
        let parts = Self.partFloors(floors)
        var kept = parts
        for index in (0..<(Self.parts - 1)).reversed() { kept[index] = min(kept[index], kept[index + 1]) }
        guard kept[5] > kept[0] else { return nil }
        from = kept[0]
        to = kept[5]
        buckets = floors.count
        let rise = Double(kept[5] - kept[0])
        var largest = 0.0
        var steps = 0
        for index in 0..<(Self.parts - 1) {
            let step = Double(kept[index + 1] - kept[index])
            largest = max(largest, step)
            if step > 0.15 * rise / 5 { steps += 1 }
        }
        tau = Self.tau(parts)
        pace = (Double(kept[5] - kept[3]) / 2) / (rise / 5)
        rest = 1 - largest / rise
        ups = Double(steps) / 5
    }

    private static func partFloors(_ floors: UnsafeBufferPointer<UInt32>) -> InlineArray<6, UInt32> {
        var result = InlineArray<6, UInt32>(repeating: .max)
        for part in 0..<parts {
            for index in (part * floors.count / parts)..<((part + 1) * floors.count / parts) {
                result[part] = min(result[part], floors[index])
            }
        }
        return result
    }

    private static func tau(_ parts: InlineArray<6, UInt32>) -> Double {
        var order = 0
        for left in 0..<(Self.parts - 1) {
            for right in (left + 1)..<Self.parts {
                if parts[right] > parts[left] { order += 1 } else if parts[right] < parts[left] { order -= 1 }
            }
        }
        return Double(order) / 15
    }

    /// It still rises at an even pace, in every part.
    ///
    /// Pace 0.7, where memory asks 0.85: parts are as short as one bucket, and two a part may be three in the next.
    var isStrict: Bool { tau >= 0.8 && pace >= 0.7 && rest >= 0.7 && ups >= 0.6 }
    /// It rises in most parts and has not settled.
    var isLenient: Bool { tau >= 0.6 && pace >= 0.35 && rest >= 0.5 && ups >= 0.5 }

    /// Per nanosecond, given the width of a bucket: the first and the last part stand 5/6 of the span apart.
    func rate(width: Int64) -> Double { Double(rise) / (Double(buckets) * Double(width) * 5 / 6) }
}
