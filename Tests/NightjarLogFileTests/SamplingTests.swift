import Foundation
import Logging
import Synchronization
import Testing

@testable import NightjarLogFile

/// The sum of weights of the records in these files: what they say was produced.
func weights(_ records: [[String: Any]]) -> Int { records.reduce(0) { $0 + ($1["weight"] as? Int ?? 1) } }

/// Does it on several threads at once and waits for all.
func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
    let group = DispatchGroup()
    for index in 0..<count {
        Thread.detachNewThread {
            body(index)
            group.leave()
        }
        group.enter()
    }
    group.wait()
}

@Suite("Sampling") struct SamplingTests {
    let scratch = Scratch()

    @Test func `at the call site builds no message that is left out`() {
        let (file, logger) = makeLog(scratch("a.log"))
        let built = Mutex(0)
        func message() -> String {
            built.withLock { $0 += 1 }
            return "miss"
        }
        for _ in 0..<5_000 { logger.sampled(.debug, "\(message())", first: 3, thenEvery: 1_000) }
        file.close(within: .seconds(20))
        let kept = records([scratch("a.log")])
        #expect(built.withLock { $0 } == kept.count)
        #expect(kept.count < 100)
    }

    @Test func `at the call site is exact: weights and the rest add up to the calls`() throws {
        let (file, logger) = makeLog(scratch("a.log"))
        onThreads(4) { _ in
            for index in 0..<25_000 { logger.sampled(.info, "call \(index)", first: 5, thenEvery: 77) }
        }
        file.close(within: .seconds(20))
        let kept = records([scratch("a.log")])
        let ledger = try #require(ledgers([scratch("a.log")]).last)
        #expect(file.ledger.produced == 100_000)
        #expect(file.ledger.kept == kept.count)
        #expect(file.ledger.dropped[.sampledAtCallSite] == UInt64(100_000 - kept.count))
        #expect(weights(kept) + (ledger["not_represented"] as? Int ?? -1) == 100_000)
    }

    @Test func `at the call site leaves out nothing where the level is off, and no error ever`() {
        var (file, logger) = makeLog(scratch("a.log"))
        logger.logLevel = .warning
        for index in 0..<1_000 {
            logger.sampled(.debug, "off \(index)", first: 1, thenEvery: 10)
            logger.sampled(.error, "error \(index)", first: 1, thenEvery: 10)
        }
        file.close(within: .seconds(20))
        #expect(records([scratch("a.log")]).map { $0["level"] as? String } == Array(repeating: "error", count: 1_000))
        #expect(file.ledger.produced == 1_000)
    }

    @Test func `at the call site tells other handlers the weight too`() {
        struct Recording: LogHandler {
            let seen: @Sendable (Logger.Metadata?) -> Void
            var metadata: Logger.Metadata = [:]
            var logLevel: Logger.Level = .trace
            subscript(metadataKey key: String) -> Logger.MetadataValue? {
                get { metadata[key] }
                set { metadata[key] = newValue }
            }
            func log(event: LogEvent) { seen(event.metadata) }
        }
        let weights = Mutex<[String]>([])
        let logger = Logger(label: "x") { _ in
            Recording(seen: { metadata in weights.withLock { $0.append(metadata?["weight"]?.description ?? "1") } })
        }
        for _ in 0..<31 { logger.sampled(.info, "m", first: 1, thenEvery: 10, metadata: ["k": "v"]) }
        // All but the last nine at most are represented, also where the second ended between two of the calls.
        let seen = weights.withLock { $0 }.compactMap { Int($0) }
        #expect((22...31).contains(seen.reduce(0, +)))
        #expect(seen.contains { $0 > 1 })
    }

