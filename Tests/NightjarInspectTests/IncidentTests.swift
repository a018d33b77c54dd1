import Foundation
import Testing

@testable import NightjarInspect

/// The incident programs plant an exact number and then rest.
@Suite("Incidents seen from outside", .serialized) struct IncidentTests {
    static let count: Int64 = 20_000

    /// Starts one and waits until it has planted everything.
    func incident(_ name: String) throws -> LiveTarget {
        let tool = try #require(HostileTests.tool)
        let folder = URL(filePath: tool).deletingLastPathComponent()
        return try LiveTarget(
            folder.appending(path: "nightjar-incident").path,
            [name, "--count", "\(Self.count)", "--rate", "1000000", "--size", "1000", "--seconds", "120"],
            environment: ["NIGHTJAR_PROBE": "off"], ready: "planted \(Self.count)")
    }

    /// One that goes on planting, a thousand a second.
    func running(_ name: String) throws -> LiveTarget {
        let tool = try #require(HostileTests.tool)
        let program = try LiveTarget(
            URL(filePath: tool).deletingLastPathComponent().appending(path: "nightjar-incident").path,
            [name, "--rate", "1000", "--size", "1000", "--seconds", "60"], environment: ["NIGHTJAR_PROBE": "off"],
            waitsForReady: false)
        usleep(2_000_000)
        return program
    }

    /// Of what is in use, without blocks that are known to be C's. Dispatch has one more of 80 bytes for each timer, which
    /// begins with a number, and a table with 26 bytes for each.
    func typedShare(_ census: Census, timers: Int64) -> Double {
        let blocks = census.untypedBytes - census.bookkeepingBytes - census.missedBytes
        let foreign = census.owners.reduce(0) { $0 + $1.bytes } + timers * 106
        return Double(census.typedBytes) / Double(census.typedBytes + blocks - foreign)
    }

    @Test(arguments: [
        ("retain-cycle", ["Conversation": 1, "Transport": 1]),
        ("dictionary-cache", ["Profile": 1]),
        ("task-leak", ["Order": 1, "CheckedContinuationCanary": 1]),
        ("timer-leak", ["Ticket": 1]),
    ])
    func `counts are exact and ninety-nine bytes in a hundred have a type`(name: String, types: [String: Int64]) throws
    {
        let program = try incident(name)
        usleep(300_000)
        let census = try Census.take(of: program.target())
        for (type, each) in types {
            let found = census.entries.filter { $0.type.name == type || $0.type.name == "nightjar_incident.\(type)" }
            #expect(found.reduce(0) { $0 + $1.count } == each * Self.count, "\(type)")
        }
        let share = typedShare(census, timers: name == "timer-leak" ? Self.count : 0)
        print("\(name): \((share * 10_000).rounded() / 100) % of bytes typed")
        #expect(share >= 0.99)
        #expect(census.typedBytes + census.untypedBytes + census.freeBytes == census.heapBytes)
    }

    /// What the type holds weighs more than itself: the bytes of a request rank before it. Of the program's own types it is
    /// the first.
    @Test(arguments: [
        ("leak", "nightjar_incident.Request", "closure #1 in nightjar_incident.handle(_:forgetsToRemove:)"),
        ("retain-cycle", "nightjar_incident.Conversation", "nightjar_incident.Transport"),
        ("dictionary-cache", "nightjar_incident.Profile", "String"),
        ("task-leak", "Task in nightjar_incident.Mailbox.answer(to:)", "frames of tasks"),
        ("timer-leak", "nightjar_incident.Ticket", "Dispatch.DispatchSource"),
    ]) func `what grows stands first within one diff`(name: String, type: String, beside: String) throws {
        let program = try running(name)
        let answer = try LiveTarget.run(
            #require(HostileTests.tool), ["heap", "\(program.pid)", "--diff", "2", "--format", "json"])
        try #require(answer.status == 0, "\(answer.text)")
        let object = try JSONSerialization.jsonObject(with: Data(answer.text.utf8)) as? [String: Any]
        let rows = try #require(object?["growth"] as? [[String: Any]]).filter { ($0["count"] as? Int ?? 0) > 100 }
        let names = rows.compactMap { $0["type"] as? String }
        #expect(names.first == "Array<UInt8>" && names.contains(beside))
        let own = names.filter { $0.contains("nightjar_incident.") && !$0.contains("closure") }
        #expect(own.first == type)
        let grown = try #require(rows.first { $0["type"] as? String == type })
        #expect(grown["bytes_per_s"] as? Double ?? 0 > 1000)
    }

    @Test func `blocks that are no Swift objects are told by what they point to`() throws {
        let program = try incident("timer-leak")
        usleep(300_000)
        let census = try Census.take(of: program.target())
        let timers = try #require(census.owners.first)
        #expect(timers.count >= Self.count && timers.name.contains("dispatch"))
        #expect(census.table(by: .size).contains("among them: \(timers.name)"))
    }

    @Test func `a task that never ends is a leak held by who would resume it`() throws {
        let program = try running("task-leak")
        let study = try GrowthStudy.run(pid: program.pid, interval: .seconds(2), open: program.target) {
            usleep(UInt32($0.components.seconds) * 1_000_000)
        }
        #expect(study.verdict == .leak)
        let task = try #require(study.growing.first { $0.type.kind == .task })
        #expect(task.type.name == "Task in nightjar_incident.Mailbox.answer(to:)")
        #expect(task.heldBy?.contains("CheckedContinuationCanary ← Mailbox.waiting") == true)
        #expect(!study.growing.contains { $0.type.name == "frames of tasks" })
    }

    @Test func `what a suspended task holds is held by the task`() throws {
        let program = try incident("task-leak")
        usleep(300_000)
        let report = try #require(RetainingReport.of(["Order"], open: program.target)["Order"])
        let chain = try #require(report.chains.first)
        #expect(chain.sentence.contains("Task in Mailbox.answer(to:) ← CheckedContinuationCanary ← Mailbox.waiting"))
        #expect(!chain.sentence.contains("without a type"), "\(chain.sentence)")
        #expect(chain.holds >= Self.count - 1)
    }

    @Test func `a cache that is full is no leak`() throws {
        let program = try incident("healthy-cache")
        let report = try LeakSearch(program.target()).run()
        #expect(report.unreachable == [])
        #expect(report.pause.way == nil)
    }
}
