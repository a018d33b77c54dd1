// Decides whether a count grows without bound, or will meet its limit soon. DescriptorLeak and ThreadLeak are this
// with their own words and numbers.
//
//     running out   the floor rises evenly and reaches the limit within hours: this must not wait for days
//     nearly out    the same within the hour, or nineteen twentieths are gone
//     growing       18 h of even rise: longer than the rising half of any working day
//     leak          a day of even rise, or a day and a half of rise in fits and starts
//
// A morning's rush looks like a leak until the evening, so nothing but the nearness of the limit is called by name
// before a whole day was seen. The history begins when the count leaves its lowest value and is forgotten when it comes
// back to it: a pool that empties every night never grows old enough, and a process that never moves costs no memory.

import NightjarModel

/// How near the limit is: of descriptors the process's own, of threads that of everything that shares the limit.
struct CountBound: Hashable, Sendable {
    var limit: UInt32
    var used: UInt32

    var share: Double { limit == 0 ? 1 : Double(used) / Double(limit) }
}

struct CountPolicy: Hashable, Sendable {
    /// How far above its lowest value a count must be before anything is remembered.
    var margin: UInt32
    var minimumRise: UInt32
    var minimumAge: Duration
    /// Share of the limit from which a short rise is enough.
    var nearLimit: Double
    var forecastWithin: Duration
    /// 1 in life; demonstrations shorten every span by it.
    var scale = 1.0

    /// What DescriptorLeak's and ThreadLeak's cards both let an operator set.
    init(_ values: SettingValues, margin: UInt32, timeScale: Double) {
        self.margin = margin
        minimumRise = UInt32(clamping: values.count("MinimumRise"))
        minimumAge = values.duration("MinimumAge")
        nearLimit = values.share("NearLimit")
        forecastWithin = values.duration("ForecastWithin")
        scale = timeScale
    }

    /// The finished gates in nanoseconds, worked out once per policy and not per sample.
    var gates: Gates { Gates(self) }

    struct Gates: Hashable, Sendable {
        var leak: Int64
        var lateLeak: Int64
        var growing: Int64
        var forecast: Int64
        var hour: Int64
        var young: Int64
        var shortestQuiet: Int64
        var longestQuiet: Int64

        init(_ policy: CountPolicy) {
            func scaled(_ seconds: Double) -> Int64 { Int64(min(9e18, seconds * 1e9 * policy.scale)) }
            let age = policy.minimumAge.inSeconds
            leak = scaled(age)
            lateLeak = scaled(age * 1.5)
            growing = scaled(age * 0.75)
            forecast = scaled(policy.forecastWithin.inSeconds)
            hour = scaled(3600)
            young = scaled(600)
            shortestQuiet = scaled(600)
            longestQuiet = scaled(86_400)
        }
    }
}

enum CountStage: UInt8, Comparable, Sendable {
    case tooEarly, quiet, growing, leak, runningOut, nearlyOut

    static func < (a: CountStage, b: CountStage) -> Bool { a.rawValue < b.rawValue }
    var isFound: Bool { self >= .growing }
}

/// What was found, for the sentence.
struct CountRise: Hashable, Sendable {
    var from: UInt32
    var to: UInt32
    /// Nanoseconds that the evidence looks back.
    var span: Int64
    /// Per nanosecond.
    var rate: Float
    var tau: Float
    var pace: Float
}

struct CountGrowth: Hashable, Sendable {
    private(set) var stage: CountStage = .tooEarly
    private(set) var rise: CountRise?
    private var lowest: UInt32 = .max
    private var highestFloor: UInt32 = 0
    private var roseAt: Int64 = 0
    private(set) var history = CountHistory()

    /// One count at one time. Without allocation but for the one array when the history begins; a few nanoseconds while the
    /// count stays near its lowest value.
    mutating func step(
        _ count: UInt32, at time: Moment, bound: CountBound?, _ policy: CountPolicy,
        _ gates: CountPolicy.Gates
    ) -> CountStage {
        if history.isEmpty {
            lowest = min(lowest, count)
            guard count >= lowest &+ policy.margin else { return settle(.quiet) }
            history.begin(at: time, scale: policy.scale)
            stage = .tooEarly
        } else if count <= lowest &+ policy.margin / 2 {
            lowest = min(lowest, count)
            history.forget()
            return settle(.quiet)
        }
        guard history.add(count, at: time.nanoseconds, scale: policy.scale) else { return stage }
        judge(at: time.nanoseconds, bound, policy, gates)
        return stage
    }

    private mutating func settle(_ stage: CountStage) -> CountStage {
        self.stage = stage
        rise = nil
        return stage
    }

    private mutating func judge(
        at time: Int64, _ bound: CountBound?, _ policy: CountPolicy, _ gates: CountPolicy.Gates
    ) {
        noteFloor(at: time)
        let age = time &- history.began.nanoseconds
        let verdict = exhaustion(age: age, bound, policy, gates) ?? growth(age: age, policy, gates)
        if let verdict, verdict.stage.isFound {
            // While it lasts it is not called less than it was: the severity would only flap.
            stage = max(stage, verdict.stage)
            rise = verdict.rise
            (highestFloor, roseAt) = (history.newestFloor ?? highestFloor, time)
        } else if !stage.isFound || isOver(at: time, bound, policy, gates) {
            rise = nil
            stage = verdict?.stage ?? .quiet
        }
    }

