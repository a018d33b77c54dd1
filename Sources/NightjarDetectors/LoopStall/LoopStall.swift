// Is a loop held up by its own service?
//
// A loop's lag is what a job waits that comes now. Part of it is the host's doing: the loop is ready and no processor is free.
// That part is taken off first; on a busy host it is nearly all of it, and every statistic of the plain lag alarms for
// nothing. Of the rest, everything above 20 ms is added up:
//
//     one stall of 2 s, over or still going on        critical: whoever talks to this loop waits that long
//     600 ms in the last minute, still in the last 10 s   warning: one per cent of all time, and it goes on
//
// Single stalls below that are recorded with their stacks and alarm nobody. It ends when a minute holds less than half.

public import NightjarModel

/// A loop that its own service holds up. One value a loop, about 0.4 KiB.
public struct LoopStall: Hashable, Sendable {
    /// The card's settings, worked out once for all loops that share them.
    public struct Settings: Hashable, Sendable {
        var perMinute: Duration
        var hang: Duration

        public init(_ values: SettingValues = SettingValues(LoopStall.card)) {
            perMinute = values.duration("BlockedPerMinute")
            hang = values.duration("Hang")
        }
    }

    private var blocked = SecondsWindow()
    private var isFound = false
    private var began: Moment?
    private var hangSeenAt: Moment?
    private var longest: Duration = .zero
    private var worst: StallEvidence?
    private var worstAt: Moment?

    public init() {}

    /// One look at the loop, at most every few ms, at least every few seconds while a stall goes on.
    public mutating func observe(_ sample: LoopSample, _ settings: Settings = Settings()) -> Answer {
        began = began ?? sample.time
        blocked.add(sample.blocked, at: sample.time)
        remember(sample)
        let hang = max(sample.longest, sample.open ?? .zero)
        if hang >= settings.hang { hangSeenAt = sample.time }
        let minute = blocked.sum(last: 60)
        let isHanging = hangSeenAt.map { sample.time - $0 < .seconds(60) } ?? false
        let isBusy = minute >= settings.perMinute && blocked.sum(last: 10) >= settings.perMinute / 6
        let isStill = isFound && minute >= settings.perMinute / 2
        isFound = isHanging || isBusy || isStill
        guard isFound else { return sample.time - (began ?? sample.time) < .seconds(10) ? .tooEarly : .quiet }
        return .found(finding(sample, minute, isHanging: isHanging))
    }

    /// The worst stall of the last minute is the one that is shown.
    private mutating func remember(_ sample: LoopSample) {
        if let worstAt, sample.time - worstAt > .seconds(60) {
            worst = nil
            self.worstAt = nil
            longest = .zero
        }
        longest = max(longest, sample.longest, sample.open ?? .zero)
        guard let candidate = sample.worst else { return }
        if worst == nil || candidate.duration >= (worst?.duration ?? .zero) {
            worst = candidate
            worstAt = sample.time
        }
    }

    private func finding(_ sample: LoopSample, _ minute: Duration, isHanging: Bool) -> Finding {
        var sentence =
            if let open = sample.open, open >= .milliseconds(100) {
                "\(sample.loop) has not come back for \(open.spoken)"
            } else {
                "\(sample.loop) was held up for \(minute.spoken) of the last 60 s, longest \(longest.spoken)"
            }
        if let worst {
            sentence += worst.function.isEmpty ? ", \(worst.phrase)" : ", \(worst.phrase) in \(worst.function)"
        }
        var evidence = [
            EvidenceField("blocked", .duration(minute)), EvidenceField("longest", .duration(longest)),
            EvidenceField("starved", .duration(sample.starved)),
        ]
        if let worst {
            evidence.append(EvidenceField("function", .text(worst.function)))
            evidence.append(EvidenceField("stall_cause", .text(worst.cause)))
        }
        return Finding(
            detector: "LoopStall", subject: sample.subject, severity: isHanging ? .critical : .warning,
            verdict: isHanging ? "hang" : "stall", sentence: sentence, details: worst?.lines ?? [], evidence: evidence,
            nextStep: sample.process.map { "nightjar stacks \($0.pid)" } ?? "")
    }
}
