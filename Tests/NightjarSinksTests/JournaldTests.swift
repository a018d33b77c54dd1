import Foundation
import NightjarModel
import NightjarSinks
import Testing

/// Runs only beside a journald of its own, which it stops and starts: Tests/System/journald-sandbox.sh swift test …
@Suite(
    "journald", .serialized,
    .enabled(
        if: ProcessInfo.processInfo.environment["NIGHTJAR_JOURNALD"] == "1", "needs Tests/System/journald-sandbox.sh"))
struct JournaldTests {
    static let messageID = "0f1d2c3b4a59687786954433221100ff"

    func sink(perMinute: Int = 60, identifier: String) -> JournaldSink {
        JournaldSink(messageIDs: ["HeapGrowth": Self.messageID], perMinute: perMinute, identifier: identifier)
    }

    /// Standard output of a command; its exit code must be 0.
    @discardableResult
    func output(_ command: String...) throws -> String {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = command
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        try #require(process.terminationStatus == 0, "\(command)")
        return text
    }

    func entries(of identifier: String) throws -> [[String: Any]] {
        try output("journalctl", "--sync")
        return try output("journalctl", "-t", identifier, "-o", "json", "--no-pager").split(separator: "\n").map {
            line in
            try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        }
    }

    @Test func `an alert arrives with every field of the contract`() throws {
        let sink = sink(identifier: "nj-fields")
        #expect(sink.deliver(.open(alert(severity: .critical)), at: night) == .queued)
        sink.finish(within: .seconds(20))
        let entry = try #require(try entries(of: "nj-fields").first)
        let expected = [
            "MESSAGE_ID": Self.messageID, "PRIORITY": "2", "NIGHTJAR_ALERT": "3f09a1c2-1",
            "NIGHTJAR_DETECTOR": "HeapGrowth", "NIGHTJAR_STATE": "firing", "NIGHTJAR_UNIT": "payments.service",
            "NIGHTJAR_SUBJECT": "process:payments.service/payments", "NIGHTJAR_PID": "4242", "_TRANSPORT": "journal",
        ]
        for (field, value) in expected { #expect(entry[field] as? String == value, "\(field)") }
        #expect((entry["MESSAGE"] as? String)?.contains("live heap floor 96 → 132 MiB") == true)
        let evidence = try #require(entry["NIGHTJAR_EVIDENCE"] as? String)
        let figures = try JSONSerialization.jsonObject(with: Data(evidence.utf8)) as? [String: Any]
        #expect(figures?["to_bytes"] as? Int == 132 << 20)
        #expect(sink.counters.delivered == 1)
    }

    @Test func `the shipped catalog explains a detector's entries`() throws {
        let checkout = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let catalog = try String(contentsOf: checkout.appending(path: "packaging/nightjar.catalog"), encoding: .utf8)
        let firstID = try #require(catalog.split(separator: "\n").first { $0.hasPrefix("-- ") }?.dropFirst(3))
        try output("cp", checkout.appending(path: "packaging/nightjar.catalog").path, "/usr/lib/systemd/catalog/")
        try output("journalctl", "--update-catalog")
        let sink = JournaldSink(messageIDs: ["HeapGrowth": String(firstID)], identifier: "nj-catalog")
        _ = sink.deliver(.open(alert()), at: night)
        sink.finish(within: .seconds(20))
        try output("journalctl", "--sync")
        let text = try output("journalctl", "-x", "-t", "nj-catalog", "-o", "short", "--no-pager")
        #expect(text.contains("Subject: "))
        #expect(text.contains("Defined-By: Nightjar"))
        #expect(!text.contains("@NIGHTJAR_"), "a field of the text is not filled")
    }

    @Test func `hostile names stay text of one line`() throws {
        let sink = sink(identifier: "nj-hostile")
        let name = "x\nMESSAGE=forged\u{1B}[2J\u{202E}\u{0}é"
        _ = sink.deliver(.open(alert(name: name, unit: name, sentence: name)), at: night)
        sink.finish(within: .seconds(20))
        let entry = try #require(try entries(of: "nj-hostile").first)
        #expect((entry["MESSAGE"] as? String)?.contains("x\\x0aMESSAGE=forged\\x1b[2J\\u202e\\x00é") == true)
        #expect(entry["NIGHTJAR_UNIT"] is String)
        #expect(
            try output("journalctl", "-t", "nj-hostile", "-o", "cat", "--no-pager").split(separator: "\n").count == 1)
    }

