// Has a process begun to use a whole core, without a rest, that it did not use before?
//
// A thread that serves rests between requests; one in a loop that cannot end adds exactly one core to whatever the
// process used, for ever. So each minute's use (in cores) is held against the process's own earlier minutes:
//
//     cores
//      1.0            ████████████████     pinned: a whole core, clear of the busiest minute, and flat
//      0.2  ▂▁▃▂▁▂▃▂▁                      ordinary minutes: a band from `low` to `high`
//           ───────── stretch ────────▶    found when the stretch is long enough
//
// What keeps honest work quiet: a process that was busy from its first minute has no other history to differ from; one
// that has ended such a stretch by itself before must now be busy twice as long as its longest; one that spends more
// than a fifth of its life like that is known to work hard; a niced one has said so itself. A server under load is not
// flat. Where the core must be shared, a single thread's time in the queue counts as wanting it.
//
// It never says `critical`: a spinning thread costs a core, and only a probe can tell whether the service still answers.

public import NightjarModel

/// One core's worth of CPU, flat, for long and without a rest, in a process that used to be calmer.
///
/// One value a process life, 72 bytes, no allocation; most steps compare two numbers.
public struct CPUSpin: Hashable, Sendable {
    /// The card's settings, worked out once for all processes that share them.
    public struct Settings: Hashable, Sendable {
        /// How long one window lasts: a minute, and never less than a second, for CPU time is counted in ticks.
        let window: Int64
        let atLeast: UInt32
        let warnAfter: UInt32
        let history: UInt32
        let longestPatience: UInt32

        /// - Parameter timeScale: 1 in life; demonstrations shorten every span by it.
        public init(_ values: SettingValues = SettingValues(CPUSpin.card), timeScale: Double = 1) {
            let window = max(1e9, 60e9 * timeScale)
            func windows(_ span: Duration, atLeast least: Double) -> UInt32 {
                UInt32(min(1e9, max(least, (Double(span.nanosecondCount) * timeScale / window).rounded(.up))))
            }
            self.window = Int64(window)
            atLeast = windows(values.duration("AtLeast"), atLeast: 3)
            warnAfter = max(atLeast, windows(values.duration("WarnAfter"), atLeast: 10))
            history = windows(values.duration("History"), atLeast: 5)
            longestPatience = windows(.days(1), atLeast: 60)
        }
    }

    /// The stretch that goes on: how many windows, how many of them short of the core, and the band they stay in.
    private struct Stretch: Hashable, Sendable {
        var windows: UInt32 = 0
        var weak: UInt32 = 0
        var low: Float = .infinity
        var high: Float = 0
        var sum: Float = 0

        var mean: Float { sum / Float(max(1, windows - weak)) }
    }

    private var windowBegan: Int64 = .min
    private var used: Int64 = 0
    private var waited: Int64 = -1
    private var low: Float = .infinity
    private var high: Float = 0
    private var mean: Float = 0
    private var calm: UInt32 = 0
    private var pinned: UInt32 = 0
    private var longest: UInt32 = 0
    private var stretch = Stretch()

    public init() {}

    /// Takes one sample. Samples without CPU time change nothing. `isNiced`: the process has a nice value above zero.
    public mutating func step(
        _ sample: borrowing ProcessSample, isNiced: Bool, _ settings: borrowing Settings
    ) -> Sighting {
        let now = sample.time.nanoseconds
        // Most samples fall within a window; a Duration is 128 bits wide and dear to divide.
        if windowBegan != .min, now &- windowBegan < settings.window { return isNiced ? .quiet : sighting(settings) }
        guard let cpu = sample.cpuTime, !isNiced else { return isNiced ? .quiet : sighting(settings) }
        guard windowBegan != .min else {
            open(at: now, cpu, sample.runDelay)
            return .tooEarly
        }
        let wall = now &- windowBegan
        // After a gap (the agent was away, the host slept) nobody knows how the time was spent.
        if wall < 5 * settings.window {
            let queued = sample.threads == 1 ? Self.queued(since: waited, sample.runDelay) : 0
            let cores = Float(max(0, cpu.nanosecondCount &- used)) / Float(wall)
            close(cores: cores, wanted: cores + Float(queued) / Float(wall), settings)
        }
        open(at: now, cpu, sample.runDelay)
        return sighting(settings)
    }

    private mutating func open(at now: Int64, _ cpu: Duration, _ runDelay: Duration?) {
        windowBegan = now
        used = cpu.nanosecondCount
        waited = runDelay?.nanosecondCount ?? -1
    }

    private static func queued(since waited: Int64, _ runDelay: Duration?) -> Int64 {
        guard waited >= 0, let runDelay else { return 0 }
        return max(0, runDelay.nanosecondCount &- waited)
    }

    private mutating func close(cores: Float, wanted: Float, _ settings: borrowing Settings) {
        guard calm >= settings.history else { return learn(cores) }
        if isPinned(wanted) {
            extend(cores, settings)
        } else if stretch.windows > 0, cores >= 0.6, stretch.weak * 10 < stretch.windows {
            // The host was busy for a moment: one window in ten may fall short.
            stretch.windows += 1
            stretch.weak += 1
        } else {
            endStretch()
            learn(cores)
        }
    }

    /// A whole core, and clear of ordinary times. The loop that spins may be the one that did the ordinary work, so its
    /// core does not always come on top of it.
    private func isPinned(_ wanted: Float) -> Bool { wanted >= max(0.95, mean + 0.6, high + 0.2) }

