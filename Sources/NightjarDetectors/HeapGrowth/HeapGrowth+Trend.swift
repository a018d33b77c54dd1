// The level that is never given back, over the last part of a life.
//
//     window = the last f of the buckets, in Q = 6 parts
//     g[i]   = lowest of part i
//     s[i]   = lowest of part i and all that follow: what was never given back since
//
//     g   10 14 11 16 15 20          s   10 11 11 15 15 20          G = s[5] - s[0] = 10
//
// From these six numbers: how much it rose for its size (rel), how steadily (tau, on g), whether it slows down (sat,
// recent pace over average pace: a plateau tends to 0), what is left without the largest single step (rest), and how
// many of the five rises count (ups). A cache that fills falls out by sat, a deploy or a batch by rest, noise by tau.
//
// Two horizons, f = 0.8 and f = 0.5, must agree: warm-up lies before both.

/// What one horizon says.
struct Trend: Sendable {
    static let parts = 6

    /// The floor of each part, KiB.
    var floors = InlineArray<6, Float>(repeating: 0)
    /// What was never given back since each part, KiB.
    var levels = InlineArray<6, Float>(repeating: 0)
    /// Buckets in the window.
    var length = 0

    var rise: Float { levels[5] - levels[0] }
    var relative: Float { rise / max(levels[0], 1) }

    /// Kendall's tau of the floors against time: 1 = every pair rises, -1 = every pair falls.
    var tau: Float {
        var sum = 0
        for i in 0..<Self.parts {
            for j in (i + 1)..<Self.parts {
                if floors[j] > floors[i] { sum += 1 }
                if floors[j] < floors[i] { sum -= 1 }
            }
        }
        return Float(sum) / Float(Self.parts * (Self.parts - 1) / 2)
    }

    /// Pace of the last two rises over the average pace.
    var saturation: Float { ((levels[5] - levels[3]) / 2) / (rise / 5) }

    /// What is left of the rise without its largest step.
    var rest: Float { 1 - (0..<5).map { levels[$0 + 1] - levels[$0] }.max()! / rise }

    /// The share of rises that count: more than 15 % of the average.
    var ups: Float {
        let least = 0.15 * rise / 5
        return Float((0..<5).count { levels[$0 + 1] - levels[$0] > least }) / 5
    }

    /// The evidence from a bucket to the end; nil where it is too short or nothing was kept.
    init?(_ ring: FloorRing, from begin: Int) {
        let count = ring.count
        length = count - begin
        guard length >= Self.parts else { return nil }
        var lowest = LogLevel(code: .max)
        for part in (0..<Self.parts).reversed() {
            let floor = ring.lowest(begin + part * length / Self.parts..<begin + (part + 1) * length / Self.parts)
            lowest = min(lowest, floor)
            floors[part] = floor.kibibytes
            levels[part] = lowest.kibibytes
        }
        guard rise > 0 else { return nil }
    }
}
