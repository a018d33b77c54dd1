// The only thread of the probe. It never touches a loop's data and never waits for one: it looks, and where looking does
// not tell, it leaves a ping and looks again.
//
//     every 25 ms (10 ms while a ping waits for its answer, 40 ms after some looks at rest):
//       did the process as a whole stand still since the last look?     nothing can have begun: done
//       for every loop:   a ping outstanding      answered? one reading · old? stacks · older? a stall
//                         idle by its gate        alive, not woken
//                         busy                    leave a ping
//       the cooperative pool, the agent's messages
//
// What a look costs is mostly the waking itself (20 to 40 µs, with every cache cold), so a look at rest reads two clocks and
// nothing else, and what it stands for in each loop's histogram is added when the rest is over.

import CNightjarProbe
import Glibc
import NightjarSymbols
import NightjarWire
import Synchronization

/// What other threads hand to the watchdog.
struct Inbox {
    var newcomers: [Loop] = []
    var isStopping = false
}

/// Lets a loop travel from the thread that registers it to the watchdog, who alone touches it from then on.
struct Handover: @unchecked Sendable {
    var inbox = Inbox()
}

final class Watchdog: @unchecked Sendable {
    /// How often a process is looked at that has been at rest for a while, that is at rest or works and answers, and where
    /// an answer is overdue. For thresholds of 50 ms and more; a shorter one shortens them.
    static let quietPoll: UInt64 = 40_000_000
    static let usualPoll: UInt64 = 25_000_000
    static let waitingPoll: UInt64 = 10_000_000
    /// Looks at rest that are added up before they are counted.
    private static let mostRestLooks: UInt64 = 25

    let page: Page
    let service: String
    let threshold: UInt64
    let shared = Mutex(Handover())
    let knownWork = KnownWork()
    private let settings: ProbeSettings

    var clock = Clockwork()
    var loops: [Loop] = []
    var pool: PoolWatch?
    var capture = StackCapture()
    var stallCount: UInt64 = 0
    var teller: Teller
    /// Every loop was seen idle at the last look, and the pool needs no ping.
    private var isAtRest = false
    /// When there is something to do though nothing runs: a ping of the pool, another try to find the agent.
    private var nextDuty: UInt64 = 0
    /// Looks at rest that are not in the histograms yet.
    private var restLooks: UInt64 = 0
    private var restedAt: UInt64 = 0

    init(page: Page, service: String, settings: ProbeSettings) {
        self.page = page
        self.service = service
        self.settings = settings
        threshold = settings.stallThreshold.nanoseconds
        teller = Teller(page: page, service: service, settings: settings)
    }

    /// Starts the thread; false where the kernel gives none.
    func start() -> Bool {
        let argument = Unmanaged.passRetained(self)
        let error = nj_thread_start(
            { pointer in
                guard let pointer else { return }
                Unmanaged<Watchdog>.fromOpaque(pointer).takeRetainedValue().run()
            }, argument.toOpaque())
        if error != 0 { argument.release() }
        return error == 0
    }

    private func run() {
        // On this thread: the clock's own files are those of the calling thread.
        clock = Clockwork()
        if settings.watchesPool {
            pool = PoolWatch(page: page, threshold: settings.poolThreshold.nanoseconds, now: clock.now)
        }
        while !takeNewcomers() {
            let asked = pollInterval
            let isAddressed = teller.waitForAgent(asked)
            clock.woke(asked: asked)
            page.store64(PageLayout.watchdogOffset, clock.now)
            page.store64(PageLayout.pausedOffset, clock.paused)
            if isAddressed || !rests() { round() }
        }
        teller.close()
    }

    /// A stall is looked at in fifths of the threshold, and all else more seldom, but always once before a job that begins
    /// right after a look could be called a stall.
    private var pollInterval: UInt64 {
        let finest = max(threshold / 5, 1_000_000)
        if clock.isStill, clock.isQuiet, isAtRest || !loops.contains(where: \.isWaitedFor) {
            return min(Self.quietPoll, 4 &* finest)
        }
        let isOverdue = loops.contains(where: \.isOverdue) || pool?.isOverdue == true
        return isOverdue ? min(Self.waitingPoll, finest) : min(Self.usualPoll, finest / 2 &* 5)
    }

    private func takeNewcomers() -> Bool {
        shared.withLock { handover in
            if !handover.inbox.newcomers.isEmpty {
                loops += handover.inbox.newcomers
                handover.inbox.newcomers = []
                isAtRest = false
            }
            return handover.inbox.isStopping
        }
    }

    /// Nothing of the process has run since a look that found everything at rest, and nobody is to be spoken to yet.
    private func rests() -> Bool {
        guard isAtRest, clock.isStill, clock.now < nextDuty, restLooks < Self.mostRestLooks else { return false }
        restLooks &+= 1
        restedAt = clock.now
        return true
    }