    private mutating func extend(_ cores: Float, _ settings: borrowing Settings) {
        let band = 0.15 + (high - low)
        let isFlat = max(stretch.high, cores) - min(stretch.low, cores) <= band
        if stretch.windows > stretch.weak, !isFlat { endStretch() }
        stretch.windows += 1
        stretch.low = min(stretch.low, cores)
        stretch.high = max(stretch.high, cores)
        stretch.sum += cores
    }

    private mutating func endStretch() {
        longest = max(longest, stretch.windows)
        pinned &+= stretch.windows
        stretch = Stretch()
    }

    /// The band of ordinary windows: it widens by a quarter of what is new and narrows by a 360th.
    private mutating func learn(_ cores: Float) {
        if calm == 0 { (low, high, mean) = (cores, cores, cores) }
        low += cores < low ? (cores - low) / 4 : (cores - low) / 360
        high += cores > high ? (cores - high) / 4 : (cores - high) / 360
        calm = calm == .max ? calm : calm + 1
        mean += (cores - mean) / Float(min(calm, 360))
    }

    /// What the last window left behind.
    public func sighting(_ settings: borrowing Settings) -> Sighting {
        guard calm >= settings.history else { return .tooEarly }
        guard pinned <= (calm &+ pinned) / 5 else { return .quiet }
        let patience = max(settings.atLeast, min(settings.longestPatience, longest &* 2))
        guard stretch.windows >= patience else { return .quiet }
        return .found(stretch.windows >= max(settings.warnAfter, patience) ? .warning : .notice)
    }

    /// The finding in words, or nil while there is none. Builds text: call it only where somebody is told.
    public func finding(of subject: Subject, _ settings: borrowing Settings) -> Finding? {
        guard case .found(let severity) = sighting(settings) else { return nil }
        let window = Duration.nanoseconds(settings.window)
        let (pinnedFor, watched) = (window * Int(stretch.windows), window * Int(calm))
        let (now, before) = (Self.text(stretch.mean), Self.text(mean))
        let process = subject.process.map { "nightjar stacks \($0.pid)" } ?? ""
        return Finding(
            detector: Self.card.name, subject: subject, severity: severity, verdict: "spinning",
            sentence: stretch.mean >= 0.9
                ? "uses \(now) cores, evenly, for \(pinnedFor.spoken) without a rest; before that \(before)"
                : "wants a whole core for \(pinnedFor.spoken) without a rest and gets \(now); before that \(before)",
            details: [
                "ordinary minutes: \(Self.text(low)) to \(Self.text(high)) cores over \(watched.spoken)",
                longest > 0
                    ? "longest such stretch before: \((window * Int(longest)).spoken)" : "no such stretch before",
            ],
            evidence: [
                EvidenceField("cores", .ratio(Self.rounded(stretch.mean))),
                EvidenceField("usual_cores", .ratio(Self.rounded(mean))),
                EvidenceField("pinned", .duration(pinnedFor)), EvidenceField("watched", .duration(watched)),
                EvidenceField("longest_before", .duration(window * Int(longest))),
            ], nextStep: process)
    }

    private static func rounded(_ value: Float) -> Double { (Double(value) * 1000).rounded() / 1000 }

    /// Two digits after the point, without Foundation: `1.00`.
    private static func text(_ value: Float) -> String {
        let hundredths = Int((value.isFinite ? max(0, value) : 0) * 100 + 0.5)
        let rest = hundredths % 100
        return "\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest)"
    }
}

extension CPUSpin {
    /// The same as `step`, answered in words.
    public mutating func observe(
        _ sample: borrowing ProcessSample, of subject: @autoclosure () -> Subject, isNiced: Bool = false,
        _ settings: borrowing Settings
    ) -> Answer {
        switch step(sample, isNiced: isNiced, settings) {
        case .quiet: .quiet
        case .tooEarly: .tooEarly
        case .found: finding(of: subject(), settings).map(Answer.found) ?? .quiet
        }
    }

    /// True once there is a history that a restart of the agent should not cost.
    public var hasState: Bool { calm > 0 }

    private static let version: UInt8 = 1

    /// Appends the state, versioned; `init(decoding:)` reads it back to an equal value.
    public func encode(into bytes: inout [UInt8]) {
        bytes.append(Self.version)
        for value in [windowBegan, used, waited] { bytes.append(integer: value) }
        for value in [low, high, mean, stretch.low, stretch.high, stretch.sum] { bytes.append(float: value) }
        for value in [calm, pinned, longest, stretch.windows, stretch.weak] { bytes.append(integer: value) }
    }

    /// Nil for another version or corrupt bytes: then start with `init()`.
    public init?(decoding reader: inout ByteReader) {
        guard reader.integer(UInt8.self) == Self.version, let began: Int64 = reader.integer(),
            let used: Int64 = reader.integer(), let waited: Int64 = reader.integer(),
            let floats = Self.read(6, { reader.float() }), let counts = Self.read(5, { reader.integer(UInt32.self) }),
            floats.allSatisfy({ !$0.isNaN }), counts[4] <= counts[3]
        else { return nil }
        (windowBegan, self.used, self.waited) = (began, used, waited)
        (low, high, mean) = (floats[0], floats[1], floats[2])
        (calm, pinned, longest) = (counts[0], counts[1], counts[2])
        stretch = Stretch(windows: counts[3], weak: counts[4], low: floats[3], high: floats[4], sum: floats[5])
    }

    private static func read<T>(_ count: Int, _ next: () -> T?) -> [T]? {
        var values: [T] = []
        for _ in 0..<count {
            guard let value = next() else { return nil }
            values.append(value)
        }
        return values
    }
}
