// The tests that a trend must pass.
//
//              age    rel/f    tau   sat 0.8 / 0.5   rest   ups
//     growing   36 h  0.012    0.6   0.65 / 0.55     0.5    0.5
//     early     72 h  0.012    0.8   0.9  / 0.9      0.7    0.6     no sign of slowing, no dominant step
//     late     112 h  0.012    0.6   0.65 / 0.55     0.5    0.5     survives days, batches and garbage
//
// Two more ways in, for what begins late in a long life, once it is 112 h old:
//
//     after a step   the same over the time since the largest step, as if the life had begun there (a deploy
//                    without a restart), at least 48 h of it, stricter: tau 0.8, sat 0.6, rest 0.6, ups 0.8
//     record         six rising parts in the last 36 h that end above everything the three windows before
//                    ever reached, peaks included

/// The thresholds of one test.
struct TrendGate: Hashable, Sendable {
    var tau: Float
    /// Of the longer horizon: a plateau shows there first.
    var longSaturation: Float
    var saturation: Float
    var rest: Float
    var ups: Float

    static let late = TrendGate(tau: 0.6, longSaturation: 0.65, saturation: 0.55, rest: 0.5, ups: 0.5)
    static let early = TrendGate(tau: 0.8, longSaturation: 0.9, saturation: 0.9, rest: 0.7, ups: 0.6)
    static let afterStep = TrendGate(tau: 0.8, longSaturation: 0.6, saturation: 0.6, rest: 0.6, ups: 0.8)
}

/// Both horizons of one stretch of life.
struct TrendPair: Sendable {
    /// The last 80 %.
    var long: Trend
    /// The last 50 %.
    var short: Trend

    /// Over the life from a bucket on; nil where it is too short or nothing was kept.
    init?(_ ring: FloorRing, from begin: Int = 0) {
        let length = ring.count - begin
        guard let long = Trend(ring, from: begin + Int(Double(length) * (1 - 0.8))),
            let short = Trend(ring, from: begin + Int(Double(length) * 0.5))
        else { return nil }
        self.long = long
        self.short = short
    }

    func passes(_ gate: TrendGate, minimumRise: Float) -> Bool {
        long.relative > minimumRise * 1.6 && short.relative > minimumRise
            && long.saturation > gate.longSaturation && short.saturation > gate.saturation
            && Self.isSteady(long, gate) && Self.isSteady(short, gate)
    }

    private static func isSteady(_ trend: Trend, _ gate: TrendGate) -> Bool {
        trend.tau > gate.tau && trend.rest > gate.rest && trend.ups >= gate.ups
    }
}

extension FloorRing {
    /// Where the level that is never given back rose most from one bucket to the next, if by more than 1.5 %.
    var largestStep: Int? {
        var lowest = self[count - 1].low.code
        var largest: UInt16 = 45
        var place: Int?
        for index in stride(from: count - 2, through: 0, by: -1) {
            let next = min(lowest, self[index].low.code)
            if lowest - next > largest {
                largest = lowest - next
                place = index + 1
            }
            lowest = next
        }
        return place
    }

    /// The record test; `window` and `skipped` in buckets.
    func setsRecord(window: Int, skipped: Int) -> Bool {
        let begin = count - window
        guard window >= Trend.parts, begin - skipped >= 2 * window, let trend = Trend(self, from: begin) else {
            return false
        }
        guard (0..<5).allSatisfy({ trend.floors[$0 + 1] > trend.floors[$0] }), trend.saturation > 0.5,
            trend.rest > 0.6, trend.rise > 0.03 * trend.floors[0]
        else { return false }
        let highs = (skipped..<begin).map { self[$0].high }.sorted()
        let lows = (skipped..<begin).map { self[$0].low }.sorted()
        let spread = highs[(highs.count - 1) * 95 / 100].kibibytes - lows[(lows.count - 1) * 5 / 100].kibibytes
        return trend.floors[5] > highs[highs.count - 1].kibibytes + 0.1 * spread
            && trend.rise > drift(skipped..<begin, days: window * 2 / 3)
    }

    /// How far the lowest of a day wandered, day windows beginning every half day.
    private func drift(_ range: Range<Int>, days: Int) -> Float {
        var least = Float.infinity
        var most = -Float.infinity
        for begin in stride(from: range.lowerBound, through: range.upperBound - days, by: max(1, days / 2)) {
            let low = lowest(begin..<begin + days).kibibytes
            least = min(least, low)
            most = max(most, low)
        }
        return max(0, most - least)
    }
}
