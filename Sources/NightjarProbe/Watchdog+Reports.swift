// What the watchdog says: one stall with its evidence, who holds the lock, and all threads when the agent asks.

import CNightjarProbe
import NightjarWire

extension Watchdog {
    func report(_ loop: Loop, _ stall: Stall, _ phase: StallReport.Phase, _ age: UInt64) -> StallReport {
        let times = loop.files?.times()
        var verdict = Verdict(stall, age: age, times: times)
        if let before = stall.faults, let now = loop.files?.majorFaults() {
            verdict.consider(majorFaults: now &- min(now, before), stall, age: age, times: times)
        }
        let spent = stall.evidence.flatMap { before in times.map { $0 - before } } ?? RunTimes()
        return StallReport(
            number: stall.number, phase: phase, slot: UInt16(clamping: loop.index), loop: loop.name,
            cause: verdict.cause,
            startedAt: stall.startedAt, uncertaintyNanoseconds: stall.uncertainty, lastedNanoseconds: age,
            ranNanoseconds: min(spent.ran, age), waitedNanoseconds: min(spent.waited, age),
            majorFaults: verdict.majorFaults,
            tid: stall.tid, call: verdict.call, target: verdict.target, samples: stall.samples, threads: stall.holders)
    }

    func tell(_ report: StallReport) {
        var report = report
        if report.number == 0 {
            guard teller.mayTell(clock.now) else { return }
            stallCount &+= 1
            report.number = stallCount
            pool?.number = stallCount
        }
        teller.tell(report, clock.now)
    }

    /// The holder of the lock that a thread waits for, the one whom that one waits for, and so on; round = a deadlock.
    func findHolders(_ loop: Loop, _ first: ThreadState.Blocked, _ stall: inout Stall) {
        var seen = [stall.tid]
        var waiter = first
        var holders: [ThreadReport] = []
        while holders.count < 8, let holder = LockHolder.holder(of: waiter, waiter: seen[seen.count - 1]) {
            if seen.contains(holder) {
                stall.isDeadlock = true
                break
            }
            seen.append(holder)
            let files = ThreadFiles(tid: holder)
            let taken = capture.capture(files, bounds: (0, 0), now: clock.now)
            holders.append(
                ThreadReport(
                    tid: holder, role: .holder, doing: taken.state.doing, call: taken.state.call,
                    name: ThreadFiles.name(of: holder), addresses: taken.addresses))
            guard case .blocked(let next) = taken.state else { break }
            waiter = next
        }
        if !holders.isEmpty { stall.holders = holders }
    }

    /// Every thread of the process, now.
    func allStacks(_ request: UInt32) -> [ThreadReport] {
        let roles = Dictionary(loops.map { ($0.threadNow, $0.name) }) { first, _ in first }
        return AllThreads.list().map { tid in
            let files = ThreadFiles(tid: tid)
            let isOwn = tid == currentThread()
            let taken =
                isOwn
                ? CapturedStack(state: .running, addresses: []) : capture.capture(files, bounds: (0, 0), now: clock.now)
            let name = roles[tid] ?? ThreadFiles.name(of: tid)
            return ThreadReport(
                tid: tid, role: roles[tid] == nil ? .any : .loop, doing: taken.state.doing, call: taken.state.call,
                name: name,
                addresses: taken.addresses)
        }
    }
}
