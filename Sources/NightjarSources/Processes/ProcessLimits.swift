public import NightjarModel

/// What the process engine may use. Each limit that is met is counted in the round's summary.
public struct ProcessLimits: Hashable, Sendable {
    /// Processes tracked at once: the kernel's default `pid_max`. What is beyond is counted as refused.
    public var processes = 32_768
    /// Descriptors kept open. Each costs the kernel 4.3 KiB, charged to our own cgroup: 1,024 are 4.4 MiB.
    public var descriptors = 1_024
    /// Processes read in one round; who is due beyond that is read in the next one.
    public var visitsPerRound = 16_384
    /// Wall time after which a round stops reading and puts the rest off.
    public var roundTime: Duration = .milliseconds(250)
    /// How often a process is read that does nothing.
    public var coldInterval: Duration = .seconds(10)
    /// How long a process is read every round after it was last seen to move.
    public var hotFor: Duration = .seconds(10)
    /// Memory that moved less than this keeps nobody hot.
    public var movedMemory: Bytes = .kibi(256)
    /// How often the whole list of processes is read, for what the counting of pids missed.
    public var resweep: Duration = .seconds(30)
    /// How often a moving process's slower figures are read: descriptors, I/O, run delay.
    public var slowInterval: Duration = .seconds(10)
    /// An idle process of one thread is taken at its word (schedstat) for so long, then read in full.
    public var fullInterval: Duration = .seconds(60)
    /// How long a command line may take to read before its reader is left alone.
    public var commandLineTime: Duration = .seconds(2)
    /// Bytes of a command line that are kept.
    public var commandLineLength = 256
    /// Descriptors counted by listing (kernels before 6.2) up to this number.
    public var descriptorsListed = 65_536
    /// `smaps_rollup` stops the process that it measures, 70 ms a GiB: never unasked above this.
    public var rollupUnasked: Bytes = .mebi(64)

    /// The defaults, for a host of any size.
    public init() {}
}

/// The limits that every reading looks at, in nanoseconds: a Duration takes a division to compare.
struct ProcessSpans {
    let hotFor: Int64
    let cold: Int64
    let slow: Int64
    let full: Int64
    let resweep: Int64
    /// Pages that have to move.
    let movedPages: UInt32

    init(_ limits: ProcessLimits) {
        hotFor = limits.hotFor.nanosecondCount
        cold = max(1 << 20, limits.coldInterval.nanosecondCount)
        slow = limits.slowInterval.nanosecondCount
        full = limits.fullInterval.nanosecondCount
        resweep = limits.resweep.nanosecondCount
        movedPages = UInt32(clamping: limits.movedMemory.count / pageSize)
    }
}

/// What one round did.
public struct RoundSummary: Hashable, Sendable {
    /// The moment that the round was given.
    public var time: Moment
    /// Processes known at the end of the round.
    public var tracked = 0
    /// Processes that were read.
    public var read = 0
    /// Of those, how many were handed to the visitor.
    public var delivered = 0
    /// New processes, and those that ended; who came and went between two rounds is in neither.
    public var births = 0
    public var deaths = 0
    /// Processes that were due but are put off to the next round, because a limit was met.
    public var deferred = 0
    /// Processes that are not tracked, because `ProcessLimits.processes` was met.
    public var refused = 0
    /// Processes that are read every round.
    public var hot = 0
    /// Descriptors kept open at its end.
    public var cachedDescriptors = 0
    /// Made by the engine itself; command lines are read elsewhere.
    public var systemCalls: Int64 = 0
    /// Read from the kernel.
    public var bytes: Bytes = .zero
    /// Wall time.
    public var duration: Duration = .zero
    /// `ProcessLimits.roundTime` was met.
    public var overran = false
    /// What was swallowed in this round.
    public var errors = ErrorCounts()

    /// Nothing done yet.
    public init(time: Moment) { self.time = time }
}

/// A process that has ended, with the last that was known of it.
public struct EndedProcess: Hashable, Sendable {
    /// Free from the next round on.
    public var slot: Int
    /// Which life of which pid.
    public var key: ProcessKey
    /// All that was known of it, of whatever age.
    public var last: ProcessSample
}

/// Something that cannot be read here for want of a capability or of kernel support. Each kind is said once.
public struct ProcLimitation: Hashable, Sendable {
    /// What is missing.
    public enum Kind: String, Hashable, Sendable, CaseIterable {
        case processes, io, descriptors, schedstat, rollup
    }

    /// What is missing.
    public var kind: Kind
    /// A whole line: `cannot read '/proc/4242/io': Permission denied, going on without I/O figures of other users' processes`.
    public var message: String
}

/// Whether `statm` can be trusted on this kernel: compared with `smaps_rollup` on ourselves, once.
public enum StatmVerdict: Hashable, Sendable {
    case exact
    /// By how much it was off: per-CPU counters that were not summed up.
    case inexact(by: Bytes)
    /// Could not be compared.
    case unknown
}
