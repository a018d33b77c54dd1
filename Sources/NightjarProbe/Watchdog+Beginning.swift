// When did the job begin that a look finds? Between the last moment at which its loop was surely free and now. Closer than
// that it is told by the scheduler: what a running thread has spent since it was free, and when a blocked one left its
// processor.

import NightjarWire

extension Watchdog {
    /// How far back a job may have begun that a look finds.
    private static let longestWindow: UInt64 = 100_000_000

    /// When the loop's present job began: between the last moment it was free and now.
    func beginning(
        of loop: Loop, _ state: ThreadState?, _ times: RunTimes?
    ) -> (start: UInt64, uncertainty: UInt64) {
        let now = clock.now
        let earliest = max(loop.freeAt, now &- min(now, Self.longestWindow))
        guard loop.hasAnswered, now > earliest, let state else { return (now, 0) }
        // A run loop that may be at rest has begun nothing yet.
        if loop.kind == .mainQueue, loop.restingStack == 0, state.call == SystemCall.poll { return (now, 0) }
        let window = now &- earliest
        guard let estimate = estimatedBeginning(of: loop, state, times), estimate.start > earliest,
            estimate.start <= now
        else { return (earliest &+ window / 2, window / 2) }
        return (estimate.start, estimate.isExact ? min(window, 2_000_000) : window)
    }

    private func estimatedBeginning(
        of loop: Loop, _ state: ThreadState, _ times: RunTimes?
    ) -> (start: UInt64, isExact: Bool)? {
        switch state {
        case .running:
            // It has run or stood in the queue ever since; so had the process, where nothing else did. A loop that was not looked
            // at for long may have rested in between, and what it spent was many jobs.
            if let free = loop.freeTimes, let times {
                let spent = times - free
                let isOnTime = clock.now &- loop.freeAt <= threshold
                return (clock.now &- min(clock.now, spent.ran &+ spent.waited), isOnTime)
            }
            return (clock.now &- min(clock.now, clock.othersRanSince), false)
        case .blocked:
            // It left the processor when it began to wait, a moment after it began.
            guard loop.files != nil else { return nil }
            return clock.leftProcessor(loop.files!).map { ($0, true) }
        case .gone, .unreadable: return nil
        }
    }
}
