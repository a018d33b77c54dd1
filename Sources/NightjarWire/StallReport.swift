// A loop has stopped: what is known of it, as raw code addresses with the modules they lie in. Names are the reader's work.

/// Why a loop did not come back.
public enum StallCause: UInt8, Hashable, Sendable, CaseIterable {
    case unknown = 0
    /// On a processor, in the loop's own code.
    case computing = 1
    /// Inside a system call that waits: a read, a connect, a sleep.
    case systemCall = 2
    /// Waits for a lock that another thread holds.
    case lock = 3
    /// Waits for a lock, in a circle of threads that wait for each other.
    case deadlock = 4
    /// Waits for a queue, semaphore or condition, which know no holder.
    case wait = 5
    /// Waits for pages of a file or of swap.
    case paging = 6
    /// Would run, but the host has no processor for it.
    case starvedByHost = 7
    /// Would run, but its control group has used up its quota.
    case starvedByQuota = 8
    /// Every thread of the cooperative pool is taken.
    case poolExhausted = 9

    /// Not the application's stall.
    public var isStarvation: Bool { self == .starvedByHost || self == .starvedByQuota }
}

/// What a thread was doing when it was looked at.
public enum ThreadDoing: UInt8, Hashable, Sendable {
    case running = 0, blocked, unreadable
}

/// One stack of the stalled thread.
public struct StallSample: Hashable, Sendable {
    /// After the stall began.
    public var offsetNanoseconds: UInt64
    public var doing: ThreadDoing
    /// Innermost first; callers are return addresses minus one.
    public var addresses: [UInt64]

    public init(offsetNanoseconds: UInt64, doing: ThreadDoing, addresses: [UInt64]) {
        self.offsetNanoseconds = offsetNanoseconds
        self.doing = doing
        self.addresses = addresses
    }
}

/// A thread that has to do with it, or one of all of them.
public struct ThreadReport: Hashable, Sendable {
    /// What the thread has to do with the stall.
    public enum Role: UInt8, Hashable, Sendable {
        case any = 0
        /// Holds the lock that the stalled thread waits for; in a deadlock, the circle in order.
        case holder = 1
        /// Holds a thread of the cooperative pool.
        case pool = 2
        /// Runs a watched loop.
        case loop = 3
    }

    public var tid: Int32
    public var role: Role
    public var doing: ThreadDoing
    /// The system call it is in, or -1.
    public var call: Int32
    public var name: String
    public var addresses: [UInt64]

    public init(
        tid: Int32, role: Role, doing: ThreadDoing, call: Int32 = -1, name: String, addresses: [UInt64]
    ) {
        self.tid = tid
        self.role = role
        self.doing = doing
        self.call = call
        self.name = name
        self.addresses = addresses
    }

    func write(to out: inout FrameWriter) {
        out.i32(tid)
        out.u8(role.rawValue)
        out.u8(doing.rawValue)
        out.i32(call)
        out.text(name, limit: 64)
        out.addresses(addresses)
    }

    init?(reading: inout FrameReader) {
        tid = reading.i32()
        guard let role = Role(rawValue: reading.u8()), let doing = ThreadDoing(rawValue: reading.u8()) else {
            return nil
        }
        self.role = role
        self.doing = doing
        call = reading.i32()
        name = reading.text(limit: 64)
        addresses = reading.addresses()
        if reading.failed { return nil }
    }
}

/// A file that addresses of a report lie in.
public struct ModuleSpan: Hashable, Sendable {
    /// Where its code lies in the process.
    public var start: UInt64
    public var end: UInt64
    /// Address in memory minus address in the file.
    public var bias: UInt64
    public var buildID: [UInt8]
    public var path: String

    public init(start: UInt64, end: UInt64, bias: UInt64, buildID: [UInt8], path: String) {
        self.start = start
        self.end = end
        self.bias = bias
        self.buildID = buildID
        self.path = path
    }

    func write(to out: inout FrameWriter) {
        out.u64(start)
        out.u64(end)
        out.u64(bias)
        out.data(buildID, limit: Limits.buildID)
        out.text(path)
    }

    init?(reading: inout FrameReader) {
        start = reading.u64()
        end = reading.u64()
        bias = reading.u64()
        buildID = reading.data(limit: Limits.buildID)
        path = reading.text()
        if reading.failed || end < start { return nil }
    }
}

/// One stall at one moment of its life.
public struct StallReport: Hashable, Sendable {
    /// Reported when it begins, while it lasts, and when it is over.
    public enum Phase: UInt8, Hashable, Sendable {
        case begun = 0, lasting, ended
    }

    /// Counts the stalls of this probe; the phases of one stall share it.
    public var number: UInt64
    public var phase: Phase
    public var slot: UInt16
    public var loop: String
    public var cause: StallCause
    /// CLOCK_MONOTONIC of the probe.
    public var startedAt: UInt64
    /// How far `startedAt` may be off.
    public var uncertaintyNanoseconds: UInt64
    /// How long it has lasted, without what the process was paused.
    public var lastedNanoseconds: UInt64
    /// Of that: on a processor, and waiting for one.
    public var ranNanoseconds: UInt64
    public var waitedNanoseconds: UInt64
    public var majorFaults: UInt32
    public var tid: Int32
    /// The system call that it sat in, or -1, and what its first argument names: `socket`, `/data/big.json`.
    public var call: Int32
    public var target: String
    /// Reports that were held back before this one.
    public var suppressed: UInt32
    public var samples: [StallSample]
    public var threads: [ThreadReport]
    public var modules: [ModuleSpan]

