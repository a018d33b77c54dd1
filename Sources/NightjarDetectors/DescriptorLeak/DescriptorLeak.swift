// Does a process open descriptors that it never closes, and when will it run out of them?
//
// A descriptor that is not given back is worth one whole number, without an allocator's noise, so the floor of the
// count is exact (see CountGrowth.swift for the method). What makes it urgent is RLIMIT_NOFILE: at the limit `accept`,
// `open` and `socket` fail, and the service is down though its process still stands. The soft limit is often 1,024.
//
// The count comes from the size of `/proc/PID/fd` (Linux 6.2 and later) and costs one `stat` a sample.

public import NightjarModel

/// Descriptors that rise and are never given back, with the time left until the process's limit.
///
/// One value a process life: 120 bytes, and 208 more once the count has left its lowest value by 8. A step costs about
/// 30 ns and allocates nothing but that once.
public struct DescriptorLeak: Hashable, Sendable {
    /// The card's settings, worked out once for all processes that share them.
    public struct Settings: Hashable, Sendable {
        let policy: CountPolicy
        let gates: CountPolicy.Gates

        /// - Parameter timeScale: 1 in life; demonstrations shorten every span by it.
        public init(_ values: SettingValues = SettingValues(DescriptorLeak.card), timeScale: Double = 1) {
            policy = CountPolicy(values, margin: 8, timeScale: timeScale)
            gates = policy.gates
        }
    }

    private var growth = CountGrowth()
    private var bound: CountBound?

    public init() {}

    /// Takes one sample. A sample without a descriptor count changes nothing.
    public mutating func step(_ sample: borrowing ProcessSample, _ settings: borrowing Settings) -> Sighting {
        guard let count = sample.descriptors, count >= 0 else { return sighting }
        let used = UInt32(clamping: count)
        if let limit = sample.descriptorLimit { bound = CountBound(limit: UInt32(clamping: limit), used: used) }
        bound?.used = used
        _ = growth.step(used, at: sample.time, bound: bound, settings.policy, settings.gates)
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
    public func finding(of subject: Subject) -> Finding? {
        guard case .found(let severity) = sighting, let rise = growth.rise else { return nil }
        let words = CountWords(noun: "descriptors", rise: rise, bound: bound, stage: growth.stage)
        return Finding(
            detector: Self.card.name, subject: subject, severity: severity, verdict: words.verdict,
            sentence: words.sentence, details: [words.pace], evidence: words.evidence,
            nextStep: Self.nextStep(for: subject))
    }

    private static func nextStep(for subject: Subject) -> String {
        guard let process = subject.process else { return "" }
        return "ls -l /proc/\(process.pid)/fd   # sockets, pipes or files?"
    }

    /// The same as `step`, answered in words.
    public mutating func observe(
        _ sample: borrowing ProcessSample, of subject: @autoclosure () -> Subject, _ settings: borrowing Settings
    ) -> Answer {
        switch step(sample, settings) {
        case .quiet: .quiet
        case .tooEarly: .tooEarly
        case .found: finding(of: subject()).map(Answer.found) ?? .quiet
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
