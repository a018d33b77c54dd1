// Which processes are there, and how are they? Answered every second for every process of the host, for about the
// price of a few system calls each, in bounded memory, and never late because one of them is slow.
//
//     birth ──▶ newborn ──▶ hot ◀──▶ cold ──▶ ended
//              (1 round)   every      every
//                          round      10 s, by phase
//
// Hot is who used CPU or moved memory in the last ten seconds, and who is watched or suspected. A hot process's `stat`
// and `statm` stay open and are read again by `pread`: 6 µs instead of 15. A cold process of one thread is asked one
// question, its `schedstat` (0.8 µs kept open, 7 µs otherwise): when it has not run, its memory has not grown.
// Kept descriptors are bounded, because each holds 4.3 KiB of kernel memory; hot processes take them from cold ones.
//
// Births: the last pid in `/proc/loadavg` tells whether anything was born at all, and between which numbers. Only when
// there were many, or now and then to be sure, is the folder listed (2 µs a process). Deaths: ESRCH, ENOENT, another
// start time. Identity is pid and start time, so a reused pid is another process.
//
// Resident and anonymous memory come from `statm`: `stat` has them inexactly (per-CPU counters that are not summed up).

import CNightjarLinux
import Glibc
public import NightjarModel

/// Reads all processes of a host, round by round.
///
/// Not thread-safe: made, used and dropped on the sampling thread. Errors never throw out of a round, they are counted.
/// Cost: ≤ 7 µs of CPU for a process read in full, ≤ 2 µs a process and second where 95 % are idle; about 300 bytes of
/// memory a process; a kept descriptor costs the kernel 4.3 KiB.
public final class ProcessSampler {
    /// Called once for each process that was read: its sample, its slot, and whether the slot has a new owner.
    public typealias Visitor = (_ sample: ProcessSample, _ slot: Int, _ isNew: Bool) -> Void

    /// What it may use.
    public let limits: ProcessLimits
    /// Whether `statm` can be trusted on this kernel.
    public let statmVerdict: StatmVerdict
    /// Set it while the host has swapped something out: then the swap of all processes is read, at the slow rate.
    public var hostSwaps = false
    /// Who ended in the last round. Their slots still answer, until the next round begins.
    public internal(set) var ended: [EndedProcess] = []
    /// Slots whose identity changed in the last round: they called exec, or their command line arrived.
    public internal(set) var identified: [Int] = []
    /// What could not be read for want of a capability; each kind is said once.
    public internal(set) var limitations: [ProcLimitation] = []
    /// All that was swallowed since the start.
    public internal(set) var errors = ErrorCounts()
    /// How often `smaps_rollup` was opened: it stops the process that it measures.
    public internal(set) var rollupsRead = 0

    let spans: ProcessSpans
    let directory: Directory
    let path = ProcPath()
    let support: KernelSupport
    let commandLines: CommandLineReader
    var table = ProcessTable()
    var identities: [IdentityRow?] = []
    var places = Places()
    var cache: DescriptorCache
    var births = Births()
    var now: Int64 = 0
    /// When the host was booted, on the clock of the rounds; asked once a round at most.
    var bootTime: Int64?
    private var round = RoundSummary(time: Moment(nanoseconds: 0))
    /// Where the next round begins, because the last one had to stop there.
    private var hotCursor = 0
    private var coldCursor = 0

    /// - Parameter root: `/proc`, or a folder that looks like it.
    /// - Throws: where the root cannot be opened.
    public init(root: String = "/proc", limits: ProcessLimits = ProcessLimits()) throws(ProcError) {
        self.limits = limits
        spans = ProcessSpans(limits)
        directory = try Directory(root, capacity: 4096)
        support = KernelSupport(directory)
        statmVerdict = support.statmVerdict
        cache = DescriptorCache(limit: DescriptorCache.affordable(limits.descriptors))
        commandLines = CommandLineReader(
            root: root, timeLimit: limits.commandLineTime, length: limits.commandLineLength)
        if !support.schedstat {
            limitations.append(
                ProcLimitation(
                    kind: .schedstat, message: "this kernel keeps no schedstat, going on without run-queue delays"))
        }
        if support.hidesProcesses {
            limitations.append(
                ProcLimitation(
                    kind: .processes,
                    message: "'\(root)' hides other users' processes (hidepid), going on with those of this user"))
        }
    }

    deinit {
        commandLines.stop()
        for slot in 0..<table.used where table.isTaken(slot) { letGo(slot) }
    }

    /// Processes known now.
    public var count: Int { table.count }
    /// Highest slot ever used + 1: the size of arrays kept by slot.
    public var slotCapacity: Int { table.used }
    /// Descriptors kept open just now.
    public var cachedDescriptors: Int { cache.count }

    /// One sampling round: finds births, reads whoever is due, notices deaths.
    ///
    /// Bounded by `limits.visitsPerRound` and `limits.roundTime`; who is put off is read first in the next round. A
    /// process is handed to `visit` from its second reading on, so that one that lives shorter than a round costs
    /// nobody any state; in the first round of all, at once.
    public func round(at time: Moment, _ visit: Visitor) -> RoundSummary {
        begin(time)
        let started = monotonicNanoseconds()
        let errorsBefore = errors
        var budget = RoundBudget(limits, startedAt: started)
        findBirths(&budget)
        readDue(hot: true, &budget, visit)
        readDue(hot: false, &budget, visit)
        round.tracked = table.count
        round.cachedDescriptors = cache.count
        round.overran = budget.overran
        round.duration = .nanoseconds(monotonicNanoseconds() - started)
        round.systemCalls = directory.systemCalls - round.systemCalls
        round.bytes = Bytes(directory.bytesRead) - round.bytes
        round.errors = errors - errorsBefore
        return round
    }

