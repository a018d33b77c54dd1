// Does a process start threads that never end, and when will no more be allowed?
//
// The method is CountGrowth's. The limit is not the process's own: a cgroup's `pids.max` (systemd's TasksMax=, by
// default 15 % of the host's) counts every task below it, so the forecast takes all of them as used. At the limit
// `pthread_create` and `fork` fail with EAGAIN, and not only in the process that leaks.
//
// A pool that grows on demand and is kept settles, and one that shrinks gives back: both stay quiet.

public import NightjarModel

/// How many tasks are allowed where a process lives, and by whom.
public struct TaskBound: Hashable, Sendable {
    /// `pids.max`.
    public var limit: Int
    /// `pids.current`: of all processes under the limit together.
    public var used: Int
    /// The cgroup's unit, or `this host`.
    public var limitedBy: String

    public init(limit: Int, used: Int, limitedBy: String) {
        self.limit = limit
        self.used = used
        self.limitedBy = limitedBy
    }
}

/// Threads that are started and never end, with the time left until the tasks of their cgroup are used up.
///
/// One value a process life: 120 bytes, and 208 more once the count has left its lowest value by 4. A step costs about
/// 30 ns.
public struct ThreadLeak: Hashable, Sendable {
    /// The card's settings, worked out once for all processes that share them.
    public struct Settings: Hashable, Sendable {
        let policy: CountPolicy
        let gates: CountPolicy.Gates

        /// - Parameter timeScale: 1 in life; demonstrations shorten every span by it.
        public init(_ values: SettingValues = SettingValues(ThreadLeak.card), timeScale: Double = 1) {
            policy = CountPolicy(values, margin: 4, timeScale: timeScale)
            gates = policy.gates
        }
    }

    private var growth = CountGrowth()
    private var bound: CountBound?

    public init() {}

    /// Takes one sample and, where known, the limit that it lives under. A sample without threads changes nothing.
    public mutating func step(
        _ sample: borrowing ProcessSample, under tasks: TaskBound?, _ settings: borrowing Settings
    ) -> Sighting {
        guard let count = sample.threads, count >= 0 else { return sighting }
        bound = tasks.map { CountBound(limit: UInt32(clamping: $0.limit), used: UInt32(clamping: $0.used)) }
        _ = growth.step(UInt32(clamping: count), at: sample.time, bound: bound, settings.policy, settings.gates)
        return sighting
    }

    /// What the last sample left behind.
    public var sighting: Sighting {
        switch growth.stage {
        case .tooEarly: .tooEarly
        case .quiet: .quiet
        case .growing: .found(.notice)
        case .leak, .runningOut: .found(.warning)
        case .nearlyOut: .found(.critical)
        }
    }

    /// The finding in words, or nil while there is none. Builds text: call it only where somebody is told.
    public func finding(of subject: Subject, under tasks: TaskBound?) -> Finding? {
        guard case .found(let severity) = sighting, let rise = growth.rise else { return nil }
        let words = CountWords(
            noun: "threads", rise: rise, bound: bound, stage: growth.stage, limitedBy: tasks?.limitedBy)
        return Finding(
            detector: Self.card.name, subject: subject, severity: severity, verdict: words.verdict,
            sentence: words.sentence, details: [words.pace], evidence: words.evidence,
            nextStep: Self.nextStep(for: subject))
    }

    private static func nextStep(for subject: Subject) -> String {
        guard let process = subject.process else { return "" }
        return "cat /proc/\(process.pid)/task/*/comm | sort | uniq -c   # which pool?"
    }

    /// The same as `step`, answered in words.
    public mutating func observe(
        _ sample: borrowing ProcessSample, of subject: @autoclosure () -> Subject, under tasks: TaskBound? = nil,
        _ settings: borrowing Settings
    ) -> Answer {
        switch step(sample, under: tasks, settings) {
        case .quiet: .quiet
        case .tooEarly: .tooEarly
        case .found: finding(of: subject(), under: tasks).map(Answer.found) ?? .quiet
        }
    }

    /// True once there is a history that a restart of the agent should not cost.
    public var hasState: Bool { !growth.history.isEmpty }

    /// Appends the state, versioned; `init(decoding:)` reads it back to an equal value.
    public func encode(into bytes: inout [UInt8]) { growth.encode(into: &bytes) }

    /// Nil for another version or corrupt bytes: then start with `init()`. The limit comes back with the next sample.
    public init?(decoding reader: inout ByteReader) {
        guard let growth = CountGrowth(decoding: &reader) else { return nil }
        self.growth = growth
    }
}
