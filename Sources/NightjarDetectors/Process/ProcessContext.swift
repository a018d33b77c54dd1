public import NightjarModel

/// What the detectors of one process life need beside its samples. Made once a life; limits are set again when they
/// were read again.
public struct ProcessContext: Sendable {
    public var identity: ProcessIdentity
    public var settings: DetectorSettings
    /// `pids.max` and `pids.current` where the process lives; nil where unlimited or unknown.
    public var tasks: TaskBound?

    public init(identity: ProcessIdentity, settings: DetectorSettings = .defaults, tasks: TaskBound? = nil) {
        self.identity = identity
        self.settings = settings
        self.tasks = tasks
    }

    /// Builds text; ask only where somebody is told.
    public var subject: Subject { identity.subject }

    @inlinable var isNiced: Bool { (identity.nice ?? 0) > 0 }
}