    @Test func `never more than its number a minute, and what was held back is said`() throws {
        let sink = sink(perMinute: 10, identifier: "nj-rate")
        let results = (0..<50).map { sink.deliver(.open(alert(id: "\($0)-1")), at: night + .seconds($0 / 5)) }
        #expect(results.count { $0 == .queued } == 10)
        sink.tick(at: night + .seconds(30))
        sink.tick(at: night + .seconds(75))
        sink.tick(at: night + .seconds(76))
        sink.finish(within: .seconds(20))
        let entries = try entries(of: "nj-rate")
        #expect(entries.count == 11)
        #expect(entries.last?["NIGHTJAR_HELD_BACK"] as? String == "40")
        #expect((entries.last?["MESSAGE"] as? String)?.hasPrefix("40 alert messages were held back") == true)
        #expect(sink.counters.heldBack == 40)
    }

    @Test func `news that came while journald was away arrives when it is back, in its order`() throws {
        let sink = sink(identifier: "nj-away")
        _ = sink.deliver(.open(alert(id: "before-1")), at: night)
        #expect(eventually { sink.counters.delivered == 1 })
        try output("/run/sandbox/journald", "stop")
        for index in 1...3 { _ = sink.deliver(.open(alert(id: "away-\(index)")), at: night + .seconds(index)) }
        #expect(eventually { sink.counters.waiting == 3 })
        #expect(eventually { sink.counters.lastError?.code == .away })
        guard case .failed = sink.prove(at: night) else {
            Issue.record("proved without a journald")
            return
        }
        try output("/run/sandbox/journald", "start")
        #expect(
            eventually {
                sink.tick(at: night + .minutes(1))
                return sink.counters.waiting == 0
            })
        _ = sink.deliver(.open(alert(id: "after-1")), at: night + .minutes(2))
        sink.finish(within: .seconds(20))
        let entries = try entries(of: "nj-away")
        #expect(
            entries.compactMap { $0["NIGHTJAR_ALERT"] as? String } == [
                "before-1", "away-1", "away-2", "away-3", "after-1",
            ])
        #expect(entries[1]["NIGHTJAR_AT"] as? String == "1795667826")
        #expect(entries[4]["NIGHTJAR_AT"] == nil)
        #expect(sink.counters.overflowed == 0)
    }

    @Test func `a journald that hangs holds up nobody, and nothing is lost that has room`() throws {
        let sink = sink(perMinute: 100_000, identifier: "nj-stuck")
        let pid = try output("cat", "/run/sandbox/journald.pid").trimmingCharacters(in: .whitespacesAndNewlines)
        try output("kill", "-STOP", pid)
        let clock = ContinuousClock()
        var longest = Duration.zero
        var results: [Delivery] = []
        for index in 0..<1500 {
            longest = max(
                longest, clock.measure { results.append(sink.deliver(.open(alert(id: "\(index)-1")), at: night)) })
        }
        // The kernel takes a few hundred datagrams, the queue 256 entries; the rest is refused at once.
        #expect(results.contains(.overflowed))
        #expect(longest < .seconds(2), "one call took \(longest)")
        try output("kill", "-CONT", pid)
        sink.finish(within: .seconds(60))
        let arrived = try entries(of: "nj-stuck").count
        #expect(arrived == results.count { $0 == .queued })
        #expect(sink.counters.overflowed == Int64(results.count { $0 == .overflowed }))
    }

    @Test func `the test message can be found by what the proof says`() throws {
        let sink = sink(identifier: "nj-proof")
        guard case .proved(let how) = sink.prove(at: night) else {
            Issue.record("not proved")
            return
        }
        try output("journalctl", "--sync")
        let id = try #require(how.split(separator: "=").last)
        #expect(try output("journalctl", "MESSAGE_ID=\(id)", "-t", "nj-proof", "-o", "cat").contains("test message"))
    }
}