    private mutating func noteFloor(at time: Int64) {
        guard let floor = history.newestFloor, floor > highestFloor else { return }
        highestFloor = floor
        roseAt = time
    }

    /// The limit will be met soon: over the whole life, or, near it, over the last minutes alone.
    private func exhaustion(
        age: Int64, _ bound: CountBound?, _ policy: CountPolicy, _ gates: CountPolicy.Gates
    ) -> (stage: CountStage, rise: CountRise)? {
        guard let bound, bound.share >= min(0.5, policy.nearLimit) else { return nil }
        let near = bound.share >= policy.nearLimit
        let free = Double(bound.limit) - Double(min(bound.used, bound.limit))
        func verdict(_ evidence: CountEvidence, width: Int64) -> (stage: CountStage, rise: CountRise)? {
            guard evidence.rise >= policy.margin / 2 else { return nil }
            let rise = CountRise(evidence, width: width)
            let eta = free / Double(rise.rate)
            guard eta <= Double(gates.forecast) else { return nil }
            let urgent = eta <= Double(gates.hour) || bound.share >= 0.95
            return (urgent ? .nearlyOut : .runningOut, rise)
        }
        if age >= gates.young || near, let whole = history.lifeEvidence(share: 0.8), whole.isLenient,
            let half = history.lifeEvidence(share: 0.5), half.isStrict,
            let found = verdict(half, width: history.lifeWidth(policy.scale))
        {
            return found
        }
        guard near, let recent = history.recentEvidence, recent.isStrict else { return nil }
        // The longer rise says more, where there is one.
        if let half = history.lifeEvidence(share: 0.5), half.isLenient,
            let found = verdict(half, width: history.lifeWidth(policy.scale))
        {
            return found
        }
        return verdict(recent, width: history.recentWidth(policy.scale))
    }

    /// A rise over most of the life and over its newer half, by age. Rising but too young is "too early".
    private func growth(age: Int64, _ policy: CountPolicy, _ gates: CountPolicy.Gates)
        -> (stage: CountStage, rise: CountRise)?
    {
        guard let whole = history.lifeEvidence(share: 0.8), let half = history.lifeEvidence(share: 0.5),
            whole.isLenient, half.isLenient, whole.rise >= policy.minimumRise,
            Double(whole.rise) >= 0.1 * Double(max(whole.from, 1))
        else { return history.lifeCount < 12 ? (.tooEarly, CountRise()) : nil }
        let strict = whole.isStrict && half.isStrict
        let rise = CountRise(whole, width: history.lifeWidth(policy.scale))
        if age >= gates.lateLeak || strict && age >= gates.leak { return (.leak, rise) }
        if strict && age >= gates.growing { return (.growing, rise) }
        return (.tooEarly, rise)
    }

    /// Half of the rise was given back, or the floor has not risen for half of the time that the rise took.
    private func isOver(
        at time: Int64, _ bound: CountBound?, _ policy: CountPolicy, _ gates: CountPolicy.Gates
    ) -> Bool {
        guard let rise, let floor = history.newestFloor else { return true }
        if floor <= rise.from &+ (rise.to - rise.from) / 2 { return true }
        let patience = min(max(rise.span / 2, gates.shortestQuiet), gates.longestQuiet)
        return time &- roseAt >= patience
    }
}

extension CountRise {
    init() { (from, to, span, rate, tau, pace) = (0, 0, 0, 0, 0, 0) }

    init(_ evidence: CountEvidence, width: Int64) {
        from = evidence.from
        to = evidence.to
        span = Int64(Double(evidence.buckets) * Double(width))
        rate = Float(evidence.rate(width: width))
        tau = Float(evidence.tau)
        pace = Float(evidence.pace)
    }
}

extension CountGrowth {
    static let version: UInt8 = 1

    func encode(into bytes: inout [UInt8]) {
        bytes.append(Self.version)
        bytes.append(stage.rawValue)
        for value in [lowest, highestFloor] { bytes.append(integer: value) }
        bytes.append(integer: roseAt)
        bytes.append(UInt8(rise == nil ? 0 : 1))
        if let rise {
            for value in [rise.from, rise.to] { bytes.append(integer: value) }
            bytes.append(integer: rise.span)
            for value in [rise.rate, rise.tau, rise.pace] { bytes.append(float: value) }
        }
        history.encode(into: &bytes)
    }

    init?(decoding reader: inout ByteReader) {
        guard reader.integer(UInt8.self) == Self.version,
            let stage = reader.integer().flatMap(CountStage.init(rawValue:)),
            let lowest: UInt32 = reader.integer(), let highestFloor: UInt32 = reader.integer(),
            let roseAt: Int64 = reader.integer(), let hasRise: UInt8 = reader.integer(), hasRise <= 1
        else { return nil }
        (self.stage, self.lowest, self.highestFloor, self.roseAt) = (stage, lowest, highestFloor, roseAt)
        if hasRise == 1 {
            guard let from: UInt32 = reader.integer(), let to: UInt32 = reader.integer(), to >= from,
                let span: Int64 = reader.integer(), span >= 0, let rate = reader.float(),
                let tau = reader.float(), let pace = reader.float()
            else { return nil }
            guard rate.isFinite, rate > 0 else { return nil }
            rise = CountRise(from: from, to: to, span: span, rate: rate, tau: tau, pace: pace)
        }
        guard stage.isFound == (rise != nil), let history = CountHistory(decoding: &reader) else { return nil }
        self.history = history
    }
}