    private func begin(_ time: Moment) {
        for process in ended {
            forgetIdentity(process.slot)
            table.release(process.slot)
        }
        ended.removeAll(keepingCapacity: true)
        identified.removeAll(keepingCapacity: true)
        now = time.nanoseconds
        bootTime = nil
        round = RoundSummary(time: time)
        round.systemCalls = directory.systemCalls
        round.bytes = Bytes(directory.bytesRead)
        takeCommandLines()
    }

    /// Reads who is due, beginning where the last round had to stop, so that nobody is put off for ever.
    private func readDue(hot: Bool, _ budget: inout RoundBudget, _ visit: Visitor) {
        let used = table.used
        let cursor = hot ? hotCursor : coldCursor
        var slot = cursor < used ? cursor : 0
        var firstPutOff: Int?
        budget.open(hot ? .hot : .cold)
        for _ in 0..<used {
            if table.due[slot] <= now, isHot(slot) == hot {
                if budget.take() {
                    read(slot, visit)
                } else {
                    round.deferred += 1
                    if firstPutOff == nil { firstPutOff = slot }
                }
            }
            slot = slot &+ 1 == used ? 0 : slot &+ 1
        }
        guard let firstPutOff else { return }
        if hot { hotCursor = firstPutOff } else { coldCursor = firstPutOff }
    }

    /// Read every round: watched, suspected, or moved lately. The kernel's own threads never are.
    @inline(__always)
    func isHot(_ slot: Int) -> Bool {
        let row = table.rows + slot
        if row.pointee.flags.contains(.watched) || row.pointee.suspectUntil > now { return true }
        return row.pointee.movedAt > now &- spans.hotFor && !row.pointee.flags.contains(.kernelThread)
    }

    private func read(_ slot: Int, _ visit: Visitor) {
        round.read += 1
        switch readFigures(slot) {
        case .gone:
            end(slot)
        case .replaced:
            births.pending.append(table.rows[slot].pid)
            end(slot)
        case .unreadable:
            schedule(slot)
        case .read(let figures):
            let row = table.rows + slot
            row.pointee.readAt = now
            let isNew = !row.pointee.flags.contains(.delivered)
            row.pointee.flags.insert(.delivered)
            round.delivered += 1
            schedule(slot)
            visit(sample(row, figures), slot, isNew)
        }
    }

    /// Hot: in the next round. Cold: at the next point of its own phase, so that a host's idle processes spread evenly.
    func schedule(_ slot: Int) {
        if isHot(slot) || !table.rows[slot].flags.contains(.compared) {
            round.hot += 1
            table.setDue(slot, now &+ 1)
        } else {
            let period = spans.cold
            // The golden ratio spreads pids that come in sequence.
            let phase = Int64(UInt32(bitPattern: table.rows[slot].pid) &* 2_654_435_769 >> 22) &* (period >> 10)
            let since = (now &- phase) % period
            table.setDue(slot, now &+ period &- (since < 0 ? since &+ period : since))
        }
    }

    private func end(_ slot: Int) {
        letGo(slot)
        round.deaths += 1
        let row = table.rows + slot
        table.forget(pid: row.pointee.pid, slot: slot)
        table.setDue(slot, .max)
        guard row.pointee.flags.contains(.delivered) else {
            forgetIdentity(slot)
            table.release(slot)
            return
        }
        row.pointee.flags.insert(.ended)
        ended.append(EndedProcess(slot: slot, key: row.pointee.key, last: sample(row, .all)))
    }

    func countBirth() { round.births += 1 }
    func countRefused() { round.refused += 1 }
    func swallow(_ code: ProcError.Code) { errors[code] += 1 }
}

/// How much of a round is left: visits and wall time, shared out so that no kind of work starves another.
struct RoundBudget {
    enum Stage { case births, hot, cold }

    private let visits: Int
    private let time: Int64
    private let startedAt: Int64
    private var taken = 0
    private var visitLimit = 0
    private var deadline: Int64 = 0
    private(set) var overran = false
    private var isSpent = false

    init(_ limits: ProcessLimits, startedAt: Int64) {
        visits = max(4, limits.visitsPerRound)
        time = limits.roundTime.nanosecondCount
        self.startedAt = startedAt
    }

    /// Births may use half, births and hot processes three quarters; the cold ones always have what is left.
    mutating func open(_ stage: Stage) {
        let quarters = stage == .births ? 2 : stage == .hot ? 3 : 4
        visitLimit = visits * quarters / 4
        deadline = startedAt + time / 4 * Int64(quarters)
        isSpent = false
    }

    /// Whether one more process may be read. The clock is asked every 32nd time.
    mutating func take() -> Bool {
        guard !isSpent else { return false }
        if taken >= visitLimit {
            isSpent = true
        } else if taken & 31 == 0, monotonicNanoseconds() >= deadline {
            isSpent = true
            overran = true
        }
        if !isSpent { taken += 1 }
        return !isSpent
    }
}

func monotonicNanoseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}
