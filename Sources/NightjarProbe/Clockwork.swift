// Time as the watchdog counts it, and what happened to time.
//
// The watchdog asks to be woken after so many ms. Where it wakes much later, the process was not there: stopped, held by a
// debugger, or its machine was paused or suspended. That span belongs to nobody's stall and is taken out of all of them.
// Where the scheduler says that the watchdog itself stood in the queue for a processor, the machine was merely busy; then
// nothing is taken out here, because every loop's own waiting time is known and taken out exactly. Where the quota of the
// control group held the whole process back, the span is taken out and counted as starvation.

import CNightjarProbe
import Glibc

final class Clockwork {
    /// Late by less is jitter.
    private static let leastPause: UInt64 = 20_000_000
    /// Others' processor time between two polls that is no sign of life.
    private static let stillness: UInt64 = 1_000
    private static let calmness: UInt64 = 300_000
    private static let quietWakes = 10
    /// Late by less is nothing to look into.
    private static let leastLateness: UInt64 = 2_000_000
    /// How old the readings may be that a late wake-up is judged by; each costs some µs.
    private static let readingsLast: UInt64 = 100_000_000
    /// Where nothing runs, next to nothing is added to them.
    private static let readingsLastAtRest: UInt64 = 1_000_000_000

    /// Now, on CLOCK_MONOTONIC.
    private(set) var now: UInt64
    /// Everything that the process was paused since the probe began.
    private(set) var paused: UInt64 = 0
    /// How long the control group has been held back by its quota, all processors together.
    private(set) var throttled: UInt64 = 0
    /// What of `paused` was spent held back by the quota.
    private(set) var throttledAway: UInt64 = 0
    /// No other thread of the process has run since the last poll.
    private(set) var isStill = false
    /// Others have hardly run for some looks on end.
    var isQuiet: Bool { calmWakes >= Self.quietWakes }
    private var calmWakes = 0
    /// Others have hardly run: no more than our own pings cost.
    private(set) var isCalm = false
    /// Processor time of all other threads, in ns, as far as it is certain: the most that was ever read.
    private var othersRan: UInt64 = 0
    /// And since the last poll.
    private(set) var othersRanSince: UInt64 = 0
    /// The previous poll.
    private(set) var before: UInt64
    /// The scheduler's clocks against ours.
    private var schedulerClocks = SchedulerClocks()

    private let throttling = Throttling()
    private let ownFiles = ThreadFiles(tid: currentThread())
    private var ownTimes = RunTimes()
    private var ownTimesAt: UInt64 = 0
    private var excused: UInt64 = 0
    private var throttledAt: UInt64 = 0

    init() {
        now = nj_now()
        before = now
        ownTimes = ownFiles.times() ?? RunTimes()
        othersRan = Self.othersTime()
        throttled = throttling.total() ?? 0
    }

    /// The watchdog did something that may have waited for others, for `most` at most: told somebody, read symbols. That is no
    /// pause.
    func excuse(since start: UInt64, atMost most: UInt64 = .max) { excused &+= min(most, nj_now() &- start) }

    /// The watchdog woke after having asked for `asked` ns. `clock` is the time, given from outside in tests.
    ///
    /// What it neither asked for nor ran, nor waited for a processor, nor spent with others since the last time, be it in its
    /// sleep or in the middle of a round, the process was not there.
    func woke(asked: UInt64, clock: UInt64 = nj_now()) {
        before = now
        now = clock
        let known = asked &+ excused
        excused = 0
        let late = (now &- before) &- min(now &- before, known)
        let isLate = late > Self.leastLateness
        let age = isStill ? Self.readingsLastAtRest : Self.readingsLast
        let spent = isLate || now &- ownTimesAt > age ? ownTimeSince() : 0
        let heldBack = isLate || now &- throttledAt > age ? throttledSince() : 0
        let missing = late &- min(late, spent)
        if missing >= max(asked, Self.leastPause) {
            paused &+= missing
            if heldBack >= missing / 2 { throttledAway &+= missing }
        }
        let ran = Self.othersTime()
        othersRanSince = ran &- min(ran, othersRan)
        othersRan = max(ran, othersRan)
        isStill = othersRanSince < Self.stillness
        isCalm = othersRanSince < Self.calmness
        calmWakes = isCalm ? min(calmWakes + 1, Self.quietWakes) : 0
        if !isStill { schedulerClocks.compareOwn(now) }
    }

    /// What the watchdog ran, and was ready without a processor, since the last reading.
    private func ownTimeSince() -> UInt64 {
        let times = ownFiles.times() ?? RunTimes()
        defer { (ownTimes, ownTimesAt) = (times, now) }
        let spent = times - ownTimes
        return spent.ran &+ spent.waited
    }

    private func throttledSince() -> UInt64 {
        throttledAt = now
        guard let total = throttling.total() else { return 0 }
        defer { throttled = total }
        return total &- min(total, throttled)
    }

    /// When a blocked thread left its processor, on our clock; nil where the kernel does not show it or that processor's
    /// clock is not known.
    func leftProcessor(_ files: borrowing ThreadFiles) -> UInt64? {
        schedulerClocks.leftProcessor(files)
    }

    /// Another comparison with a loop that sleeps is due.
    var comparesSleepers: Bool { schedulerClocks.isDue(now) }

    /// The thread beat at `beat` and has gone to sleep since.
    func sleeps(_ files: borrowing ThreadFiles, afterBeat beat: UInt64) {
        schedulerClocks.compare(files, withBeat: beat, now)
    }

    /// A little less than the processor time of all other threads: what this one runs between the two readings is missing,
    /// some µs where the caches are cold. So a reading may be smaller than the one before it, and means nothing then.
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
