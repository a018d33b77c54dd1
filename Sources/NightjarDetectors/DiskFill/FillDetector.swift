public import NightjarModel

/// What DiskFill and InodeFill are: one life of a file system (FillWatch), told in bytes or in inodes.
public protocol FillDetector: Sendable, Equatable {
    /// The card's settings, worked out once.
    associatedtype Settings: FillDetectorSettings

    init()
    /// All that is remembered.
    var watch: FillWatch { get set }
    /// What the last sample left behind.
    var state: FillState { get }
    /// Takes one sample. A file system that has nothing of this kind to run out of is left alone.
    mutating func step(_ sample: MountSample, _ settings: Settings) -> FillState
    /// What was found, in words; nil where nothing holds.
    static func finding(_ state: FillState, _ sample: MountSample) -> Finding?
}

/// Settings of a card that says how a fill is judged.
public protocol FillDetectorSettings: Hashable, Sendable {
    /// With the card's defaults.
    init()
}

extension FillDetector {
    /// The newest forecast; nil where nothing says that all will be gone within a week.
    public var timeToFull: Duration? { watch.timeToFull }

    /// What the last step found, in words; nil where nothing holds.
    public func finding(_ sample: MountSample) -> Finding? { Self.finding(state, sample) }

    /// A step, answered in words.
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
        self.init()
        self.watch = watch
    }
}
