// Is a loop late because the host gives it no processor?
//
// The mirror of LoopStall: of every late job, the time in which the loop's thread was ready and stood in the scheduler's
// queue. It is nobody's bug in the service; the host is too full, or the control group's CPU quota is too small.

public import NightjarModel

/// A loop that is ready and has no processor. One value a loop, about 0.3 KiB.
public struct LoopStarved: Hashable, Sendable {
    /// The card's settings, worked out once for all loops that share them.
    public struct Settings: Hashable, Sendable {
        var perMinute: Duration

        public init(_ values: SettingValues = SettingValues(LoopStarved.card)) {
            perMinute = values.duration("StarvedPerMinute")
        }
    }

    private var starved = SecondsWindow()
    private var isFound = false
    private var began: Moment?
    private var byQuota = false

    public init() {}

    /// One look at the loop.
    public mutating func observe(_ sample: LoopSample, _ settings: Settings = Settings()) -> Answer {
        began = began ?? sample.time
        starved.add(sample.starved, at: sample.time)
        if sample.starved > .zero { byQuota = sample.starvedByQuota }
        let minute = starved.sum(last: 60)
        let isNew = minute >= settings.perMinute && starved.sum(last: 10) >= settings.perMinute / 6
        isFound = isNew || isFound && minute >= settings.perMinute / 2
        guard isFound else { return sample.time - (began ?? sample.time) < .seconds(10) ? .tooEarly : .quiet }
        return .found(finding(sample, minute))
    }

    private func finding(_ sample: LoopSample, _ minute: Duration) -> Finding {
        let whose = byQuota ? "its CPU quota was used up" : "the host had no processor for it"
        return Finding(
            detector: "LoopStarved", subject: sample.subject, cause: byQuota ? "quota" : "host", severity: .notice,
            verdict: byQuota ? "quota" : "host",
            sentence: "\(sample.loop) was ready to run for \(minute.spoken) of the last 60 s, but \(whose)",
            evidence: [EvidenceField("starved", .duration(minute))])
    }
}
