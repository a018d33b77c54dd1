// One file system's life as DiskFill and InodeFill see it: four conditions side by side, each with its own end.
//
//     forecast   the time to full (FillForecast) was under `within` at two evaluations running
//                ends when it was not at three running, or at once when space came back
//     burst      FillBurst: at this pace nothing is left soon
//     backstop   less than `floorShare` is free, whatever the history says; ends 1.2 times above it
//     full       nothing is free; ends only with space, never because nobody can write any more
//
// The worst of them speaks: full before burst before forecast before backstop.

public import NightjarModel

/// What a file system (its bytes, or its inodes) is found to be doing.
public struct FillState: Hashable, Sendable {
    /// The conditions, worst first.
    public enum Stage: String, Hashable, Sendable, CaseIterable {
        case full, burst, forecast, backstop
    }

    /// Conditions that hold now, worst first.
    public var stages: [Stage] = []
    /// Time until nothing is free: of the burst where there is one, else of the forecast.
    public var timeLeft: Duration?
    /// Units a second, where a burst was measured.
    public var pace: Double?
    /// True where less than an hour of history is there and nothing is wrong yet.
    public var isTooEarly = false
    /// Set in rounds that evaluated the forecast: what it said.
    public var evaluation: Evaluation?
    /// Since when the worst condition holds.
    public var since: Moment?
    /// Nothing moved for a day: somebody filled it on purpose.
    public var isIdle = false

    /// One forecast: when it was made, and the time to full that it named, if any.
    public struct Evaluation: Hashable, Sendable {
        public var time: Moment
        public var timeToFull: Duration?
    }

    public var stage: Stage? { stages.first }
}

/// The settings of DiskFill and InodeFill.
public struct FillSettings: Hashable, Sendable {
    /// A forecast nearer than this is a finding.
    public var within: Duration = .hours(24)
    /// Less free than this share of the size is a finding without any forecast.
    public var floorShare = 0.05
    /// The backstop asks for no more than this many units, however large the file system.
    public var floorAtMost = Double.infinity
    public var evaluateEvery: Duration = .minutes(30)

    public init() {}
}

/// The conditions of one file system; a value, restart-equal through `encode`. At most 10 KiB.
public struct FillWatch: Sendable, Equatable {
    private(set) var history: FillHistory?
    private var bursts = FillBurst.all
    private var nextEvaluation = Moment(nanoseconds: 0)
    private(set) var timeToFull: Duration?
    private var near = 0
    private var far = 0
    private var since: [FillState.Stage: Moment] = [:]
    private var highestUsed = 0.0
    private var lastTime: Moment?
    /// Whether anything ever held: what was found and is over is quiet, however young the history is.
    private var hasFound = false

    init() {}

    /// One reading. `size` and `available` in bytes or inodes; `available` as ordinary users see it.
    mutating func observe(size: Double, available: Double, at time: Moment, _ settings: FillSettings) -> FillState {
        var state = FillState()
        guard size > 0 else { return state }
        if let lastTime, time < lastTime { return summary(into: state, at: time) }
        lastTime = time
        let used = size - available
        remember(used, at: time, settings)
        evaluateIfDue(used, size: size, at: time, settings, into: &state)
        observeBurst(used, size: size, at: time, into: &state)
        observeLimits(size: size, available: available, at: time, settings)
        state.isIdle = isIdle(size: size)
        return summary(into: state, at: time)
    }

    private mutating func remember(_ used: Double, at time: Moment, _ settings: FillSettings) {
        let before = history?.began
        if history == nil { history = FillHistory(began: time, used: used) } else { history?.append(used, at: time) }
        if history?.began != before { nextEvaluation = time + .hours(1) }
    }

    // MARK: Forecast

    private mutating func evaluateIfDue(
        _ used: Double, size: Double, at time: Moment, _ settings: FillSettings, into state: inout FillState
    ) {
        highestUsed = max(highestUsed, used)
        // Space that came back is judged at once: an alert clears within a round, not within half an hour.
        let cameBack = since[.forecast] != nil && highestUsed - used > 0.02 * size
        let isDue = time >= nextEvaluation
        guard isDue || cameBack, let history else { return }
        timeToFull = FillForecast.timeToFull(history, size: size)
        highestUsed = used
        let isNear = timeToFull.map { $0 < settings.within } ?? false
        if isDue {
            state.evaluation = .init(time: time, timeToFull: timeToFull)
            while nextEvaluation <= time { nextEvaluation = nextEvaluation + settings.evaluateEvery }
            near = isNear ? near + 1 : 0
            let isStillNear = timeToFull.map { $0 < settings.within * 1.5 } ?? false
            far = isStillNear ? 0 : far + 1
        }
        if near >= 2 { set(.forecast, true, at: time) }
        if far >= 3 || (cameBack && !isNear) { set(.forecast, false, at: time) }
    }

