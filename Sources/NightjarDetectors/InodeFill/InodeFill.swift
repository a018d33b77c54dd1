// Will a file system run out of inodes? The same question as DiskFill's, and the same answer: see FillForecast.
//
// Running out of inodes looks like a full disk (ENOSPC) with space to spare, and is nearly always one directory of
// tiny files: sessions, mail queues, caches. File systems that make inodes as needed (btrfs, vfat) report none and are
// left alone.

public import NightjarModel

/// Inodes of one file system that run out.
///
/// One value a file system, at most 10 KiB; a step costs about 100 ns.
public struct InodeFill: FillDetector {
    /// The card's settings, worked out once.
    public struct Settings: FillDetectorSettings {
        public var fill: FillSettings

        /// The card's defaults.
        public init() { self.init(SettingValues(InodeFill.card)) }

        /// From the card's settings.
        public init(_ values: SettingValues) {
            fill = FillSettings()
            fill.within = values.duration("WarnWithin")
            fill.floorShare = values.share("StaticFloor")
        }
    }

    /// All that is remembered.
    public var watch = FillWatch()
    /// What the last sample left behind.
    public private(set) var state = FillState()

    public init() {}

    /// Takes one sample. Without inode counts, or read-only, it changes nothing.
    public mutating func step(_ sample: MountSample, _ settings: Settings) -> FillState {
        guard !sample.readOnly, let inodes = sample.inodes, let free = sample.inodesFree, inodes > 0 else {
            state = FillState()
            return state
        }
        state = watch.observe(size: Double(inodes), available: Double(free), at: sample.time, settings.fill)
        return state
    }
}

extension InodeFill {
    /// What was found, in words; nil where nothing holds.
    public static func finding(_ state: FillState, _ sample: MountSample) -> Finding? {
        guard let stage = state.stage, let inodes = sample.inodes, let free = sample.inodesFree else { return nil }
        let words = FillWords(
            name: "\(sample.mountPoint) (inodes)", state: state, size: Double(inodes), available: Double(free)
        ) { "\(Int64($0))" }
        return Finding(
            detector: card.name, subject: Subject(.mount, name: sample.mountPoint), severity: words.severity,
            verdict: words.verdict, sentence: words.sentence,
            evidence: words.evidence(stage) + [
                EvidenceField("inodes_free", .count(free)), EvidenceField("inodes", .count(inodes)),
                EvidenceField("available", .bytes(sample.available)), EvidenceField("type", .text(sample.type)),
            ],
            nextStep: "sudo du -x --inodes --max-depth=3 \(sample.mountPoint) | sort -n | tail   # where they are")
    }
}