    public init(
        number: UInt64, phase: Phase, slot: UInt16, loop: String, cause: StallCause, startedAt: UInt64,
        uncertaintyNanoseconds: UInt64 = 0, lastedNanoseconds: UInt64, ranNanoseconds: UInt64 = 0,
        waitedNanoseconds: UInt64 = 0,
        majorFaults: UInt32 = 0, tid: Int32 = 0, call: Int32 = -1, target: String = "", suppressed: UInt32 = 0,
        samples: [StallSample] = [], threads: [ThreadReport] = [], modules: [ModuleSpan] = []
    ) {
        self.number = number
        self.phase = phase
        self.slot = slot
        self.loop = loop
        self.cause = cause
        self.startedAt = startedAt
        self.uncertaintyNanoseconds = uncertaintyNanoseconds
        self.lastedNanoseconds = lastedNanoseconds
        self.ranNanoseconds = ranNanoseconds
        self.waitedNanoseconds = waitedNanoseconds
        self.majorFaults = majorFaults
        self.tid = tid
        self.call = call
        self.target = target
        self.suppressed = suppressed
        self.samples = samples
        self.threads = threads
        self.modules = modules
    }

    func write(to out: inout FrameWriter) {
        out.u64(number)
        out.u8(phase.rawValue)
        out.u16(slot)
        out.text(loop, limit: 64)
        out.u8(cause.rawValue)
        out.u64(startedAt)
        out.u64(uncertaintyNanoseconds)
        out.u64(lastedNanoseconds)
        out.u64(ranNanoseconds)
        out.u64(waitedNanoseconds)
        out.u32(majorFaults)
        out.i32(tid)
        out.i32(call)
        out.text(target)
        out.u32(suppressed)
        out.u8(UInt8(min(samples.count, Limits.samples)))
        for sample in samples.prefix(Limits.samples) {
            out.u64(sample.offsetNanoseconds)
            out.u8(sample.doing.rawValue)
            out.addresses(sample.addresses)
        }
        writeThreads(threads, modules, to: &out)
    }

    init?(reading: inout FrameReader) {
        number = reading.u64()
        guard let phase = Phase(rawValue: reading.u8()) else { return nil }
        self.phase = phase
        slot = reading.u16()
        loop = reading.text(limit: 64)
        guard let cause = StallCause(rawValue: reading.u8()) else { return nil }
        self.cause = cause
        startedAt = reading.u64()
        uncertaintyNanoseconds = reading.u64()
        lastedNanoseconds = reading.u64()
        ranNanoseconds = reading.u64()
        waitedNanoseconds = reading.u64()
        majorFaults = reading.u32()
        tid = reading.i32()
        call = reading.i32()
        target = reading.text()
        suppressed = reading.u32()
        samples = reading.list(limit: Limits.samples) { reading in
            let offset = reading.u64()
            guard let doing = ThreadDoing(rawValue: reading.u8()) else { return nil }
            return StallSample(offsetNanoseconds: offset, doing: doing, addresses: reading.addresses())
        }
        threads = reading.list(limit: Limits.threads) { ThreadReport(reading: &$0) }
        modules = reading.list(limit: Limits.modules) { ModuleSpan(reading: &$0) }
        if reading.failed { return nil }
    }
}

/// All threads of the process at one moment; a large process answers in several messages.
public struct StacksReport: Hashable, Sendable {
    public var request: UInt32
    public var isLast: Bool
    public var threads: [ThreadReport]
    public var modules: [ModuleSpan]

    public init(request: UInt32, isLast: Bool, threads: [ThreadReport], modules: [ModuleSpan]) {
        self.request = request
        self.isLast = isLast
        self.threads = threads
        self.modules = modules
    }

    func write(to out: inout FrameWriter) {
        out.u32(request)
        out.u8(isLast ? 1 : 0)
        writeThreads(threads, modules, to: &out)
    }

    init?(reading: inout FrameReader) {
        request = reading.u32()
        isLast = reading.u8() != 0
        threads = reading.list(limit: Limits.threads) { ThreadReport(reading: &$0) }
        modules = reading.list(limit: Limits.modules) { ModuleSpan(reading: &$0) }
        if reading.failed { return nil }
    }
}

private func writeThreads(_ threads: [ThreadReport], _ modules: [ModuleSpan], to out: inout FrameWriter) {
    out.u8(UInt8(min(threads.count, Limits.threads)))
    for thread in threads.prefix(Limits.threads) { thread.write(to: &out) }
    out.u8(UInt8(min(modules.count, Limits.modules)))
    for module in modules.prefix(Limits.modules) { module.write(to: &out) }
}