    @Test(arguments: [Sampling.Rule.firstThenEvery(first: 10, every: 50), .random(oneIn: 20)])
    func `by rule is exact per level and never touches errors`(_ rule: Sampling.Rule) throws {
        let (file, logger) = makeLog(scratch("a.log")) {
            $0.sampling = Sampling(rules: [.debug: rule], bytesPerSecond: nil, verboseBytesPerSecond: nil)
            $0.bufferBytes = 64 << 20
        }
        onThreads(4) { thread in
            for index in 0..<10_000 {
                logger.debug("debug \(thread) \(index)")
                if index % 100 == 0 { logger.error("error \(thread) \(index)") }
                if index % 100 == 1 { logger.info("info \(thread) \(index)") }
            }
        }
        file.close(within: .seconds(20))
        let kept = records(files(scratch("a.log")))
        let debug = kept.filter { $0["level"] as? String == "debug" }
        #expect(kept.count { $0["level"] as? String == "error" } == 400)
        #expect(kept.count { $0["level"] as? String == "info" } == 400)
        #expect(debug.count > 100 && debug.count < 20_000)
        let rest = try #require(ledgers(files(scratch("a.log"))).last?["not_represented"] as? Int)
        #expect(weights(debug) + rest == 40_000)
        #expect(file.ledger.produced == 40_800)
        #expect(file.ledger.kept + file.ledger.droppedTotal == 40_800)
    }

    @Test func `every error line kept`() {
        let (file, logger) = makeLog(scratch("a.log")) {
            $0.sampling = Sampling(
                rules: [.error: .random(oneIn: 1_000), .critical: .firstThenEvery(first: 0, every: 1_000)],
                bytesPerSecond: 10, verboseBytesPerSecond: 10)
            $0.errorFile = .init(memoryBytes: 16 << 20)
        }
        for index in 0..<2_000 {
            logger.error("error \(index)")
            logger.critical("critical \(index)")
            logger.debug("flood \(index)")
            logger.info("flood \(index)")
        }
        file.close(within: .seconds(20))
        let errors = records(files(scratch("a-error.log")))
        #expect(errors.count { $0["level"] as? String == "error" } == 2_000)
        #expect(errors.count { $0["level"] as? String == "critical" } == 2_000)
        #expect(file.ledger.droppedErrors == 0)
        #expect(file.ledger.produced == 8_000)
    }

    @Test func `collision does not starve a key`() {
        // Many more keys than a neighbourhood of the table holds, all with the same place in it.
        let table = KeyTable(capacity: 64)
        var full = 0
        for key in 0..<200 {
            guard let slot = table.find(UInt64(key) << 32 | 7, second: 100) else {
                full += 1
                continue
            }
            #expect(slot.count(second: 100).place == 1, "a key found another's count")
        }
        // Who finds no place is told so, and its records are written in full.
        #expect(full == 200 - KeyTable.neighbourhood)
        // Two seconds later the quiet ones make way.
        let late = table.find(UInt64(9_999) << 32 | 7, second: 103)
        #expect(late?.count(second: 103).place == 1)
    }

    @Test func `by key gives each value of a metadata key its own first records`() {
        let (file, logger) = makeLog(scratch("a.log")) {
            $0.sampling = Sampling(
                rules: [.info: .firstThenEvery(first: 2, every: 1_000_000)], key: .metadata("tenant"),
                bytesPerSecond: nil, verboseBytesPerSecond: nil)
        }
        for index in 0..<3_000 {
            logger.info("request", metadata: ["tenant": "busy"])
            if index % 300 == 0 { logger.info("request", metadata: ["tenant": "tenant \(index)"]) }
        }
        file.close(within: .seconds(20))
        let tenants = Set(records([scratch("a.log")]).compactMap { ($0["metadata"] as? [String: String])?["tenant"] })
        #expect(tenants.count == 11)
    }

    @Test func `by byte budget never passes more than the budget and a second's burst`() {
        let budget = ByteBudget(bytesPerSecond: 100_000)
        var passed = 0
        // Ten seconds, 1 MB offered in each, on a clock of our own.
        for millisecond in 0..<10_000 {
            for part in 0..<10 {
                let now = UInt64(millisecond) * 1_000_000 + UInt64(part) * 100_000 + 5_000_000_000_000
                if budget.admits(100, now: now) { passed += 100 }
            }
        }
        #expect(passed <= 100_000 * 11 + 100)
        #expect(passed >= 800_000, "the budget is used, not only kept: \(passed)")
    }

    @Test func `by byte budget spreads what it keeps over the second`() {
        let budget = ByteBudget(bytesPerSecond: 100_000)
        var perTenth = [Int](repeating: 0, count: 100)
        for step in 0..<100_000 {
            let now = UInt64(step) * 100_000 + 5_000_000_000_000
            if budget.admits(100, now: now) { perTenth[step / 1_000] += 1 }
        }
        // After the burst of the beginning each tenth keeps its share.
        #expect(perTenth[20...].allSatisfy { $0 > 30 && $0 < 170 }, "\(perTenth[20...])")
    }

