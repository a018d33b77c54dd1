// One watched loop, as the watchdog sees it. Only the watchdog's thread touches it.
//
//     free ──ask──▶ asked ──answer──▶ free          a ping that was answered: one reading of the lag
//                     │ older than half the threshold: stacks are collected
//                     │ older than the threshold:      the stall is open, and told
//                     ╰──answer──▶ free                the stall is over, with its exact end

import CNightjarProbe
import Glibc
import NightjarWire

/// How the watchdog learns that a loop is idle without waking it.
enum Gate {
    /// An event loop: its thread sits in epoll_wait.
    case eventLoop
    /// A serial queue: nobody runs it.
    case queue(QueueOwner)
    /// Nothing is known; only a ping tells.
    case none
}

final class Loop {
    let index: Int
    let name: String
    let kind: LoopKind
    let slot: UnsafeMutablePointer<nj_slot>
    let gate: Gate
    /// Puts a job on the loop that beats with this number.
    let ping: (UInt64) -> Void

    var sequence: UInt64 = 0
    var hasAnswered = false
    /// The last moment at which it was surely free.
    var freeAt: UInt64
    /// Run times of its thread then, where all its jobs run on one thread.
    var freeTimes: RunTimes?
    var files: ThreadFiles?
    var stall: Stall?
    /// It was seen idle at the last look, and no ping has been left since.
    var wasSeenIdle = false
    /// What its thread was doing at this look; nil = not looked.
    var seen: ThreadState?
    /// It was asked when it had not been known to be free for longer than between two usual looks.
    var isAskedLate = false
    /// What its thread was doing when it was asked.
    var askedIn: ThreadState?
    /// Where a run loop waits for events: the stack pointer of its `ppoll`; 0 = not learned yet.
    private(set) var restingStack: UInt64 = 0
    /// Polls that passed while a ping was outstanding: jobs that would have waited too.
    var waitingPolls: UInt64 = 0
    var hasEnded = false

    init(
        index: Int, name: String, kind: LoopKind, slot: UnsafeMutablePointer<nj_slot>, gate: Gate,
        ping: @escaping (UInt64) -> Void, now: UInt64
    ) {
        self.index = index
        self.name = name
        self.kind = kind
        self.slot = slot
        self.gate = gate
        self.ping = ping
        freeAt = now
    }

    var isAsked: Bool { slot.pointee.asked_at != 0 }

    /// A ping is outstanding on a loop that is known to be served.
    var isWaitedFor: Bool { hasAnswered && isAsked }

    /// A ping has gone unanswered to the next look, or was late itself.
    var isOverdue: Bool { isWaitedFor && (waitingPolls > 0 || isAskedLate) }

    /// It has no gate, or one that cannot be read here.
    var isKnownByPingsAlone: Bool {
        if case .none = gate { return true }
        return seen == .unreadable
    }

    /// Nothing is to be done for it while nothing runs: it was seen idle, or nobody serves it. Where only pings tell, they go on.
    var isAtRest: Bool {
        guard hasAnswered else { return isAsked }
        guard case .none = gate else { return wasSeenIdle && !isAsked }
        return false
    }

    /// The thread that runs the loop now, or ran it last; 0 = not known yet.
    var thread: Int32 {
        if case .queue(let owner) = gate, owner.tid != 0 { return owner.tid }
        return Int32(bitPattern: nj_load32(&slot.pointee.tid))
    }

    /// The thread that runs the loop now, 0 where none does: a worker that once ran this queue may be running another.
    var threadNow: Int32 {
        if case .queue(let owner) = gate { return owner.tid }
        return thread
    }

    /// Bounds of the stack, where the thread is the one that beat.
    func bounds(of tid: Int32) -> (low: UInt64, high: UInt64) {
        guard Int32(bitPattern: nj_load32(&slot.pointee.tid)) == tid else { return (0, 0) }
        return (nj_load64(&slot.pointee.stack_low), nj_load64(&slot.pointee.stack_high))
    }

    /// A run loop waits in `ppoll`, and so may the service's own code; but every job lies deeper in the stack than the loop
    /// that called it.
    func isRunLoopAtRest(_ blocked: ThreadState.Blocked) -> Bool {
        kind == .mainQueue && blocked.call == SystemCall.poll && blocked.stackPointer == restingStack
    }

    /// A ping that was answered at once out of a `ppoll`: the shallowest such place is where the run loop rests.
    func learnRest(_ lag: UInt64) {
        guard kind == .mainQueue, lag < 5_000_000, case .blocked(let blocked)? = askedIn,
            blocked.call == SystemCall.poll
        else { return }
        restingStack = max(restingStack, blocked.stackPointer)
    }

