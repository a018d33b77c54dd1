import Foundation
import Logging
import Synchronization
import Testing

@testable import NightjarLogFile

@Suite("A failing device") struct FailingDeviceTests {
    let scratch = Scratch()

    @Test(arguments: [(EIO, LogNotice.Kind.unwritable), (EDQUOT, .diskFull), (ENOSPC, .diskFull), (EROFS, .unwritable)])
    func `is counted, reported once and never felt by the service`(_ code: Int32, _ kind: LogNotice.Kind) throws {
        let path = scratch("a.log")
        let found = SystemCallFilter.run(failingWritesWith: code) { () -> (LogLedger, LogHealth, [LogNotice], UInt64) in
            let told = Mutex<[LogNotice]>([])
            let (file, logger) = makeLog(path) {
                $0.errorFile = .init()
                $0.bufferBytes = 64 << 10
                $0.notices = .call { notice in told.withLock { $0.append(notice) } }
            }
            var slowest: UInt64 = 0
            for index in 0..<5_000 {
                let begin = Clock.monotonic()
                logger.info("line \(index)")
                if index % 10 == 0 { logger.error("line \(index)") }
                slowest = max(slowest, Clock.monotonic() - begin)
            }
            file.flush(within: .milliseconds(100))
            _ = eventually { file.health.trouble != nil }
            let health = file.health
            file.close(within: .seconds(20))
            return (file.ledger, health, told.withLock { $0 }, slowest)
        }
        let (ledger, health, notices, slowest) = try #require(found, "the kernel has no seccomp")
        #expect(ledger.produced == 5_500)
        #expect(ledger.kept == 0)
        #expect(ledger.pending == 0)
        #expect(ledger.droppedErrors == 500)
        #expect(health.trouble == errorText(code))
        #expect(notices.count { $0.kind == kind } == 1)
        #expect(notices.contains { $0.kind == .errorsLost })
        #expect(slowest < 2_000_000_000)
    }

    @Test func `a path that cannot be opened is no reason to end: lines wait and are counted`() {
        let (file, logger) = makeLog("/proc/no/such/a.log") { $0.bufferBytes = 64 << 10 }
        for index in 0..<5_000 { logger.info("line \(index)") }
        #expect(!file.flush(within: .milliseconds(50)))
        file.close(within: .seconds(20))
        #expect(file.ledger.dropped[.unwritable] ?? 0 > 0)
        #expect(file.ledger.kept == 0)
        #expect(file.ledger.produced == 5_000)
    }

    @Test func `a device as log is written without rotation or reserve`() {
        let (file, logger) = makeLog("/dev/null") {
            $0.errorFile = .init()
            $0.rotation.bytes = 4_096
        }
        for index in 0..<1_000 { logger.error("line \(index)") }
        file.close(within: .seconds(20))
        #expect(file.ledger.kept == 1_000)
        #expect(file.health.rotations == 0)
        #expect(file.configuration.errorFile == nil)
    }

    @Test func `always full: every line is counted`() {
        let (file, logger) = makeLog("/dev/full") { $0.bufferBytes = 64 << 10 }
        for index in 0..<2_000 { logger.info("line \(index)") }
        file.close(within: .seconds(20))
        #expect(file.ledger.kept == 0)
        #expect(file.ledger.dropped.values.reduce(0, +) == 2_000)
    }

    @Test func `no descriptors left: goes on when there are some again`() async {
        // In a process of its own: the limit is the process's.
        await #expect(processExitsWith: .success) {
            let directory = Scratch()
            let (file, logger) = makeLog(directory("a.log"))
            var limit = rlimit(rlim_cur: 3, rlim_max: 1_024)
            setrlimit(__rlimit_resource_t(7), &limit)
            for index in 0..<100 { logger.info("line \(index)") }
            let inVain = !file.flush(within: .milliseconds(100))
            limit.rlim_cur = 1_024
            setrlimit(__rlimit_resource_t(7), &limit)
            let flushed = file.flush(within: .seconds(5))
            file.close(within: .seconds(20))
            let count = records([directory("a.log")]).count
            exit(inVain && flushed && count == 100 ? 0 : 1)
        }
    }
}