    @Test func `by byte budget lets everything through when little is offered`() {
        let budget = ByteBudget(bytesPerSecond: 100_000)
        for step in 0..<5_000 { #expect(budget.admits(100, now: UInt64(step) * 2_000_000 + 1_000_000_000_000)) }
    }

    @Test func `by byte budget is exact: weights, drops and the rest add up`() throws {
        let (file, logger) = makeLog(scratch("a.log")) {
            $0.sampling = Sampling(bytesPerSecond: 50_000, verboseBytesPerSecond: 10_000)
        }
        onThreads(3) { _ in
            for index in 0..<20_000 {
                logger.info("request \(index)")
                logger.debug("detail \(index)")
            }
        }
        file.close(within: .seconds(20))
        let kept = records([scratch("a.log")])
        #expect(file.ledger.produced == 120_000)
        #expect(file.ledger.kept == kept.count)
        #expect((file.ledger.dropped[.overBudget] ?? 0) > 50_000)
        let rest = try #require(ledgers([scratch("a.log")]).last?["not_represented"] as? Int)
        #expect(weights(kept) + rest == 120_000)
    }

    @Test func `kept plus dropped equals produced, whatever the mix`() {
        let (file, logger) = makeLog(scratch("a.log")) {
            $0.sampling = Sampling(
                rules: [.debug: .random(oneIn: 3), .info: .firstThenEvery(first: 5, every: 7)],
                bytesPerSecond: 2_000_000, verboseBytesPerSecond: 100_000)
            $0.errorFile = .init()
            $0.bufferBytes = 64 << 10
            $0.rotation.bytes = 64 << 10
            $0.retention = .init(totalBytes: 512 << 10)
        }
        onThreads(4) { _ in
            for index in 0..<10_000 {
                logger.debug("debug \(index)")
                logger.info("info \(index)")
                logger.warning("warning \(index)")
                logger.sampled(.notice, "notice \(index)", first: 1, thenEvery: 9)
                if index % 50 == 0 { logger.error("error \(index)") }
            }
        }
        file.close(within: .seconds(20))
        let ledger = file.ledger
        #expect(ledger.kept + ledger.droppedTotal == 160_800)
        #expect(ledger.pending == 0)
        #expect(ledger.droppedErrors == 0)
    }

    @Test func `says in the log and outside it which records are left out`() throws {
        let notices = Mutex<[LogNotice]>([])
        let (file, logger) = makeLog(scratch("a.log")) {
            $0.sampling = Sampling(
                rules: [.debug: .firstThenEvery(first: 1, every: 1_000)], bytesPerSecond: nil,
                verboseBytesPerSecond: nil)
            $0.notices = .call { notice in notices.withLock { $0.append(notice) } }
        }
        for _ in 0..<5_000 { logger.debug("db.query") }
        file.close(within: .seconds(20))
        let text = lines(scratch("a.log")).joined(separator: "\n")
        #expect(text.contains("of debug records of NightjarLogFileTests/SamplingTests.swift:"))
        let keys = try #require(ledgers([scratch("a.log")]).last?["keys"] as? [String: [String: Any]])
        #expect(keys.values.first?["left_out"] as? Int ?? 0 > 4_000)
        let told = notices.withLock { $0 }.filter { $0.kind == .leavingOut }
        #expect(told.count == 1)
        #expect(told.first?.text.contains("% of debug records") == true)
    }

    @Test func `level override lowers the level of all loggers, says so and ends by itself`() throws {
        var (file, logger) = makeLog(scratch("a.log")) { $0.level = .info }
        logger.logLevel = .info
        logger.debug("before")
        file.overrideLevel(.debug, for: .seconds(3))
        let other = Logger(label: "other", factory: { file.handler(label: $0) })
        logger.debug("during")
        other.debug("during too")
        #expect(logger.logLevel == .debug)
        #expect(eventually { logger.logLevel == .info })
        logger.debug("after")
        // Its beginning and its end are said by the writer in its own time.
        #expect(eventually { lines(scratch("a.log")).filter { $0.contains("level override") }.count == 2 })
        file.close(within: .seconds(20))
        #expect(records([scratch("a.log")]).map { $0["message"] as? String } == ["during", "during too"])
    }
}
