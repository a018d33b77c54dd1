import Foundation
import Logging
import Synchronization
import Testing

@testable import NightjarLogFile

/// How a process can end, each in a process of its own, with lines that still wait in memory.
@Suite("The end of a process") struct EndTests {
    let scratch = Scratch()

    /// A log that would keep its lines in memory for a minute, but for its first ones.
    static func patient(_ path: String) -> Logger {
        let (file, logger) = makeLog(path) {
            $0.flushInterval = .seconds(60)
            $0.flushesOnCrash = true
            $0.errorFile = .init()
        }
        logger.info("line 0")
        file.flush(within: .seconds(20))
        for index in 1..<200 { logger.info("line \(index)") }
        // The writer must not get to it: errors are urgent, so there is none here.
        withExtendedLifetime(file) { keptAlive = file }
        return logger
    }

    nonisolated(unsafe) static var keptAlive: LogFile?

    private func expectAll(_ count: Int = 200) {
        let numbers = records([scratch("a.log")]).compactMap { record in
            (record["message"] as? String).flatMap { Int($0.dropFirst(5)) }
        }
        #expect(numbers == Array(0..<count))
    }

    @Test func `exit flushes`() async {
        await #expect(processExitsWith: .exitCode(7)) { [path = scratch("a.log") as String] in
            _ = EndTests.patient(path)
            exit(7)
        }
        expectAll()
    }

    @Test func `a trap flushes, and the process still ends by it`() async {
        await #expect(processExitsWith: .failure) { [path = scratch("a.log") as String] in
            _ = EndTests.patient(path)
            let zero = UnsafeMutablePointer<Int>(bitPattern: 8)!
            zero.pointee = 1
        }
        expectAll()
    }

    @Test func `abort flushes`() async {
        await #expect(processExitsWith: .signal(SIGABRT)) { [path = scratch("a.log") as String] in
            _ = EndTests.patient(path)
            abort()
        }
        expectAll()
    }

    @Test func `a failed precondition flushes`() async {
        await #expect(processExitsWith: .failure) { [path = scratch("a.log") as String] in
            _ = EndTests.patient(path)
            let none: Int? = path.isEmpty ? 1 : nil
            print(none!)
        }
        expectAll()
    }

    @Test(arguments: [SIGTERM, SIGINT, SIGHUP])
    func `a signal whose action is the default flushes, and the process still ends by it`(_ signal: Int32) async {
        await #expect(processExitsWith: .signal(signal)) {
            [path = scratch("a.log") as String, signal = signal as Int32] in
            _ = EndTests.patient(path)
            kill(getpid(), signal)
            sleep(10)
        }
        expectAll()
    }

    @Test func `a service's own handler stays in force and is the one that is called`() async {
        await #expect(processExitsWith: .exitCode(9)) { [path = scratch("a.log") as String] in
            Glibc.signal(SIGTERM) { _ in _exit(9) }
            _ = EndTests.patient(path)
            kill(getpid(), SIGTERM)
            sleep(10)
        }
    }

    @Test func `a service's own crash handler is called after the flush`() async {
        await #expect(processExitsWith: .exitCode(8)) { [path = scratch("a.log") as String] in
            Glibc.signal(SIGSEGV) { _ in _exit(8) }
            _ = EndTests.patient(path)
            UnsafeMutablePointer<Int>(bitPattern: 8)!.pointee = 1
        }
        expectAll()
    }

    @Test func `an error is on its way at once, so that even SIGKILL finds it written`() async throws {
        await #expect(processExitsWith: .signal(SIGKILL)) { [path = scratch("a.log") as String] in
            let logger = EndTests.patient(path)
            logger.error("line 200")
            _ = eventually { EndTests.keptAlive?.ledger.kept == 201 }
            kill(getpid(), SIGKILL)
        }
        #expect(records([scratch("a-error.log")]).count == 1)
        expectAll(201)
    }

    /// ThreadSanitizer ends a process that starts a thread after fork.
    private static let isThreadSanitized = dlsym(UnsafeMutableRawPointer(bitPattern: 0), "__tsan_init") != nil

    @Test(.enabled(if: !isThreadSanitized, "ThreadSanitizer allows no thread after fork"))
    func `a child after fork has its own log life, and repeats nothing of its parent`() async {
        await #expect(processExitsWith: .success) { [path = scratch("a.log") as String] in
            let logger = EndTests.patient(path)
            typealias Fork = @convention(c) () -> Int32
            let fork = unsafeBitCast(dlsym(UnsafeMutableRawPointer(bitPattern: 0), "fork"), to: Fork.self)
            let child = fork()
            if child == 0 {
                logger.info("line 1000")
                EndTests.keptAlive?.close(within: .seconds(60))
                _exit(EndTests.keptAlive?.ledger.kept == 1 ? 0 : 1)
            }
            var status: Int32 = 0
            waitpid(child, &status, 0)
            EndTests.keptAlive?.close(within: .seconds(60))
            exit(status == 0 && EndTests.keptAlive?.ledger.kept == 200 ? 0 : 1)
        }
        let numbers = records([scratch("a.log")]).compactMap { record in
            (record["message"] as? String).flatMap { Int($0.dropFirst(5)) }
        }
        #expect(numbers.sorted() == Array(0..<200) + [1_000])
    }

    @Test(.enabled(if: !isThreadSanitized, "ThreadSanitizer allows no thread after fork"))
    func `a fork in the middle of a flood leaves no lock behind and no line torn, in parent or child`() async {
        await #expect(processExitsWith: .success) { [path = scratch("a.log") as String] in
            typealias Fork = @convention(c) () -> Int32
            let fork = unsafeBitCast(dlsym(UnsafeMutableRawPointer(bitPattern: 0), "fork"), to: Fork.self)
            let (file, logger) = makeLog(path) {
                $0.rotation.bytes = 256 << 10
                $0.compression = .gzip()
                $0.flushInterval = .milliseconds(1)
                $0.errorFile = .init()
                $0.sampling.rules = [.debug: .firstThenEvery(first: 1, every: 10)]
            }
            let stops = Atomic(false)
            nonisolated(unsafe) var written = 0
            let flood = Thread {
                while !stops.load(ordering: .relaxed) {
                    logger.info("flood \(written)")
                    if written % 500 == 0 { logger.error("flood \(written)") }
                    logger.debug("left out")
                    written += 1
                    if written % 1_000 == 0 { file.flush(within: .seconds(60)) }
                }
            }
            flood.start()
            var failures = 0
            for round in 0..<60 {
                let child = fork()
                if child == 0 {
                    logger.info("child \(round)")
                    logger.error("child \(round)")
                    _ = file.health
                    file.close(within: .seconds(60))
                    _exit(file.ledger.kept == 2 && file.ledger.produced == 2 ? 0 : 1)
                }
                var status: Int32 = 0
                waitpid(child, &status, 0)
                if status != 0 { failures += 1 }
                usleep(1_000)
            }
            stops.store(true, ordering: .relaxed)
            while !flood.isFinished { usleep(1_000) }
            file.close(within: .seconds(60))
            exit(failures == 0 && file.ledger.droppedErrors == 0 ? 0 : 1)
        }
        let errors = records(files(scratch("a-error.log"))).compactMap { $0["message"] as? String }
        #expect(errors.filter { $0.hasPrefix("child ") } == (0..<60).map { "child \($0)" })
    }

    @Test func `letting go of the last logger closes the log and its thread`() {
        weak var core: LogCore?
        do {
            let (file, logger) = makeLog(scratch("a.log")) { $0.flushInterval = .seconds(60) }
            for index in 0..<200 { logger.info("line \(index)") }
            core = file.core
        }
        expectAll()
        #expect(eventually { core == nil })
    }

    @Test func `after close records are counted as dropped`() {
        let (file, logger) = makeLog(scratch("a.log"))
        logger.info("line 0")
        file.close(within: .seconds(20))
        logger.info("late")
        logger.error("late")
        file.close(within: .seconds(20))
        #expect(file.ledger.kept == 1)
        #expect(file.ledger.dropped == [.closed: 2])
    }

    @Test func `a log that is never used touches no file and starts no thread`() {
        let (file, _) = makeLog(scratch("a.log"))
        #expect(file.flush())
        file.close(within: .seconds(20))
        #expect(scratch.names.isEmpty)
        let isStarted = file.core.isStarted.load(ordering: .relaxed)
        #expect(!isStarted)
    }
}
