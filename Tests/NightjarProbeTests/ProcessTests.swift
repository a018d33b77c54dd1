import CNightjarProbe
import Foundation
import NightjarWire
import Testing

@testable import NightjarProbe

/// What happens to the probe when its process forks, and to signals that are not its own. Each in a process of its own
/// making, since a fork of the test runner must do as little as possible.
@Suite(.serialized) struct ProcessTests {
    @Test func `a forked child has private zeros where the page was, and is silent`() throws {
        var memory: UnsafeMutableRawPointer?
        let descriptor = nj_page_create(PageLayout.length, &memory)
        let page = try #require(memory)
        defer { nj_page_destroy(descriptor, page, PageLayout.length) }
        page.storeBytes(of: 7, as: UInt64.self)
        nj_fork_guard(page, PageLayout.length, nj_note(descriptor), nj_note(-1))
        let slot = page.advanced(by: PageLayout.headerLength).assumingMemoryBound(to: nj_slot.self)
        // The child answers by its exit code alone: bit 0 forked, bit 1 page private, bit 2 descriptor closed.
        let child = forkAndAnswer {
            var answer: Int32 = 0
            if nj_is_forked() == 1 { answer |= 1 }
            if page.load(as: UInt64.self) == 0 { answer |= 2 }
            if fcntl(descriptor, F_GETFD) == -1 { answer |= 4 }
            nj_beat(slot, 3)
            return answer
        }
        #expect(child == 7)
        #expect(page.load(as: UInt64.self) == 7)
        #expect(slot.pointee.beat == 0)
        #expect(nj_is_forked() == 0)
    }

    @Test func `the page can neither shrink nor grow, and nobody else can write it`() throws {
        var memory: UnsafeMutableRawPointer?
        let descriptor = nj_page_create(PageLayout.length, &memory)
        let page = try #require(memory)
        defer { nj_page_destroy(descriptor, page, PageLayout.length) }
        #expect(ftruncate(descriptor, 0) == -1)
        #expect(ftruncate(descriptor, off_t(PageLayout.length * 2)) == -1)
        let mapped = mmap(nil, PageLayout.length, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
        #expect(mapped == MAP_FAILED)
    }

    @Test func `a SIGPROF of somebody else goes on to the handler that was there before`() {
        // In a child, because the handler that was there first must be installed first.
        let answer = forkAndAnswer {
            nj_capture_remove()
            var action = sigaction()
            action.__sigaction_handler.sa_handler = { _ in _exit(5) }
            sigaction(SIGPROF, &action, nil)
            guard nj_capture_install() == 0, nj_capture_is_ours() == 1 else { return 1 }
            raise(SIGPROF)
            return 2
        }
        #expect(answer == 5)
    }

    @Test func `who takes SIGPROF after us keeps it, and nobody is signalled any more`() {
        let answer = forkAndAnswer {
            nj_capture_remove()
            guard nj_capture_install() == 0 else { return 1 }
            signal(SIGPROF, SIG_IGN)
            if nj_capture_is_ours() == 1 { return 2 }
            if nj_capture_thread(nj_own_tid(), 0, 0, 0, 1000) != nil { return 3 }
            return 4
        }
        #expect(answer == 4)
    }
}

/// Runs `body` in a forked child and gives its exit code.
func forkAndAnswer(_ body: () -> Int32) -> Int32 {
    let child = plainFork()
    if child == 0 { _exit(body()) }
    var status: Int32 = 0
    waitpid(child, &status, 0)
    return (status & 0x7F) == 0 ? (status >> 8) & 0xFF : -1
}

@_silgen_name("fork") private func plainFork() -> Int32

struct VerdictTests {
    private func stall(_ states: [ThreadState], ran: UInt64, waited: UInt64) -> (Stall, RunTimes) {
        var stall = Stall(
            startedAt: 1_000_000_000, uncertainty: 0, pausedBefore: 0, tid: 1, evidenceAt: 1_000_000_000,
            evidence: RunTimes(ran: 5, waited: 5), nextCapture: 0)
        for state in states { stall.keep(StallSample(offsetNanoseconds: 0, doing: state.doing, addresses: [1]), state) }
        return (stall, RunTimes(ran: 5 + ran, waited: 5 + waited))
    }

    private func blocked(_ call: Int32, _ argument: UInt64 = 0) -> ThreadState {
        .blocked(ThreadState.Blocked(call: call, arguments: (argument, 0, 0, 0), stackPointer: 1, programCounter: 1))
    }

    @Test func `a thread that ran is computing`() {
        let (stall, times) = stall([.running, .running], ran: 90_000_000, waited: 0)
        #expect(Verdict(stall, age: 100_000_000, times: times).cause == .computing)
    }

    @Test func `a thread that sat in a call is blocked in it, though it ran between`() {
        let (stall, times) = stall([blocked(0, 7), .running], ran: 20_000_000, waited: 0)
        let verdict = Verdict(stall, age: 100_000_000, times: times)
        #expect(verdict.cause == .systemCall && verdict.call == 0)
    }

