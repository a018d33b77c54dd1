// How much of the last minute something lasted: sixty counters of a second each, in microseconds.

import NightjarModel

/// Sums of the last 60 seconds; 260 bytes.
struct SecondsWindow: Hashable, Sendable {
    static let length = 60

    private var seconds = InlineSeconds()
    private var newest: Int64?

    /// Adds what was measured at a moment; a moment that lies before the newest counts as now.
    mutating func add(_ span: Duration, at moment: Moment) {
        advance(to: moment)
        guard let newest else { return }
        let microseconds = UInt32(clamping: max(0, span.nanosecondCount) / 1000)
        seconds[newest] =
            seconds[newest].addingReportingOverflow(microseconds).overflow ? .max : seconds[newest] &+ microseconds
    }

    /// Lets time pass: seconds that lie further back than a minute are forgotten.
    mutating func advance(to moment: Moment) {
        let second = moment.nanoseconds.quotient(1_000_000_000)
        guard let last = newest else {
            newest = second
            return
        }
        guard second > last else { return }
        for step in 1...min(second - last, Int64(Self.length)) { seconds[second - step + 1] = 0 }
        newest = second
    }

    /// The sum over the last `count` seconds.
    func sum(last count: Int) -> Duration {
        guard let newest else { return .zero }
        var total: Int64 = 0
        for back in 0..<Int64(min(count, Self.length)) { total += Int64(seconds[newest - back]) }
        return .microseconds(total)
    }
}

/// Sixty counters, by second.
private struct InlineSeconds: Hashable {
    private var counters = InlineArray<60, UInt32>(repeating: 0)

    subscript(second: Int64) -> UInt32 {
        get { counters[place(second)] }
        set { counters[place(second)] = newValue }
    }

    private func place(_ second: Int64) -> Int { Int(((second % 60) + 60) % 60) }

    static func == (a: Self, b: Self) -> Bool { (0..<60).allSatisfy { a.counters[$0] == b.counters[$0] } }
    func hash(into hasher: inout Hasher) { for index in 0..<60 { hasher.combine(counters[index]) } }
}

extension Int64 {
    /// Division that rounds down, also below zero.
    fileprivate func quotient(_ divisor: Int64) -> Int64 { (self - (((self % divisor) + divisor) % divisor)) / divisor }
}
