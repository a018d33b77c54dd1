// Samples: what sources say and detectors hear. A value that could not be read is nil, never zero.

/// One reading of one process.
public struct ProcessSample: Hashable, Sendable {
    public var key: ProcessKey
    public var time: Moment
    /// `/proc/PID/statm` field 2; exact, unlike field 24 of `stat`.
    public var rss: Bytes
    /// Resident minus shared pages of `statm`: anonymous memory, the same as RssAnon.
    public var anonymous: Bytes
    /// VmSwap; read for suspects and where the host swaps.
    public var swap: Bytes?
    /// User + system time since the process began; nil in rounds that did not read it.
    public var cpuTime: Duration?
    /// Time spent runnable but not running, main thread (`schedstat` field 2).
    public var runDelay: Duration?
    public var threads: Int?
    public var descriptors: Int?
    /// Soft limit on descriptors (RLIMIT_NOFILE), read once a life.
    public var descriptorLimit: Int?
    public var bytesRead: Bytes?
    public var bytesWritten: Bytes?

    public init(
        key: ProcessKey, time: Moment, rss: Bytes, anonymous: Bytes, swap: Bytes? = nil, cpuTime: Duration? = nil,
        runDelay: Duration? = nil, threads: Int? = nil, descriptors: Int? = nil, descriptorLimit: Int? = nil,
        bytesRead: Bytes? = nil, bytesWritten: Bytes? = nil
    ) {
        self.key = key
        self.time = time
        self.rss = rss
        self.anonymous = anonymous
        self.swap = swap
        self.cpuTime = cpuTime
        self.runDelay = runDelay
        self.threads = threads
        self.descriptors = descriptors
        self.descriptorLimit = descriptorLimit
        self.bytesRead = bytesRead
        self.bytesWritten = bytesWritten
    }
}

/// What is read once per (pid, start time, exec) of a process.
public struct ProcessIdentity: Hashable, Sendable {
    public var key: ProcessKey
    /// `comm`, or the executable's file name where comm was cut at 15 bytes.
    public var name: String
    public var commandLine: String
    public var uid: UInt32
    /// The unit by cgroup: `checkout.service`, `docker-3f…scope`, `user@1000.service`; nil outside any.
    public var unit: String?
    /// The path in the cgroup tree that holds its memory limit, v2 or v1's memory controller: `/system.slice/x.service`.
    public var cgroup: String?
    public var startedAt: Moment
    /// -20 (greedy) … 19 (yields to all others), field 19 of `/proc/PID/stat`; nil where it was not read.
    public var nice: Int?

    public init(
        key: ProcessKey, name: String, commandLine: String = "", uid: UInt32 = 0, unit: String? = nil,
        cgroup: String? = nil, startedAt: Moment, nice: Int? = nil
    ) {
        self.key = key
        self.name = name
        self.commandLine = commandLine
        self.uid = uid
        self.unit = unit
        self.cgroup = cgroup
        self.startedAt = startedAt
        self.nice = nice
    }

    public var subject: Subject { Subject(.process, name: name, unit: unit, process: key) }
}

/// One reading of the host.
public struct HostSample: Hashable, Sendable {
    /// Share of the last 10 s in which some or all tasks waited (`/proc/pressure/*`, avg10), 0…1.
    public struct Pressure: Hashable, Sendable {
        public var some: Double
        public var full: Double

        public init(some: Double, full: Double) {
            self.some = some
            self.full = full
        }
    }

    public var time: Moment
    public var memoryTotal: Bytes
    public var memoryAvailable: Bytes
    public var swapTotal: Bytes
    public var swapFree: Bytes
    public var processors: Int
    public var load1: Double?
    public var memoryPressure: Pressure?
    public var cpuPressure: Pressure?
    public var ioPressure: Pressure?
    /// `oom_kill` of `/proc/vmstat`: kills since boot.
    public var oomKills: Int64?

