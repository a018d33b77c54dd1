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
    /// Run times of its thread then.
    var freeTimes: RunTimes?
    var files: ThreadFiles?
    var stall: Stall?
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

    /// The thread that runs the loop now, or ran it last; 0 = not known yet.
    var thread: Int32 {
        if case .queue(let owner) = gate, owner.tid != 0 { return owner.tid }
        return Int32(bitPattern: nj_load32(&slot.pointee.tid))
    }

    /// Bounds of the stack, where the thread is the one that beat.
    func bounds(of tid: Int32) -> (low: UInt64, high: UInt64) {
        guard Int32(bitPattern: nj_load32(&slot.pointee.tid)) == tid else { return (0, 0) }
        return (slot.pointee.stack_low, slot.pointee.stack_high)
    }

    /// Opens the files of the thread that runs the loop; true where it is another one than before.
    @discardableResult func follow(_ tid: Int32) -> Bool {
        if files?.tid == tid { return false }
        files = tid > 0 ? ThreadFiles(tid: tid) : nil
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
    var throttledBefore: UInt64?

    var samples: [StallSample] = []
    var states: [ThreadState] = []
    var holders: [ThreadReport] = []
    var isDeadlock = false
    /// Names of the descriptors that its calls waited for, taken while they were open.
    private(set) var descriptors: [UInt64: String] = [:]
    var isKnownWork = false
    var nextCapture: UInt64
    var wasSeenBlocked = false
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
        switch state {
        case .running: wasSeenRunning = true
        case .blocked: wasSeenBlocked = true
        case .gone, .unreadable: break
        }
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

    /// The share of its age that is the service's own: not spent waiting for a processor.
    ///
    /// A thread that waits right now has not been charged for it yet, so for one that was only ever seen ready the time
    /// that it did not run counts as waiting; a tick of 4 ms may be missing from what it ran.
    func ownTime(age: UInt64, times: RunTimes?) -> UInt64 {
        guard let evidence, let times else { return age }
        let spent = times - evidence
        if wasSeenRunning, !wasSeenBlocked {
            let earlier = evidenceAt &- min(evidenceAt, startedAt)
            return min(age, earlier &+ spent.ran &+ 4_000_000)
        }
        return age &- min(age, spent.waited)
    }
}
