// The cooperative pool of Swift concurrency has one thread a processor and does not grow. Where all of them sit in blocking
// calls or endless loops, no task goes on, and nothing says so.
//
// A task of the ordinary priority is left in the pool like a ping on a loop: each priority has threads of its own, so one
// of high priority would find a thread where ordinary tasks find none. Where it has not begun after the threshold, the pool's
// threads are looked at: those that are parked are free, and then the pool was merely slow to start; where as many as there
// are processors are taken, the pool is exhausted, and their stacks say by whom.

import CNightjarProbe
import Glibc
import NightjarWire

struct PoolWatch {
    /// The last 15 bytes of the root queues' labels, which are the threads' names. The ones that may grow
    /// (`.overcommit`) are not the pool.
    private static let names = ["initiated-qos", ".default-qos", ".utility-qos", "ackground-qos", "eractive-qos"]
    private static let askEvery: UInt64 = 50_000_000
    /// Where hardly anything runs, and how much longer that gets while nothing but the echo of our own pings is seen: they
    /// must not keep a process awake.
    private static let askCalmlyEvery: UInt64 = 250_000_000
    private static let askAgainAfter: UInt64 = 1_000_000_000
    private static let askAtRestEvery: UInt64 = 16_000_000_000
    /// Looks in which the thread that answered is still on its way back to sleep.
    private static let echoLooks = 2

    private let page: Page
    private let index: Int
    private let slot: UnsafeMutablePointer<nj_slot>
    private let threshold: UInt64
    private var sequence: UInt64 = 0
    private var hasAnswered = false
    /// Something of the process has run since the last ping was left: the pool may have been taken.
    private var hasRunSinceAsked = false
    private var echo = 0
    /// How long until the next ping while nothing runs.
    private var restPause = Self.askAgainAfter
    private var pausedBefore: UInt64 = 0
    private var askedAt: UInt64 = 0
    private var nextLook: UInt64 = 0
    private var ranBefore: [Int32: RunTimes] = [:]
    private var last: StallReport?
    /// Of the exhaustion that is going on; 0 = none.
    var number: UInt64 = 0

    init?(page: Page, threshold: UInt64, now: UInt64) {
        guard let index = page.claim("cooperative pool", .pool) else { return nil }
        self.page = page
        self.index = index
        self.threshold = threshold
        slot = page.slot(index)
    }

    var isAsked: Bool { askedAt != 0 }
    var isWaitedFor: Bool { hasAnswered && isAsked }
    /// The ping has gone unanswered to the next look.
    private(set) var isOverdue = false

    /// One look; a report where the pool is exhausted, still is, or no longer is.
    mutating func look(_ clock: Clockwork, _ capture: inout StackCapture) -> StallReport? {
        if isAsked { return waiting(clock, &capture) }
        noteWhatRan(clock)
        guard clock.now &- slot.pointee.asked >= pause(clock) else { return nil }
        restPause = hasRunSinceAsked ? Self.askAgainAfter : min(2 &* restPause, Self.askAtRestEvery)
        hasRunSinceAsked = false
        ask(clock)
        return nil
    }

    /// No ping is due before this moment while nothing runs.
    var restsUntil: UInt64 {
        guard hasAnswered, !isAsked else { return 0 }
        return slot.pointee.asked &+ (hasRunSinceAsked ? Self.askCalmlyEvery : restPause)
    }

    private func pause(_ clock: Clockwork) -> UInt64 {
        guard clock.isCalm else { return Self.askEvery }
        return hasRunSinceAsked || !hasAnswered ? Self.askCalmlyEvery : restPause
    }

    /// A task that takes the pool right beside our ping may be mistaken for its echo; the next ping finds it.
    private mutating func noteWhatRan(_ clock: Clockwork) {
        if clock.isStill { return }
        if echo > 0, clock.isCalm { echo -= 1 } else { hasRunSinceAsked = true }
    }

    private mutating func ask(_ clock: Clockwork) {
        sequence &+= 1
        askedAt = clock.now
        pausedBefore = clock.paused
        nextLook = threshold
        ranBefore = [:]
        slot.pointee.asked = clock.now
        slot.pointee.asked_at = clock.now
        let beat = Beat(slot: slot, number: sequence)
        Task.detached(priority: .medium) { beat.strike() }
    }

