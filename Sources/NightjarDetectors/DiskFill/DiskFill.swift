// Will a file system be full, when, or is it already?
//
// What is free decides, as ordinary users see it (`f_bavail`): root's reserve does not keep a database running. Four
// conditions stand side by side (FillWatch): a forecast from days of history, a burst, a backstop, and full, which
// is a state of its own: a disk that is full no longer fills, and has not recovered.

public import NightjarModel

/// Space on one file system that runs out.
///
/// One value a file system, at most 10 KiB. A step costs about 100 ns, and once in half an hour the forecast's 50 µs.
public struct DiskFill: FillDetector {
    /// The card's settings, worked out once.
    public struct Settings: FillDetectorSettings {
        public var fill: FillSettings

        /// The card's defaults.
        public init() { self.init(SettingValues(DiskFill.card)) }

        /// From the card's settings.
        public init(_ values: SettingValues) {
            fill = FillSettings()
            fill.within = values.duration("WarnWithin")
            fill.floorShare = values.share("StaticFloor")
            fill.floorAtMost = Double(values.bytes("StaticFloorAtMost").count)
        }
    }

    /// All that is remembered.
    public var watch = FillWatch()
    /// What the last sample left behind.
    public private(set) var state = FillState()

    public init() {}

    /// Takes one sample. A read-only file system and one without a size are left alone.
    public mutating func step(_ sample: MountSample, _ settings: Settings) -> FillState {
        guard !sample.readOnly, sample.size > .zero else {
            state = FillState()
            return state
        }
        state = watch.observe(
            size: Double(sample.size.count), available: Double(sample.available.count), at: sample.time, settings.fill)
        return state
    }
}

extension DiskFill {
    /// What was found, in words; nil where nothing holds.
    public static func finding(_ state: FillState, _ sample: MountSample) -> Finding? {
        guard let stage = state.stage else { return nil }
        let words = FillWords(
            name: sample.mountPoint, state: state, size: Double(sample.size.count),
            available: Double(sample.available.count)
        ) { "\(Bytes(Int64($0)))" }
        return Finding(
            detector: card.name, subject: Subject(.mount, name: sample.mountPoint), severity: words.severity,
            verdict: words.verdict, sentence: words.sentence,
            evidence: words.evidence(stage) + [
                EvidenceField("available", .bytes(sample.available)), EvidenceField("size", .bytes(sample.size)),
                EvidenceField("device", .text(sample.device)), EvidenceField("type", .text(sample.type)),
            ], nextStep: "nightjar disk")
    }
}