    public init(
        time: Moment, memoryTotal: Bytes, memoryAvailable: Bytes, swapTotal: Bytes = .zero, swapFree: Bytes = .zero,
        processors: Int = 1, load1: Double? = nil, memoryPressure: Pressure? = nil, cpuPressure: Pressure? = nil,
        ioPressure: Pressure? = nil, oomKills: Int64? = nil
    ) {
        self.time = time
        self.memoryTotal = memoryTotal
        self.memoryAvailable = memoryAvailable
        self.swapTotal = swapTotal
        self.swapFree = swapFree
        self.processors = processors
        self.load1 = load1
        self.memoryPressure = memoryPressure
        self.cpuPressure = cpuPressure
        self.ioPressure = ioPressure
        self.oomKills = oomKills
    }
}

/// One reading of one cgroup, v1 or v2.
public struct CgroupSample: Hashable, Sendable {
    public var time: Moment
    /// Its path below the controller's root: `/system.slice/checkout.service`.
    public var path: String
    public var unit: String?
    /// The lowest memory limit on the way to the root; nil = none below the host's memory.
    public var memoryLimit: Bytes?
    /// The cgroup (this one or a parent) that sets `memoryLimit`.
    public var limitedBy: String?
    /// `memory.current` of the cgroup that sets the limit.
    public var memoryCurrent: Bytes?
    /// What of `memoryCurrent` is anonymous (memory.stat `anon`, v1 `total_rss`): page cache gives way, this does not.
    public var memoryAnonymous: Bytes?
    /// OOM kills in this cgroup since it was made (memory.events `oom_kill`, v1 memory.oom_control).
    public var oomKills: Int64?
    /// Time throttled by a CPU quota since it was made.
    public var throttled: Duration?
    /// The limit on tasks (processes and threads, pids.max) that has the fewest left, here or on the way to the root.
    public var tasksLimit: Int64?
    /// Tasks of the cgroup that sets `tasksLimit`; of this one where there is no limit.
    public var tasksCurrent: Int64?

    public init(
        time: Moment, path: String, unit: String? = nil, memoryLimit: Bytes? = nil, limitedBy: String? = nil,
        memoryCurrent: Bytes? = nil, memoryAnonymous: Bytes? = nil, oomKills: Int64? = nil, throttled: Duration? = nil,
        tasksLimit: Int64? = nil, tasksCurrent: Int64? = nil
    ) {
        self.time = time
        self.path = path
        self.unit = unit
        self.memoryLimit = memoryLimit
        self.limitedBy = limitedBy
        self.memoryCurrent = memoryCurrent
        self.memoryAnonymous = memoryAnonymous
        self.oomKills = oomKills
        self.throttled = throttled
        self.tasksLimit = tasksLimit
        self.tasksCurrent = tasksCurrent
    }
}

/// One reading of one file system.
public struct MountSample: Hashable, Sendable {
    public var time: Moment
    public var mountPoint: String
    /// `ext4`, `xfs`, `nfs4`.
    public var type: String
    /// Source device, `/dev/vda1`.
    public var device: String
    public var size: Bytes
    /// What an ordinary user may still take (`f_bavail`), not what root may.
    public var available: Bytes
    public var inodes: Int64?
    public var inodesFree: Int64?
    public var readOnly: Bool

    public init(
        time: Moment, mountPoint: String, type: String = "", device: String = "", size: Bytes, available: Bytes,
        inodes: Int64? = nil, inodesFree: Int64? = nil, readOnly: Bool = false
    ) {
        self.time = time
        self.mountPoint = mountPoint
        self.type = type
        self.device = device
        self.size = size
        self.available = available
        self.inodes = inodes
        self.inodesFree = inodesFree
        self.readOnly = readOnly
    }
}

/// What one log source wrote since the last sample of it.
public struct LogSample: Hashable, Sendable {
    public var time: Moment
    /// A unit (journal) or a path (file).
    public var source: String
    public var unit: String?
    /// How long `bytes` took to be written.
    public var span: Duration
    public var bytes: Bytes
    public var lines: Int64?

    public init(
        time: Moment, source: String, unit: String? = nil, span: Duration, bytes: Bytes, lines: Int64? = nil
    ) {
        self.time = time
        self.source = source
        self.unit = unit
        self.span = span
        self.bytes = bytes
        self.lines = lines
    }
}