    private mutating func waiting(_ clock: Clockwork, _ capture: inout StackCapture) -> StallReport? {
        let isAnswered = nj_load64(&slot.pointee.answered) == sequence
        let end = isAnswered ? max(nj_load64(&slot.pointee.beat), askedAt) : clock.now
        let wall = end &- askedAt
        let away = clock.paused &- pausedBefore
        let age = wall > away ? wall - away : 0
        if isAnswered {
            slot.count(wall)
            hasAnswered = true
            echo = Self.echoLooks
            askedAt = 0
            isOverdue = false
            slot.pointee.asked_at = 0
            nj_store32(&slot.pointee.state, LoopState.idle.rawValue)
            slot.clearStall()
            return over(age)
        }
        isOverdue = hasAnswered
        guard age >= nextLook else { return nil }
        return examine(age, clock, &capture)
    }

    private mutating func over(_ age: UInt64) -> StallReport? {
        guard number != 0, var report = last else { return nil }
        report.number = number
        report.phase = .ended
        report.lastedNanoseconds = age
        slot.pointee.blocked_ns &+= age
        slot.pointee.longest_ns = max(slot.pointee.longest_ns, age)
        number = 0
        last = nil
        return report
    }

    private mutating func examine(_ age: UInt64, _ clock: Clockwork, _ capture: inout StackCapture) -> StallReport? {
        let threads = Self.poolThreads()
        page.store64(PageLayout.poolThreadsOffset, UInt64(threads.count))
        // Two looks, so that threads which merely wait for a processor can be told from threads that are taken.
        guard !ranBefore.isEmpty else {
            ranBefore = Self.times(of: threads)
            nextLook = age &+ 20_000_000
            return nil
        }
        nextLook = age &* 2
        let taken = threads.compactMap { Self.report($0, &capture, clock.now) }
        guard taken.count >= Self.processors, !isStarved(threads) else {
            ranBefore = [:]
            return nil
        }
        var report = StallReport(
            number: number, phase: number == 0 ? .begun : .lasting, slot: UInt16(clamping: index),
            loop: "cooperative pool",
            cause: .poolExhausted, startedAt: askedAt, lastedNanoseconds: age, threads: taken)
        report.target = "\(taken.count) of \(taken.count) threads taken"
        if number == 0 { slot.pointee.stalls &+= 1 }
        nj_store32(&slot.pointee.state, LoopState.stalled.rawValue)
        slot.publishStall(
            since: askedAt, cause: .poolExhausted, call: taken.first?.call ?? -1, holder: taken.first?.tid ?? 0,
            taken.first?.addresses ?? [])
        last = report
        return report
    }

    /// Most of the threads stood in the queue for a processor since the first look.
    private func isStarved(_ threads: [Int32]) -> Bool {
        let now = Self.times(of: threads)
        let starved = threads.count { tid in
            guard let before = ranBefore[tid], let after = now[tid] else { return false }
            let spent = after - before
            return spent.waited > spent.ran
        }
        return starved * 2 > threads.count
    }

    private static func report(_ tid: Int32, _ capture: inout StackCapture, _ now: UInt64) -> ThreadReport? {
        let files = ThreadFiles(tid: tid)
        let taken = capture.capture(files, bounds: (0, 0), now: now)
        if isParked(taken) { return nil }
        return ThreadReport(
            tid: tid, role: .pool, doing: taken.state.doing, call: taken.state.call, name: ThreadFiles.name(of: tid),
            addresses: taken.addresses)
    }

    /// A parked worker waits in a futex with a time limit, right below the worker's own function.
    private static func isParked(_ taken: CapturedStack) -> Bool {
        guard case .blocked(let blocked) = taken.state, blocked.call == SystemCall.futex else { return false }
        return blocked.arguments.3 != 0 && taken.addresses.count <= 8
    }

    private static func times(of threads: [Int32]) -> [Int32: RunTimes] {
        var out: [Int32: RunTimes] = [:]
        for tid in threads { out[tid] = ThreadFiles(tid: tid).times() ?? RunTimes() }
        return out
    }

    private static func poolThreads() -> [Int32] {
        AllThreads.list().filter { tid in
            let name = ThreadFiles.name(of: tid)
            return names.contains { name.hasSuffix($0) }
        }
    }

    private static let processors = Int(nj_processors())
}

/// A beat that a job carries.
struct Beat: @unchecked Sendable {
    let slot: UnsafeMutablePointer<nj_slot>
    let number: UInt64

    func strike() { nj_beat(slot, number) }
}