    private func countRest() {
        guard restLooks > 0 else { return }
        for loop in loops where loop.hasAnswered {
            loop.freeAt = restedAt
            loop.slot.count(0, times: restLooks)
        }
        restLooks = 0
    }

    private func round() {
        countRest()
        for loop in loops { look(at: loop) }
        if loops.contains(where: \.hasEnded) { dismissEnded() }
        let start = nj_now()
        if let report = pool?.look(clock, &capture) { tell(report) }
        teller.serve(clock.now) { [self] request in allStacks(request) }
        isAtRest = loops.allSatisfy(\.isAtRest)
        nextDuty = min(teller.nextDuty, pool?.restsUntil ?? .max)
        clock.excuse(since: start)
    }

    private func dismissEnded() {
        for loop in loops where loop.hasEnded { page.release(loop.index) }
        loops.removeAll { $0.hasEnded }
    }

    /// What may wait for others.
    func withExcuse<T>(atMost most: UInt64 = .max, _ body: () -> T) -> T {
        let start = nj_now()
        defer { clock.excuse(since: start, atMost: most) }
        return body()
    }

    // MARK: one loop

    private func look(at loop: Loop) {
        if loop.isAsked, nj_load64(&loop.slot.pointee.answered) == loop.sequence {
            // An answer long after this round began: the process may have been away meanwhile, which the next waking tells.
            if nj_load64(&loop.slot.pointee.beat) > clock.now &+ 5_000_000 { return }
            answered(loop)
        }
        if loop.isAsked { return waiting(loop) }
        if isIdle(loop) { return rest(loop) }
        if loop.hasEnded || isKeptFromAsking(loop) { return }
        ask(loop)
    }

    private func rest(_ loop: Loop) {
        loop.freeAt = clock.now
        loop.slot.count(0)
        setState(loop, .idle)
    }

    private func setState(_ loop: Loop, _ state: LoopState) {
        if loop.slot.pointee.state != state.rawValue { nj_store32(&loop.slot.pointee.state, state.rawValue) }
    }

    /// Whether the loop is waiting for work, as far as it can be seen without waking it.
    private func isIdle(_ loop: Loop) -> Bool {
        guard loop.hasAnswered else { return false }
        // Nothing of the process has run since the loop was seen idle.
        if clock.isStill, loop.wasSeenIdle { return true }
        loop.seen = nil
        loop.wasSeenIdle = isSeenIdle(loop)
        return loop.wasSeenIdle
    }

    private func isSeenIdle(_ loop: Loop) -> Bool {
        switch loop.gate {
        case .eventLoop: return waitsForEvents(loop)
        case .queue(let owner):
            if owner.tid == 0 { return true }
            // The main thread owns the main queue for good where a run loop serves it.
            guard loop.kind == .mainQueue, owner.tid == getpid() else { return false }
            return waitsForEvents(loop)
        case .none: return false
        }
    }

    /// Where only a ping tells, a process that hardly runs is not kept awake by pings. A job that blocks right after its
    /// loop answered would leave the process just as still, so it is asked again before that job could be called a stall.
    private func isKeptFromAsking(_ loop: Loop) -> Bool {
        guard loop.hasAnswered, clock.isCalm, loop.isKnownByPingsAlone else { return false }
        let pause = clock.isStill ? 2 &* threshold : threshold / 5 &* 4
        return clock.now &- loop.slot.pointee.beat < pause
    }

    private func waitsForEvents(_ loop: Loop) -> Bool {
        loop.follow(loop.thread)
        guard let state = loop.files?.state() else { return false }
        loop.seen = state
        guard case .blocked(let blocked) = state else {
            if state == .gone { loop.hasEnded = loop.kind == .eventLoop }
            return false
        }
        guard SystemCall.eventWaits.contains(blocked.call) || loop.isRunLoopAtRest(blocked) else { return false }
        loop.freeTimes = loop.files?.times()
        return true
    }

    private func ask(_ loop: Loop) {
        if loop.follow(loop.thread) { loop.seen = nil }
        let state = loop.seen ?? loop.files?.state()
        let times = loop.files?.times()
        let (start, uncertainty) = beginning(of: loop, state, times)
        var stall = Stall(
            startedAt: start, uncertainty: uncertainty, pausedBefore: clock.paused, tid: loop.files?.tid ?? 0,
            evidenceAt: clock.now, evidence: times, nextCapture: threshold / 2)
        if let free = loop.freeTimes {
            stall.evidence = free
            stall.evidenceAt = start
        }
        stall.throttledBefore = clock.throttled
        stall.throttledAwayBefore = clock.throttledAway
        loop.stall = stall
        loop.askedIn = state
        loop.seen = nil
        loop.wasSeenIdle = false
        loop.waitingPolls = 0
        loop.isAskedLate = clock.now &- min(clock.now, loop.freeAt) > Self.usualPoll &+ Self.waitingPoll / 2
        loop.sequence &+= 1
        loop.slot.pointee.asked = loop.sequence
        loop.slot.pointee.busy_since = start
        loop.slot.pointee.asked_at = clock.now
        if loop.hasAnswered { setState(loop, .busy) }
        loop.ping(loop.sequence)
        takeAtOnce(loop)
    }