    /// Opens the files of the thread that runs the loop; true where it is another one than before.
    @discardableResult func follow(_ tid: Int32) -> Bool {
        if files?.tid == tid { return false }
        files = tid > 0 ? ThreadFiles(tid: tid) : nil
        freeTimes = nil
        return true
    }
}

/// A ping that has not been answered yet, and what was seen meanwhile.
struct Stall {
    /// How many stacks are kept: the first ones, and the newest.
    static let mostSamples = Limits.samples
    private static let firstSamples = 6

    let startedAt: UInt64
    let uncertainty: UInt64
    let pausedBefore: UInt64
    /// The evidence counts from here: run times of this thread at this moment.
    var tid: Int32
    var evidenceAt: UInt64
    var evidence: RunTimes?
    var faults: UInt64?
    var throttledBefore: UInt64 = 0
    var throttledAwayBefore: UInt64 = 0
    /// Of the time since the evidence began: away from the processor without waiting for one, at the last look that saw the
    /// thread blocked.
    private(set) var blockedAway: UInt64 = 0

    var samples: [StallSample] = []
    var states: [ThreadState] = []
    var holders: [ThreadReport] = []
    var isDeadlock = false
    /// Names of the descriptors that its calls waited for, taken while they were open.
    private(set) var descriptors: [UInt64: String] = [:]
    var isKnownWork = false
    /// A debugger had its thread in its hands.
    var isTraced = false
    var nextCapture: UInt64
    var wasSeenRunning = false
    /// 0 until it is long enough to be one.
    var number: UInt64 = 0
    var isSuppressed = false
    var nextReport: UInt64 = 0

    var isOpen: Bool { number != 0 }

    mutating func keep(_ sample: StallSample, _ state: ThreadState) {
        if samples.count == Self.mostSamples {
            samples.remove(at: Self.firstSamples)
            states.remove(at: Self.firstSamples)
        }
        samples.append(sample)
        states.append(state)
        if state == .running { wasSeenRunning = true }
    }

    /// A thread that is blocked waits for no processor, so that whatever it neither ran nor waited up to here was blocked.
    mutating func sawBlocked(_ now: UInt64, times: RunTimes?) {
        guard let evidence, let times else { return }
        let spent = times - evidence
        let span = now &- min(now, evidenceAt)
        blockedAway = max(blockedAway, span &- min(span, spent.ran &+ spent.waited))
    }

    mutating func nameDescriptor(of blocked: ThreadState.Blocked) {
        let descriptor = blocked.arguments.0
        guard SystemCall.takesDescriptor(blocked.call), descriptors[descriptor] == nil, descriptors.count < 8 else {
            return
        }
        descriptors[descriptor] = Verdict.descriptorName(descriptor)
    }

    /// How long it has lasted at `now`, without pauses.
    func age(_ now: UInt64, paused: UInt64) -> UInt64 {
        let wall = now &- min(now, startedAt)
        let away = paused &- pausedBefore
        return wall > away ? wall - away : 0
    }

    /// Whose time it was.
    struct Share: Equatable {
        /// The service's own: running or blocked.
        var own: UInt64
        /// Ready, without a processor.
        var waited: UInt64
    }

    /// The shares of a stall that goes on.
    ///
    /// A thread that waits for a processor right now has not been charged for it yet. So only what it ran and what it was
    /// seen blocked counts as its own; a tick of 4 ms may be missing from the former.
    func share(age: UInt64, times: RunTimes?) -> Share {
        guard let evidence, let times else { return Share(own: proven(age), waited: 0) }
        let seen = earlier &+ (times - evidence).ran &+ blockedAway &+ 4_000_000
        let own = min(age, seen)
        return Share(own: proven(own), waited: age &- own)
    }

    /// The shares of one that is over: all of its waiting is charged, but not what a quota held it back (Linux 6.18).
    func finalShare(age: UInt64, times: RunTimes?, throttled: UInt64) -> Share {
        guard let evidence, let times else { return Share(own: proven(age), waited: 0) }
        let spent = times - evidence
        var own = age &- min(age, spent.waited)
        if throttled > 10_000_000 { own = min(own, earlier &+ spent.ran &+ blockedAway &+ 10_000_000) }
        return Share(own: proven(own), waited: age &- own)
    }

    private var earlier: UInt64 { evidenceAt &- min(evidenceAt, startedAt) }

    /// What of a span is beyond doubt. Where the watchdog itself came late, the beginning may lie anywhere in a long window,
    /// and the service gets the benefit; the window of ordinary looks is within the error that a stall may have.
    func proven(_ span: UInt64) -> UInt64 {
        let doubt = uncertainty &- min(uncertainty, 25_000_000)
        return span &- min(span, doubt)
    }
}
