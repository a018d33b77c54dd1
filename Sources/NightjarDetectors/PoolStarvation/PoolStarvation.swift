// Is the cooperative pool exhausted?
//
// Swift concurrency runs all tasks on as many threads as there are processors, and adds none. Where each of them sits in a
// blocking call, no task goes on, and nothing crashes, logs or times out. The probe leaves a task of high priority in the
// pool; where it cannot begin and every thread is taken, the sample says for how long, and by whom.

public import NightjarModel

/// No task can begin, because every thread of the cooperative pool is taken. One value a service.
public struct PoolStarvation: Hashable, Sendable {
    /// The card's settings, worked out once for all services that share them.
    public struct Settings: Hashable, Sendable {
        var atLeast: Duration
        var critical: Duration

        public init(_ values: SettingValues = SettingValues(PoolStarvation.card)) {
            atLeast = values.duration("AtLeast")
            critical = values.duration("Critical")
        }
    }

    private var foundAt: Moment?
    private var longest: Duration = .zero
    private var worst: StallEvidence?
    private var isCritical = false

    public init() {}

    /// One look at the pool.
    public mutating func observe(_ sample: PoolSample, _ settings: Settings = Settings()) -> Answer {
        if let worst = sample.worst { self.worst = worst }
        if let exhausted = sample.exhausted, exhausted >= settings.atLeast {
            foundAt = sample.time
            longest = max(longest, exhausted)
            isCritical = isCritical || exhausted >= settings.critical
        }
        guard let foundAt, sample.time - foundAt < .seconds(60) else {
            self = PoolStarvation()
            return .quiet
        }
        return .found(finding(sample))
    }

    private func finding(_ sample: PoolSample) -> Finding {
        let span =
            if let open = sample.exhausted {
                "no task can begin for \(open.spoken)"
            } else {
                "no task could begin for \(longest.spoken)"
            }
        let who = worst.map { $0.function.isEmpty ? "" : ", held by \($0.function)" } ?? ""
        return Finding(
            detector: "PoolStarvation", subject: sample.subject, severity: isCritical ? .critical : .warning,
            verdict: "exhausted", sentence: "every thread of the cooperative pool is taken, \(span)\(who)",
            details: worst?.lines ?? [],
            evidence: [
                EvidenceField("exhausted", .duration(max(longest, sample.exhausted ?? .zero))),
                EvidenceField("function", .text(worst?.function ?? "")),
            ],
            nextStep: sample.process.map { "nightjar stacks \($0.pid)" } ?? "")
    }
}