    @Test func `a futex without a holder is a queue, a semaphore or a condition`() {
        let (stall, times) = stall([blocked(SystemCall.futex)], ran: 0, waited: 0)
        #expect(Verdict(stall, age: 100_000_000, times: times).cause == .wait)
    }

    @Test func `a futex with a holder is a lock, and a round of holders a deadlock`() {
        var (stall, times) = stall([blocked(SystemCall.futex)], ran: 0, waited: 0)
        stall.holders = [ThreadReport(tid: 9, role: .holder, doing: .blocked, name: "worker", addresses: [])]
        #expect(Verdict(stall, age: 100_000_000, times: times).cause == .lock)
        stall.isDeadlock = true
        #expect(Verdict(stall, age: 100_000_000, times: times).cause == .deadlock)
    }

    @Test func `waiting outside any call is paging`() {
        let (stall, times) = stall([blocked(-1)], ran: 0, waited: 0)
        #expect(Verdict(stall, age: 100_000_000, times: times).cause == .paging)
    }

    @Test func `time in the scheduler's queue is not the service's`() {
        var (stall, times) = stall([.running], ran: 10_000_000, waited: 85_000_000)
        #expect(stall.share(age: 100_000_000, times: times).own < 20_000_000)
        // Charged only when it runs again: until then what it did not run is waiting too.
        times.waited = 5
        #expect(stall.share(age: 100_000_000, times: times).own < 20_000_000)
        // Blocked when looked at: that is the service's. What comes after it is not known yet.
        stall.sawBlocked(1_060_000_000, times: times)
        let share = stall.share(age: 100_000_000, times: times)
        #expect(share.own >= 60_000_000 && share.own < 70_000_000)
        // In the end everything is charged.
        times.waited = 5 + 20_000_000
        #expect(stall.finalShare(age: 100_000_000, times: times, throttled: 0).own == 80_000_000)
    }

    @Test func `what a quota held back is charged to nobody by the scheduler, and not to the service`() {
        let (stall, times) = stall([.running], ran: 10_000_000, waited: 0)
        #expect(stall.finalShare(age: 100_000_000, times: times, throttled: 0).own == 100_000_000)
        let share = stall.finalShare(age: 100_000_000, times: times, throttled: 80_000_000)
        #expect(share.own < 25_000_000 && share.waited > 75_000_000)
    }

    @Test func `faults that fill the time away from the processor are paging, a few beside much work are not`() {
        let (stall, times) = stall([.running], ran: 40_000_000, waited: 0)
        var verdict = Verdict(stall, age: 100_000_000, times: times)
        verdict.consider(majorFaults: 900, stall, age: 100_000_000, times: times)
        #expect(verdict.cause == .paging && verdict.majorFaults == 900)
        let (busy, busyTimes) = self.stall([.running], ran: 95_000_000, waited: 0)
        var computing = Verdict(busy, age: 100_000_000, times: busyTimes)
        computing.consider(majorFaults: 9, busy, age: 100_000_000, times: busyTimes)
        #expect(computing.cause == .computing)
    }

    @Test func `where the beginning may lie anywhere in a long window, only what is certain counts`() {
        let late = Stall(
            startedAt: 0, uncertainty: 80_000_000, pausedBefore: 0, tid: 1, evidenceAt: 0, nextCapture: 0)
        #expect(late.proven(90_000_000) == 35_000_000)
        let ordinary = Stall(
            startedAt: 0, uncertainty: 10_000_000, pausedBefore: 0, tid: 1, evidenceAt: 0, nextCapture: 0)
        #expect(ordinary.proven(90_000_000) == 90_000_000)
    }
}

struct ClockworkTests {
    @Test func `a stopped process is not a stalled loop`() {
        let clock = Clockwork()
        let start = clock.now
        // A machine that was paused: asked for 10 ms, woken after 30 s, and never in the scheduler's queue.
        clock.woke(asked: 10_000_000, clock: start + 30_000_000_000)
        #expect(clock.paused >= 29_900_000_000)
    }

    @Test func `a span in which the watchdog waited for others is no pause`() {
        let clock = Clockwork()
        let start = clock.now
        clock.excuse(since: start &- 500_000_000)
        clock.woke(asked: 10_000_000, clock: start + 515_000_000)
        #expect(clock.paused == 0)
        clock.woke(asked: 10_000_000, clock: start + 1_025_000_000)
        #expect(clock.paused >= 490_000_000)
    }

    @Test func `a little late is no pause`() {
        let clock = Clockwork()
        clock.woke(asked: 10_000_000, clock: clock.now + 25_000_000)
        #expect(clock.paused == 0)
    }

    @Test func `a pause is taken out of the age of what it met`() {
        let stall = Stall(
            startedAt: 1_000_000_000, uncertainty: 0, pausedBefore: 3_000_000_000, tid: 1, evidenceAt: 0, nextCapture: 0
        )
        #expect(stall.age(1_500_000_000, paused: 3_000_000_000) == 500_000_000)
        #expect(stall.age(31_500_000_000, paused: 33_000_000_000) == 500_000_000)
        #expect(stall.age(900_000_000, paused: 3_000_000_000) == 0)
    }
}
