// Does one process hold more and more memory that it never gives back?
//
//     reading ──▶ bucket minima of the whole life (FloorRing) ──▶ evidence over its last 80 % and 50 % (Trend)
//             ──▶ tests by age (TrendGate) ──▶ quiet · growing · leak
//
// Waiting is the only thing that separates a cache that fills from a leak when memory is all one sees, so a test says
// the more, the older the life is: `growing` from 36 h, `leak` from 72 h if it neither slows nor comes in one step,
// from 112 h if it merely goes on. What a unit's earlier lives did shortens the wait (they grew until they were killed)
// or ends it (they levelled off higher than this one is).
//
// Once found it stays found until it really is over: a plateau for a day, or half of the rise given back. So one life
// has one alert, not one an hour.
//
// A life costs 64 bytes and its ring (nothing while it is flat, at most 1,056 bytes), a reading 3 ns, a bucket that
// closes about 1 µs, and of those there are at most 256 before they become twice as wide.

public import NightjarModel

/// Whether one life of one process holds more and more memory that it never gives back.
///
/// It is told every reading of the life, in order, and answers at once. Age counts from the first reading.
public struct HeapGrowth: Hashable, Sendable {
    /// How far the case has come.
    public enum Stage: UInt8, Hashable, Comparable, Sendable {
        case tooEarly, quiet, growing, leak

        public static func < (a: Stage, b: Stage) -> Bool { a.rawValue < b.rawValue }
    }

    // In the order that leaves no gaps: 64 bytes.
    var first = Moment(nanoseconds: 0)
    var ring = FloorRing()
    /// Lowest and highest reading of the bucket that is open, KiB; infinity = none yet.
    var low = Float.infinity
    var high: Float = 0
    /// The last reading, which an empty bucket holds.
    var last: Float = 0
    /// Age in hours at which the plateau began that may close the finding.
    var calmHour = HeapGrowth.notCalm
    var companions = Companions()
    /// The floor from which the open finding rose, and the highest it came to.
    var openedFrom = LogLevel(code: 0)
    var openedTo = LogLevel(code: 0)
    var prior: Prior
    /// What is found just now.
    public internal(set) var stage = Stage.tooEarly

    static let notCalm = UInt16.max

    /// A life that begins.
    ///
    /// - Parameter prior: what the unit's earlier lives did, `UnitLives.prior`.
    public init(prior: Prior = .none) { self.prior = prior }

    /// Takes one reading and answers with the finding, where there is one.
    ///
    /// - Parameters:
    ///   - subject: asked for only when there is something to say.
    ///   - limit: the memory limit that the process will meet, for the forecast.
    public mutating func observe(
        _ sample: HeapSample, of subject: @autoclosure () -> Subject, _ settings: Settings = Settings(),
        limit: Bytes? = nil
    ) -> Answer {
        switch step(sample, settings) {
        case .tooEarly: .tooEarly
        case .quiet: .quiet
        case .growing, .leak: finding(of: subject(), settings, limit: limit).map(Answer.found) ?? .quiet
        }
    }

    /// Takes one reading; the same as `observe` without words.
    @discardableResult
    public mutating func step(_ sample: HeapSample, _ settings: Settings = Settings()) -> Stage {
        if ring.count == 0, low == .infinity { first = sample.time }
        var age = age(at: sample.time, settings)
        if ring.isWornOut || age - ring.closedUntil > FloorRing.longest { age = beginAnew(at: sample.time) }
        if age >= ring.closedUntil + ring.width {
            let doublings = ring.doublings
            close(until: age)
            if ring.doublings != doublings { companions.growOlder() }
            companions.keep(sample)
            decide(age: age, settings)
        }
        let kibibytes = Float(sample.live.count) / 1024
        low = min(low, kibibytes)
        high = max(high, kibibytes)
        last = kibibytes
        return stage
    }

    /// Seconds since the first reading, in the detector's clock.
    func age(at time: Moment, _ settings: Settings) -> Double {
        max(0, Double(time.nanoseconds &- first.nanoseconds)) / (1e9 * settings.scale)
    }

    /// After a silence longer than the ring (nothing that it holds is evidence any more), or after 20 years.
    private mutating func beginAnew(at time: Moment) -> Double {
        self = HeapGrowth(prior: prior)
        first = time
        return 0
    }

    private mutating func close(until age: Double) {
        while age >= ring.closedUntil + ring.width, !ring.isWornOut {
            if low > high { (low, high) = (last, last) }
            ring.append(FloorBucket(low: LogLevel(kibibytes: low), high: LogLevel(kibibytes: high)))
            low = .infinity
            high = 0
        }
    }

    // MARK: The decision

    private mutating func decide(age: Double, _ settings: Settings) {
        let trend = TrendPair(ring)
        let judged = judge(age: age, trend, settings)
        if judged > stage || stage < .growing {
            if judged >= .growing, let trend { open(trend.short) }
            stage = judged
        } else if judged >= .growing {
            if let trend { openedTo = max(openedTo, LogLevel(kibibytes: trend.short.levels[5])) }
            calmHour = Self.notCalm
        } else if isOver(age: age, trend, settings) {
            stage = .quiet
            calmHour = Self.notCalm
        }
    }

    private mutating func open(_ trend: Trend) {
        if stage < .growing { openedFrom = LogLevel(kibibytes: trend.levels[0]) }
        openedTo = LogLevel(kibibytes: trend.levels[5])
        calmHour = Self.notCalm
    }

    /// What the life looks like now, whatever was found before.
    private func judge(age: Double, _ trend: TrendPair?, _ settings: Settings) -> Stage {
        guard age >= prior.earliest else { return .tooEarly }
        guard !isExpected(settings), let trend else { return .quiet }
        let rise = Float(settings.minimumRise)
        let isLate = age >= Ages.late
        if age >= Ages.early, trend.passes(.early, minimumRise: rise) { return .leak }
        if trend.passes(.late, minimumRise: rise) { return age >= prior.enough ? .leak : .growing }
        if isLate, growsAfterStep(rise) || setsRecord { return .leak }
        return .quiet
    }

    /// Below a bound that the operator gave, or a plateau that earlier lives of the unit reached.
    private func isExpected(_ settings: Settings) -> Bool {
        let level = ring[ring.count - 1].low
        if let limit = settings.heapLimit, level.kibibytes < Float(limit.count) / 1024 { return true }
        return level < prior.expected
    }

    private func growsAfterStep(_ rise: Float) -> Bool {
        guard let step = ring.largestStep, Double(ring.count - step) * ring.width >= Ages.afterStep else {
            return false
        }
        return TrendPair(ring, from: step)?.passes(.afterStep, minimumRise: rise) ?? false
    }

    private var setsRecord: Bool {
        ring.setsRecord(window: Int(Ages.record / ring.width), skipped: Int(Ages.warmUp / ring.width))
    }

    /// A finding ends with a plateau that lasts a day, or with half of the rise given back.
    private mutating func isOver(age: Double, _ trend: TrendPair?, _ settings: Settings) -> Bool {
        let half = (openedFrom.kibibytes + openedTo.kibibytes) / 2
        let newest = ring.lowest(max(0, ring.count - ring.count / 12 - 1)..<ring.count)
        if newest.kibibytes < half || isExpected(settings) { return true }
        guard trend.map({ $0.short.saturation < 0.1 }) ?? true else {
            calmHour = Self.notCalm
            return false
        }
        if calmHour == Self.notCalm { calmHour = UInt16(min(age / 3600, 65_534)) }
        return age - Double(calmHour) * 3600 >= Ages.calm
    }
}
