public import NightjarModel

/// What the detectors of one process life need beside its samples. Made once a life; limits are set again when they
/// were read again.
public struct ProcessContext: Sendable {
    public var identity: ProcessIdentity
    public var settings: DetectorSettings
    /// The lowest memory limit on the way to the root of the cgroups; nil where none is below the host's memory.
    public var memoryLimit: Bytes?
    /// `pids.max` and `pids.current` where the process lives; nil where unlimited or unknown.
    public var tasks: TaskBound?

    public init(
        identity: ProcessIdentity, settings: DetectorSettings = .defaults, memoryLimit: Bytes? = nil,
        tasks: TaskBound? = nil
    ) {
        self.identity = identity
        self.settings = settings
        self.memoryLimit = memoryLimit
        self.tasks = tasks
    }

    /// Builds text; ask only where somebody is told.
    public var subject: Subject { identity.subject }

    @inlinable var isNiced: Bool { (identity.nice ?? 0) > 0 }
}
