import Foundation
import Logging
import Synchronization
import Testing

@testable import NightjarLogFile

/// The story in short: debug lines as fast as a thread can build them, a service with errors among its work, and a small
/// file system that somebody else fills meanwhile. The long form with latencies is the benchmark LogStorm.
@Suite("A debug log left on") struct StormTests {
    private struct Facts: Sendable {
        var isMounted = false
        var produced: UInt64 = 0
        var ledger = LogLedger(kept: 0, pending: 0, dropped: [:], droppedErrors: 0, cut: 0)
        var errorsWritten = 0
        var errorsFound: [Int] = []
        var highestMain = 0
        var highestErrors = 0
        var written = 0
    }

    let scratch = Scratch()

    private static func use(_ path: String, _ isOurs: (String) -> Bool) -> Int {
        var sum = 0
        for name in (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? [] where isOurs(name) {
            var status = stat()
            if lstat(path + "/" + name, &status) == 0 { sum += max(Int(status.st_size), Int(status.st_blocks) * 512) }
        }
        return sum
    }

    @Test(.enabled(if: PrivateMounts.areAllowed, PrivateMounts.reason), arguments: [true, false])
    func `keeps within its budget, keeps every error, and counts every record`(_ isSampled: Bool) throws {
        let path = scratch("disk")
        let budget = 16 << 20
        let errorBudget = 8 << 20
        let found = PrivateMounts.run { () -> Facts in
            var facts = Facts()
            facts.isMounted = SmallDisk.tmpfs.mount(at: path, mebibytes: 32)
            let (file, logger) = makeLog(path + "/a.log") {
                $0.sampling = isSampled ? Sampling() : .none
                $0.compression = .gzip()
                $0.rotation.bytes = 2 << 20
                $0.retention = .init(totalBytes: budget)
                $0.errorFile = .init(retention: .init(totalBytes: errorBudget))
            }
            let flood = FloodThread(logger, String(repeating: "x", count: 900))
            flood.start()
            let highest = HighWater(path)
            highest.start()
            let end = Clock.monotonic() + 2_000_000_000
            while Clock.monotonic() < end {
                logger.info("request \(facts.written)")
                facts.written += 1
                logger.error("line \(facts.errorsWritten)")
                facts.errorsWritten += 1
                // A stranger takes what is left, and gives it back.
                if facts.written == 100 { fillUp(path + "/foreign") }
                if facts.written == 250 { unlink(path + "/foreign") }
                usleep(4_000)
            }
            facts.produced = flood.stop() + UInt64(facts.written + facts.errorsWritten)
            (facts.highestMain, facts.highestErrors) = highest.stop()
            file.close(within: .seconds(20))
            facts.ledger = file.ledger
            facts.errorsFound = records(files(path + "/a-error.log")).compactMap {
                ($0["message"] as? String).flatMap { Int($0.dropFirst(5)) }
            }
            return facts
        }
        let facts = try #require(found)
        #expect(facts.isMounted)
        #expect(facts.ledger.kept + facts.ledger.droppedTotal == facts.produced)
        #expect(facts.ledger.droppedTotal > 0)
        #expect(facts.ledger.droppedErrors == 0)
        #expect(facts.errorsFound == Array(0..<facts.errorsWritten))
        #expect(facts.highestMain <= budget)
        #expect(facts.highestErrors <= errorBudget)
    }

    /// Debug lines without a pause.
    private final class FloodThread: Sendable {
        private let stops = Atomic(false)
        private let count = Atomic<UInt64>(0)
        private let done = DispatchSemaphore(value: 0)
        private let logger: Logger
        private let padding: String

        init(_ logger: Logger, _ padding: String) {
            self.logger = logger
            self.padding = padding
        }

        func start() {
            Thread.detachNewThread { [self] in
                var index: UInt64 = 0
                while !stops.load(ordering: .relaxed) {
                    logger.debug("cache miss \(index) \(padding)")
                    index += 1
                }
                count.store(index, ordering: .relaxed)
                done.signal()
            }
        }

        func stop() -> UInt64 {
            stops.store(true, ordering: .relaxed)
            done.wait()
            return count.load(ordering: .relaxed)
        }
    }

    /// The most that the log and its error file ever took.
    private final class HighWater: Sendable {
        private let path: String
        private let stops = Atomic(false)
        private let done = DispatchSemaphore(value: 0)
        private let most = Mutex((main: 0, errors: 0))

        init(_ path: String) { self.path = path }

        func start() {
            // In the namespace of the caller, which a thread of Foundation's would have too: it is a child of this one.
            Thread.detachNewThread { [self] in
                while !stops.load(ordering: .relaxed) {
                    let errors = StormTests.use(path) { $0.contains("a-error.log") }
                    let main = StormTests.use(path) { $0.contains("a.log") }
                    most.withLock { $0 = (max($0.main, main), max($0.errors, errors)) }
                    usleep(1_000)
                }
                done.signal()
            }
        }

        func stop() -> (Int, Int) {
            stops.store(true, ordering: .relaxed)
            done.wait()
            return most.withLock { ($0.main, $0.errors) }
        }
    }
}
