// Time as the watchdog counts it, and what happened to time.
//
// The watchdog asks to be woken after so many ms. Where it wakes much later, the process was not there: stopped, held by a
// debugger, or its machine was paused or suspended. That span belongs to nobody's stall and is taken out of all of them.
// Where the scheduler says that the watchdog itself stood in the queue for a processor, the machine was merely busy; then
// nothing is taken out here, because every loop's own waiting time is known and taken out exactly.

import CNightjarProbe
import Glibc

final class Clockwork {
    /// Late by less is jitter.
    private static let leastPause: UInt64 = 20_000_000
    /// Others' processor time between two polls that is no sign of life.
    private static let stillness: UInt64 = 1_000
    private static let calmness: UInt64 = 300_000

    /// Now, on CLOCK_MONOTONIC.
    private(set) var now: UInt64
    /// Everything that the process was paused since the probe began.
    private(set) var paused: UInt64 = 0
    /// The watchdog itself waited for a processor for most of the last poll's lateness.
    private(set) var isMachineBusy = false
    /// No other thread of the process has run since the last poll.
    private(set) var isStill = false
    /// Others have hardly run: no more than our own pings cost.
    private(set) var isCalm = false
    /// Processor time of all other threads, in ns.
    private(set) var othersRan: UInt64 = 0
    /// And since the last poll.
    private(set) var othersRanSince: UInt64 = 0
    /// The previous poll.
    private(set) var before: UInt64
    /// The difference between the scheduler's clock and ours, where the kernel shows the former.
    private(set) var schedulerOffset: Int64?

    private let ownFiles = ThreadFiles(tid: currentThread())
    private var ownWaited: UInt64 = 0
    private var sleptAt: UInt64

    init() {
        now = nj_now()
        before = now
        sleptAt = now
        ownWaited = ownFiles.times()?.waited ?? 0
        othersRan = Self.othersTime()
    }

    /// The watchdog lies down now: what a round itself takes is no lateness.
    func sleeps(clock: UInt64 = nj_now()) {
        sleptAt = clock
        ownWaited = ownFiles.times()?.waited ?? 0
    }

    /// The watchdog woke after having asked for `asked` ns. `clock` is the time, given from outside in tests.
    func woke(asked: UInt64, clock: UInt64 = nj_now()) {
        before = now
        now = clock
        let late = now &- min(now, sleptAt &+ asked)
        let waited = ownFiles.times()?.waited ?? 0
        let stood = waited &- min(waited, ownWaited)
        isMachineBusy = late > 2_000_000 && stood >= late / 2
        if late >= max(2 &* asked, Self.leastPause), !isMachineBusy { paused &+= late }
        let ran = Self.othersTime()
        othersRanSince = ran &- min(ran, othersRan)
        othersRan = ran
        isStill = othersRanSince < Self.stillness
        isCalm = othersRanSince < Self.calmness
        schedulerOffset = nil
    }

    /// A moment of the scheduler's clock, on ours; the two are compared anew, because theirs is one a processor.
    func moment(ofScheduler time: UInt64) -> UInt64? {
        if schedulerOffset == nil, let own = ThreadFiles.ownLastRan() {
            schedulerOffset = Int64(bitPattern: now &- own)
        }
        guard let schedulerOffset else { return nil }
        return time &+ UInt64(bitPattern: schedulerOffset)
    }

    private static func othersTime() -> UInt64 {
        func time(_ clock: clockid_t) -> UInt64 {
            var value = timespec()
            clock_gettime(clock, &value)
            return UInt64(value.tv_sec) &* 1_000_000_000 &+ UInt64(value.tv_nsec)
        }
        let all = time(CLOCK_PROCESS_CPUTIME_ID)
        let own = time(CLOCK_THREAD_CPUTIME_ID)
        return all &- min(all, own)
    }
}