    /// Out of a rest the first look may come when the job is nearly a stall already; its stack is not left to the next.
    private func takeAtOnce(_ loop: Loop) {
        guard loop.hasAnswered, var stall = loop.stall else { return }
        let age = stall.age(clock.now, paused: clock.paused)
        guard age >= stall.nextCapture else { return }
        take(loop, &stall, age)
        loop.stall = stall
    }

    // MARK: a ping is outstanding

    private func waiting(_ loop: Loop) {
        guard loop.hasAnswered else { return setState(loop, .unserved) }
        loop.waitingPolls &+= 1
        guard var stall = loop.stall else { return }
        defer { if loop.isAsked { loop.stall = stall } }
        followThread(loop, &stall)
        switch loop.files?.state() {
        case .gone? where loop.kind == .eventLoop:
            loop.hasEnded = true
            return
        case .running?: stall.wasSeenRunning = true
        case .blocked?: stall.sawBlocked(clock.now, times: loop.files?.times())
        default: break
        }
        let age = stall.age(clock.now, paused: clock.paused)
        if age >= stall.nextCapture { take(loop, &stall, age) }
        if knownWork.holds(stall.tid, at: clock.now) { stall.isKnownWork = true }
        guard !stall.isKnownWork, !stall.isTraced else { return }
        let share = stall.share(age: age, times: loop.files?.times())
        if stall.isOpen { loop.slot.republishStall(since: clock.now &- min(clock.now, share.own)) }
        if !stall.isOpen, isServices(share) {
            open(loop, &stall, age)
        } else if stall.isOpen, age >= stall.nextReport {
            stall.nextReport = age &* 2
            if !stall.isSuppressed { tellLasting(loop, stall, age) }
        }
    }

    /// Whether a stall is the service's: its own time counts, and the time without a processor does not. Where the latter is
    /// twice as long, what the loop did may just be the jobs that piled up meanwhile, unless that was long in itself.
    private func isServices(_ share: Stall.Share) -> Bool {
        share.own >= threshold && (share.own >= 3 &* threshold || share.waited < 2 &* share.own)
    }

    /// A queue may be run by another thread than the one that beat.
    private func followThread(_ loop: Loop, _ stall: inout Stall) {
        guard loop.follow(loop.thread) else { return }
        stall.tid = loop.files?.tid ?? 0
        stall.evidenceAt = clock.now
        stall.evidence = loop.files?.times()
        stall.faults = nil
    }

    private func take(_ loop: Loop, _ stall: inout Stall, _ age: UInt64) {
        guard loop.files != nil else { return }
        // A debugger holds single threads while we go on, and stops at signals.
        if loop.files?.isTraced() == true { stall.isTraced = true }
        guard !stall.isTraced else { return }
        if stall.faults == nil { stall.faults = loop.files?.majorFaults() }
        // A capture has a patience of its own, so that a pause in the middle of it still shows.
        guard let taken = withExcuse(atMost: 16_000_000, { captured(loop) }) else { return }
        guard nj_load64(&loop.slot.pointee.answered) != loop.sequence else { return }
        // A thread that has not got a processor to answer on is asked again at the next look.
        guard !taken.addresses.isEmpty else { return }
        stall.nextCapture = stall.samples.count < 3 ? age &+ threshold / 2 : age &+ age / 2
        stall.keep(
            StallSample(offsetNanoseconds: age, doing: taken.state.doing, addresses: taken.addresses), taken.state)
        if case .blocked(let blocked) = taken.state {
            if blocked.call == SystemCall.futex { withExcuse { findHolders(loop, blocked, &stall) } }
            stall.nameDescriptor(of: blocked)
        }
        if stall.isOpen { publish(loop, stall) }
    }

    private func captured(_ loop: Loop) -> CapturedStack? {
        guard let tid = loop.files?.tid else { return nil }
        let bounds = loop.bounds(of: tid)
        guard loop.files != nil else { return nil }
        let purpose = UInt64(loop.index + 1) << 48 | loop.sequence & 0xFFFF_FFFF_FFFF
        return capture.capture(loop.files!, bounds: bounds, now: clock.now, purpose: purpose)
    }

