import CNightjarProbe
import CNightjarTestKit
import Foundation
import Glibc
import NightjarWire
import Synchronization
import Testing

@testable import NightjarProbe

/// System call filters take single calls away, with EPERM. Each in a forked child, where a filter harms nobody else; a
/// child's answer is its exit code, 0 for as it should be.
@Suite(.serialized) struct RefusalTests {
    @Test func `without process_vm_readv own memory is read through its file`() {
        let answer = forkAndAnswer {
            guard njt_refuse(SystemCalls.processReadMemory) == 0, nj_reads_own() == 1 else { return 1 }
            var word: UInt64 = 4711
            var copy: UInt64 = 0
            guard nj_read_own(address(of: &word), &copy, 8) == 1, copy == 4711 else { return 2 }
            return nj_read_own(4096, &copy, 8) == 0 ? 0 : 3
        }
        #expect(answer == 0)
    }

    @Test func `without the file either it is known that blocked threads have no stacks`() {
        let answer = forkAndAnswer {
            guard njt_refuse(SystemCalls.processReadMemory) == 0, njt_refuse(SystemCalls.open) == 0 else { return 1 }
            var word: UInt64 = 0
            var copy: UInt64 = 0
            return nj_reads_own() == 0 && nj_read_own(address(of: &word), &copy, 8) == 0 ? 0 : 2
        }
        #expect(answer == 0)
    }

    @Test func `without ppoll the watchdog sleeps all the same`() {
        let answer = forkAndAnswer {
            guard njt_refuse(SystemCalls.poll) == 0 else { return 1 }
            let start = nj_now()
            return nj_wait(-1, 30_000_000) < 0 && nj_now() - start >= 30_000_000 ? 0 : 2
        }
        #expect(answer == 0)
    }

    @Test func `without a memory file there is no page`() {
        let answer = forkAndAnswer {
            guard njt_refuse(SystemCalls.memoryFile) == 0 else { return 1 }
            var memory: UnsafeMutableRawPointer?
            return nj_page_create(4096, &memory) == -1 && memory == nil ? 0 : 2
        }
        #expect(answer == 0)
    }

    @Test func `without its handler nobody is signalled, and without the signal nobody is waited for`() {
        let handler = forkAndAnswer {
            nj_capture_remove()
            guard njt_refuse(SystemCalls.action) == 0 else { return 1 }
            guard nj_capture_install() == -1 else { return 2 }
            return nj_capture_thread(nj_own_tid(), 0, 0, 0, 1000) == nil ? 0 : 3
        }
        #expect(handler == 0)
        let signal = forkAndAnswer {
            guard nj_capture_install() == 0, njt_refuse(SystemCalls.queueSignal) == 0 else { return 1 }
            let start = nj_now()
            guard nj_capture_thread(nj_own_tid(), 0, 0, 0, 900_000) == nil else { return 2 }
            return nj_now() - start < 500_000_000 ? 0 : 3
        }
        #expect(signal == 0)
    }

    private func address(of word: UnsafeMutablePointer<UInt64>) -> UInt64 { UInt64(UInt(bitPattern: word)) }

    @Test func `what is missing is said in one sentence, and nothing where nothing is`() throws {
        #expect(Lacks.sentence(isSignalled: true, readsMemory: true, readsThreads: true) == nil)
        let sentence = try #require(Lacks.sentence(isSignalled: false, readsMemory: false, readsThreads: false))
        #expect(sentence.contains("/proc/self/task") && sentence.contains("process_vm_readv"))
        #expect(sentence.contains("SIGPROF") && !sentence.contains("\n"))
    }
}

/// Numbers of the calls that the probe makes itself.
enum SystemCalls {
    #if arch(x86_64)
        static let (processReadMemory, open, poll, memoryFile, action, queueSignal) = (310, 257, 271, 319, 13, 297)
    #else
        static let (processReadMemory, open, poll, memoryFile, action, queueSignal) = (270, 56, 73, 279, 134, 240)
    #endif
}

/// Threads that wait in calls which a signal would end early, and which SA_RESTART does not restart (signal(7)).
@Suite(.serialized) struct WaitingCallTests {
    enum Call: CaseIterable, Sendable {
        case usleep, nanosleep, poll, epoll, read
    }

    @Test(arguments: Call.allCases)
    func `a call that is looked at many times ends when it would have ended, and not by a signal`(_ call: Call) throws {
        try #require(nj_capture_install() == 0)
        let waiting = Waiting()
        let thread = Thread { waiting.run(call) }
        thread.start()
        while waiting.tid.load(ordering: .acquiring) == 0 { usleep(200) }
        let files = ThreadFiles(tid: Int32(waiting.tid.load(ordering: .acquiring)))
        while case .running = files.state() { usleep(200) }
        var capture = StackCapture()
        var looks = 0
        // Up to its last moments: a thread that has come back may be signalled.
        while nj_now() < waiting.until.load(ordering: .acquiring) - 60_000_000 {
            let taken = capture.capture(files, bounds: (0, 0), now: nj_now())
            if case .blocked = taken.state, taken.addresses.count > 1 { looks += 1 }
        }
        while waiting.took.load(ordering: .acquiring) == 0 { usleep(1000) }
        #expect(looks >= 20)
        #expect(waiting.failed.load(ordering: .acquiring) == 0)
        #expect(waiting.took.load(ordering: .acquiring) >= Waiting.nanoseconds)
    }

    /// One thread in one call of 300 ms.
    final class Waiting: Sendable {
        static let nanoseconds: UInt64 = 300_000_000
        let tid = Atomic(0)
        let until = Atomic<UInt64>(0)
        let took = Atomic<UInt64>(0)
        let failed = Atomic(0)

        func run(_ call: Call) {
            var ends: [Int32] = [0, 0]
            _ = njt_pipe(&ends)
            let writer = ends[1]
            let start = nj_now()
            if call == .read {
                Thread {
                    while nj_now() - start < Self.nanoseconds { usleep(1000) }
                    _ = write(writer, "x", 1)
                }.start()
            }
            until.store(start + Self.nanoseconds, ordering: .releasing)
            tid.store(Int(nj_own_tid()), ordering: .releasing)
            let answer = Self.wait(call, ends[0])
            if answer < 0 { failed.store(Int(errno), ordering: .releasing) }
            took.store(nj_now() - start, ordering: .releasing)
            for end in ends { close(end) }
        }

        private static func wait(_ call: Call, _ file: Int32) -> Int {
            switch call {
            case .usleep: return Int(usleep(UInt32(nanoseconds / 1000)))
            case .nanosleep:
                var time = timespec(tv_sec: 0, tv_nsec: Int(nanoseconds))
                return Int(nanosleep(&time, nil))
            case .poll: return Int(poll(nil, 0, Int32(nanoseconds / 1_000_000)))
            case .epoll: return Int(njt_epoll_wait(Int32(nanoseconds / 1_000_000)))
            case .read:
                var byte: UInt8 = 0
                return Int(Glibc.read(file, &byte, 1))
            }
        }
    }
}
