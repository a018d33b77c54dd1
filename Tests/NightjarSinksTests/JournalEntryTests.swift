import Foundation
import NightjarModel
import NightjarTestKit
import Testing

@testable import NightjarSinks

@Suite("A journal entry") struct JournalEntryTests {
    func text(_ entry: JournalEntry) -> String {
        entry.fields.map { String(decoding: $0, as: UTF8.self) }.joined(separator: "\n") + "\n"
    }

    @Test func `it carries all fields of the contract`() throws {
        let entry = JournalEntry(
            .open(alert(contact: "shop")), messageID: String(repeating: "a", count: 32), identifier: "nightjard")
        try expectGolden(text(entry), "journal-entry.txt")
    }

    @Test func `its priority follows the severity, and an end is quiet`() {
        let actions: [(AlertAction, Int)] = [
            (.open(alert(severity: .critical)), 2), (.update(alert(severity: .warning)), 4),
            (.open(alert(severity: .notice)), 5), (.open(alert(severity: .info)), 6),
            (.resolve(alert(.resolved, severity: .critical)), 5), (.resolve(alert(.resolved)), 6),
        ]
        for (action, priority) in actions { #expect(JournalEntry.priority(of: action) == priority) }
    }

    @Test func `whatever a process is called, a field stays one line of text under its own name`() {
        var random = SplitMix(seed: 4)
        for _ in 0..<500 {
            let name = random.hostileText()
            let hostile = alert(name: name, unit: name, sentence: name)
            let entry = JournalEntry(.open(hostile), messageID: nil, identifier: "nightjard")
            for field in entry.fields {
                #expect(!field.contains { $0 < 0x20 || $0 == 0x7F })
                let key = field.prefix { $0 != UInt8(ascii: "=") }
                #expect(key.allSatisfy { $0 == UInt8(ascii: "_") || UInt8(ascii: "A")...UInt8(ascii: "Z") ~= $0 })
            }
        }
    }

    @Test func `evidence beyond what an entry may hold says how much it was`() throws {
        var large = alert()
        large.finding.evidence = [EvidenceField("text", .text(String(repeating: "x", count: 100_000)))]
        let entry = JournalEntry(.open(large), messageID: nil, identifier: "nightjard")
        #expect(entry.fields.contains(Array("NIGHTJAR_EVIDENCE={\"cut_bytes\":100011}".utf8)))
    }

    @Test func `a sink whose journal is away keeps the news, counts what finds no room, and waits for nobody`() {
        let sink = JournaldSink(messageIDs: [:], perMinute: 1000, ring: 5, socket: "/nowhere/journal")
        for _ in 0..<20 { #expect(sink.deliver(.open(alert()), at: night) == .queued) }
        #expect(eventually { sink.counters.overflowed == 15 })
        #expect(eventually { sink.counters.waiting == 5 })
        #expect(sink.counters.lastError?.code == .away)
        #expect(sink.prove(at: night) == .failed("journald: /nowhere/journal: No such file or directory"))
        sink.finish(within: .seconds(5))
        #expect(sink.counters.overflowed == 20)
    }

    @Test func `not more than its number a minute, for ever and each minute anew`() {
        var limit = RateLimit(60, per: .minutes(1))
        var admitted = 0
        for second in 0..<600 {
            for _ in 0..<5 where limit.admits(at: night + .seconds(second)) { admitted += 1 }
        }
        #expect(admitted == 600)
        #expect(limit.refused == 2400)
        let taken = [700, 701].map { limit.takeRefused(at: night + .seconds($0)) }
        #expect(taken == [2400, 0])
    }

    @Test func `a clock set back does not close it for ever`() {
        var limit = RateLimit(1, per: .minutes(1))
        let admitted = [night, night - .hours(5)].map { limit.admits(at: $0) }
        #expect(admitted == [true, true])
    }
}

@Suite("A worker") struct WorkerTests {
    @Test func `it runs jobs in their order on a thread of its own`() {
        let worker = Worker(name: "nj-test", limit: 1000)
        let order = Log()
        for index in 0..<500 { #expect(worker.submit { order.add("\(index)") }) }
        #expect(worker.finish(within: .seconds(20)))
        #expect(order.all == (0..<500).map { "\($0)" })
        #expect(!worker.submit {})
    }

    @Test func `a job that hangs fills the queue and nothing else`() {
        let gate = Log()
        let worker = Worker(name: "nj-test", limit: 3)
        #expect(worker.submit { while gate.all.isEmpty { usleep(1000) } })
        #expect(eventually { worker.waiting == 1 })
        let accepted = (0..<10).filter { _ in worker.submit {} }
        #expect((2...3).contains(accepted.count))
        #expect(!worker.finish(within: .milliseconds(10)))
        gate.add("go")
    }
}

/// Collects lines from several threads.
final class Log: @unchecked Sendable {
    private let lock = NSLock()
    private var lines: [String] = []

    func add(_ line: String) { lock.withLock { lines.append(line) } }
    var all: [String] { lock.withLock { lines } }
}