    private func open(_ loop: Loop, _ stall: inout Stall, _ age: UInt64) {
        stallCount &+= 1
        stall.number = stallCount
        loop.slot.pointee.stalls &+= 1
        setState(loop, .stalled)
        publish(loop, stall)
        stall.isSuppressed = !teller.mayTell(clock.now)
        stall.nextReport = max(1_000_000_000, 2 &* age)
        if stall.isSuppressed {
            loop.slot.pointee.suppressed &+= 1
        } else {
            let report = report(loop, stall, .begun, age)
            withExcuse { teller.tell(report, clock.now) }
        }
    }

    private func tellLasting(_ loop: Loop, _ stall: Stall, _ age: UInt64) {
        let report = report(loop, stall, .lasting, age)
        withExcuse { teller.tell(report, clock.now) }
    }

    private func publish(_ loop: Loop, _ stall: Stall) {
        let age = stall.age(clock.now, paused: clock.paused)
        let own = stall.share(age: age, times: loop.files?.times()).own
        let verdict = Verdict(stall, age: age, times: loop.files?.times())
        loop.slot.publishStall(
            since: clock.now &- min(clock.now, own), cause: verdict.cause, call: verdict.call,
            holder: stall.holders.first?.tid ?? 0,
            stall.samples.last?.addresses ?? [])
    }

    // MARK: the answer has come

    private func answered(_ loop: Loop) {
        let beat = max(nj_load64(&loop.slot.pointee.beat), loop.slot.pointee.asked_at)
        let lag = beat &- loop.slot.pointee.asked_at
        countLags(loop, lag)
        if let stall = loop.stall, loop.hasAnswered { over(loop, stall, beat) }
        loop.learnRest(lag)
        if clock.comparesSleepers, loop.files != nil, loop.thread == loop.files?.tid,
            case .blocked? = loop.files?.state()
        {
            clock.sleeps(loop.files!, afterBeat: beat)
        }
        loop.hasAnswered = true
        loop.stall = nil
        loop.freeAt = beat
        loop.slot.pointee.asked_at = 0
        loop.freeTimes = nil
        setState(loop, .idle)
    }

    /// The ping itself, and one reading for every poll that passed meanwhile.
    private func countLags(_ loop: Loop, _ lag: UInt64) {
        guard loop.hasAnswered else { return }
        loop.slot.count(lag)
        let polls = min(loop.waitingPolls, 100_000)
        guard polls > 0, lag > 0 else { return }
        // Jobs queued at even distances wait evenly less; a few thousand of them are counted in lumps.
        let lumps = min(polls, 64)
        for lump in 0..<lumps {
            loop.slot.count(lag / lumps &* (lumps - 1 - lump) &+ lag / (2 &* lumps), times: polls / lumps)
        }
    }

    private func over(_ loop: Loop, _ stall: Stall, _ end: UInt64) {
        let age = stall.age(end, paused: clock.paused)
        let away = clock.throttledAway &- stall.throttledAwayBefore
        guard age &+ away > 20_000_000, !stall.isKnownWork else { return loop.slot.clearStall() }
        let throttled = clock.throttled &- stall.throttledBefore
        var share = stall.finalShare(age: age, times: loop.files?.times(), throttled: throttled)
        share.waited &+= away
        // A watchdog that did not look once while it lasted has no evidence: it was away itself.
        let isWitnessed = loop.waitingPolls > 1 || !stall.samples.isEmpty
        if isWitnessed, share.own > 20_000_000 {
            loop.slot.pointee.blocked_ns &+= share.own
            loop.slot.pointee.longest_ns = max(loop.slot.pointee.longest_ns, share.own)
        }
        if share.waited > 20_000_000 { loop.slot.pointee.starved_ns &+= share.waited }
        loop.slot.clearStall()
        guard !stall.isTraced else { return }
        if isWitnessed, isServices(share) {
            ended(loop, stall, age)
        } else if stall.isOpen || share.waited >= threshold / 2 && age &+ away >= threshold {
            // What looked like a stall while it lasted was charged to the scheduler's queue in the end.
            if stall.isOpen { loop.slot.pointee.stalls &-= 1 }
            var report = report(loop, stall, .ended, age &+ away)
            report.cause = throttled >= share.waited / 3 && throttled > 0 ? .starvedByQuota : .starvedByHost
            report.waitedNanoseconds = share.waited
            report.samples = []
            withExcuse { teller.tellStarvation(report, clock.now) }
        }
    }

    private func ended(_ loop: Loop, _ stall: Stall, _ age: UInt64) {
        var stall = stall
        if !stall.isOpen {
            stallCount &+= 1
            stall.number = stallCount
            loop.slot.pointee.stalls &+= 1
            stall.isSuppressed = !teller.mayTell(clock.now)
            if stall.isSuppressed { loop.slot.pointee.suppressed &+= 1 }
        }
        guard !stall.isSuppressed else { return }
        let report = report(loop, stall, .ended, age)
        withExcuse { teller.tell(report, clock.now) }
    }
}
