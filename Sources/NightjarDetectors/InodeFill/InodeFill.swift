// Will a file system run out of inodes? The same question as DiskFill's, and the same answer: see FillForecast.
//
// Running out of inodes looks like a full disk (ENOSPC) with space to spare, and is nearly always one directory of
// tiny files: sessions, mail queues, caches. File systems that make inodes as needed (btrfs, vfat) report none and are
// left alone.

public import NightjarModel

/// Inodes of one file system that run out.
///
/// One value a file system, at most 10 KiB; a step costs about 100 ns.
public struct InodeFill: Sendable, Equatable {
    /// The card's settings, worked out once.
    public struct Settings: Hashable, Sendable {
        public var fill: FillSettings

        public init(_ values: SettingValues = SettingValues(InodeFill.card)) {
            fill = FillSettings()
            fill.within = values.duration("WarnWithin")
            fill.floorShare = values.share("StaticFloor")
        }
    }

    private var watch = FillWatch()
    /// What the last sample left behind.
    public private(set) var state = FillState()

    public init() {}

    /// The newest forecast; nil where nothing says that inodes will be gone within a week.
    public var timeToFull: Duration? { watch.timeToFull }

    /// Takes one sample. Without inode counts, or read-only, it changes nothing.
    public mutating func step(_ sample: MountSample, _ settings: Settings) -> FillState {
        guard !sample.readOnly, let inodes = sample.inodes, let free = sample.inodesFree, inodes > 0 else {
            state = FillState()
            return state
        }
        state = watch.observe(size: Double(inodes), available: Double(free), at: sample.time, settings.fill)
        return state
    }

    /// What the last step found, in words; nil where nothing holds.
    public func finding(_ sample: MountSample) -> Finding? { Self.finding(state, sample) }

    /// The same, answered in words.
    public mutating func observe(_ sample: MountSample, _ settings: Settings = Settings()) -> Answer {
        let state = step(sample, settings)
        if let finding = Self.finding(state, sample) { return .found(finding) }
        return state.isTooEarly ? .tooEarly : .quiet
    }

    /// Appends the state, versioned; `init(decoding:)` reads it back.
    public func encode(into out: inout [UInt8]) { watch.encode(into: &out) }

    /// Nil for another version or corrupt bytes: then start with `init()`.
    public init?(decoding reader: inout ByteReader) {
        guard let watch = FillWatch(decoding: &reader) else { return nil }
        self.watch = watch
    }
}

extension InodeFill {
    static func finding(_ state: FillState, _ sample: MountSample) -> Finding? {
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