    // MARK: Burst

    private mutating func observeBurst(_ used: Double, size: Double, at time: Moment, into state: inout FillState) {
        var fastest: Double?
        for position in bursts.indices {
            guard let pace = bursts[position].observe(used, size: size, at: time) else { continue }
            fastest = max(fastest ?? 0, pace)
        }
        guard let fastest, !isUsual(used: used, size: size) else {
            set(.burst, false, at: time)
            return
        }
        set(.burst, true, at: time)
        state.pace = fastest
        state.timeLeft = .seconds(max(0, size - used) / fastest)
    }

    /// True where the last week rose as high within three hours, and the highest such rise would still fit from here.
    private func isUsual(used: Double, size: Double) -> Bool {
        guard let history, history.count > FillHistory.slotsPerDay else { return false }
        let around = 3 * FillHistory.slotsPerHour
        let values = history.last(7 * FillHistory.slotsPerDay)
        let now = values.count - around
        let start = values[now...].min() ?? used
        var height = 0.0
        for position in around..<now {
            let rise = values[position] - values[position - around]
            guard rise > height || values[position] > values[position - 1] else { continue }
            height = max(height, values[position] - (values[(position - around)...position].min() ?? 0))
        }
        return height >= 0.9 * (used - start) && start + 1.1 * height < size
    }

    // MARK: Limits

    private mutating func observeLimits(size: Double, available: Double, at time: Moment, _ settings: FillSettings) {
        let floor = min(settings.floorShare * size, settings.floorAtMost)
        if available < floor { set(.backstop, true, at: time) }
        if available > 1.2 * floor { set(.backstop, false, at: time) }
        let nothing = min(0.001 * size, 16 * 1_048_576)
        if available <= nothing { set(.full, true, at: time) }
        if available > 4 * nothing, available >= min(0.01 * size, 1_073_741_824) { set(.full, false, at: time) }
    }

    private func isIdle(size: Double) -> Bool {
        guard since[.backstop] != nil, let history, history.count >= FillHistory.slotsPerDay else { return false }
        let day = history.last(FillHistory.slotsPerDay)
        return (day.max() ?? 0) - (day.min() ?? 0) < 0.001 * size
    }

    // MARK: The answer

    private mutating func set(_ stage: FillState.Stage, _ holds: Bool, at time: Moment) {
        if holds { hasFound = true }
        if !holds { since[stage] = nil } else if since[stage] == nil { since[stage] = time }
    }

    private func summary(into given: FillState, at time: Moment) -> FillState {
        var state = given
        state.stages = FillState.Stage.allCases.filter { since[$0] != nil }
        state.since = state.stage.flatMap { since[$0] }
        if state.timeLeft == nil { state.timeLeft = timeToFull }
        if state.stages.isEmpty, !hasFound, let history, time - history.began < .hours(1) { state.isTooEarly = true }
        return state
    }
}

extension FillWatch {
    private static let version: UInt8 = 1

    /// Everything but the burst windows, which cover less time than a restart takes.
    func encode(into out: inout [UInt8]) {
        out.append(Self.version)
        guard let history else {
            out.append(0)
            return
        }
        out.append(1)
        history.encode(into: &out)
        out.append(moment: nextEvaluation)
        out.append(double: timeToFull?.inSeconds ?? -1)
        out.append(UInt8(min(near, 200)))
        out.append(UInt8(min(far, 200)))
        out.append(double: highestUsed)
        for stage in FillState.Stage.allCases {
            out.append(moment: since[stage] ?? Moment(nanoseconds: .min))
        }
    }

    /// nil: another version, or corrupt.
    init?(decoding reader: inout ByteReader) {
        guard reader.integer(UInt8.self) == Self.version, let isThere = reader.integer(UInt8.self) else { return nil }
        if isThere == 0 { return }
        guard let history = FillHistory(decoding: &reader), let next = reader.moment(), let left = reader.double(),
            let near = reader.integer(UInt8.self), let far = reader.integer(UInt8.self), let highest = reader.double(),
            left.isFinite, highest.isFinite
        else { return nil }
        self.history = history
        nextEvaluation = next
        timeToFull = left >= 0 ? .seconds(min(left, 1e9)) : nil
        self.near = Int(near)
        self.far = Int(far)
        highestUsed = highest
        for stage in FillState.Stage.allCases {
            guard let moment = reader.moment() else { return nil }
            if moment.nanoseconds != .min { since[stage] = moment }
        }
        hasFound = !since.isEmpty
    }
}
