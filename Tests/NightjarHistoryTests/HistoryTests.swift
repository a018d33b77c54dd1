import Foundation
import NightjarHistory
import NightjarModel
import Testing

@Suite("History") struct HistoryTests {
    let shelf: Shelf

    init() throws { shelf = try Shelf() }

    @Test func `what was saved is there after the agent's restart`() throws {
        let silence = try Silence(until: Moment(seconds: 9), reason: "release", createdAt: Moment(seconds: 1))
        var history: History? = shelf.open()
        history?.save(states: [("a/1", bytes("one")), ("a/2", bytes("")), ("b/1", bytes("\u{0}x"))])
        history?.saveAlerts([alert("3f09a1c2-1")])
        history?.saveSilences([silence])
        history?.saveLives([("process:checkout.service/checkout", bytes("lives"))])
        history?.set("version", "0.1.0")
        history = nil
        let again = shelf.open()
        #expect(again.loadStates().map(\.key) == ["a/1", "a/2", "b/1"])
        #expect(again.loadStates(prefix: "a/").map(\.bytes) == [bytes("one"), []])
        #expect(again.loadStates(prefix: "b/").first?.bytes == [0, UInt8(ascii: "x")])
        #expect(again.alert(id: "3f09a1c2") == alert("3f09a1c2-1"))
        #expect(again.silences() == [silence])
        #expect(again.loadLives().map(\.subject) == ["process:checkout.service/checkout"])
        #expect(again.get("version") == "0.1.0")
        #expect(again.get("nothing") == nil)
        #expect(again.takeNotices().isEmpty)
        #expect(again.condition == .disk)
    }

    @Test func `states that did not change are not written again`() {
        let history = shelf.open()
        let states = (0..<1000).map { (key: "HeapGrowth/\($0)", bytes: Array(repeating: UInt8(1), count: 1024)) }
        history.save(states: states)
        #expect(history.counters.rowsWritten == 1000)
        history.save(states: states)
        #expect(history.counters.rowsWritten == 1000)
        history.save(states: [(key: "HeapGrowth/7", bytes: [2])], removing: ["HeapGrowth/8"])
        #expect(history.counters.rowsWritten == 1002)
        #expect(history.counters.commits == 3)
        #expect(history.loadStates().count == 999)
    }

    @Test func `replacing a prefix removes what is no longer there, and nothing else`() {
        let history = shelf.open()
        history.save(states: [("alert/a", [1]), ("alert/b", [1]), ("alerts", [1]), ("HeapGrowth/x", [1])])
        history.replaceStates(prefixes: ["alert/"], [("alert/b", [2]), ("alert/c", [1])])
        #expect(history.loadStates().map(\.key) == ["HeapGrowth/x", "alert/b", "alert/c", "alerts"])
    }

    @Test func `names that try to be SQL are names`() {
        let history = shelf.open()
        let name = "x'); DROP TABLE states; -- \u{0}%_\"é"
        history.save(states: [(name, [1])])
        history.saveLives([(name, [2])])
        #expect(history.loadStates(prefix: "x'").map(\.key) == [name])
        #expect(history.loadLives().map(\.subject) == [name])
    }

    @Test func `alerts come open ones first, then by their end, and pending ones not at all`() {
        let history = shelf.open()
        history.saveAlerts([
            alert("a-1", state: .resolved, started: 1, resolved: 10), alert("b-1", started: 5),
            alert("c-1", state: .resolved, started: 2, resolved: 30), alert("d-1", state: .pending, started: 50),
            alert("e-1", state: .resolved, started: 0, resolved: 5),
        ])
        #expect(history.alerts(since: Moment(seconds: 6)).map(\.id) == ["b-1", "c-1", "a-1"])
        #expect(history.alerts(since: Moment(seconds: 0), limit: 2).map(\.id) == ["b-1", "c-1"])
    }

    @Test func `an alert that is over replaces its open self`() {
        let history = shelf.open()
        history.saveAlerts([alert("a-1", started: 1)])
        history.saveAlerts([alert("a-1", state: .resolved, started: 1, resolved: 9)])
        #expect(history.alerts(since: Moment(seconds: 0)).map(\.state) == [.resolved])
        #expect(history.alerts(since: Moment(seconds: 10)).isEmpty)
    }

    @Test func `open alerts that the book no longer knows are ended`() {
        let history = shelf.open()
        history.saveAlerts([alert("a-1"), alert("b-1")])
        history.endAlerts(exceptFor: ["b-1"], at: Moment(seconds: 99))
        #expect(history.alert(id: "a-1")?.resolvedAt == Moment(seconds: 99))
        #expect(history.alert(id: "b-1")?.state == .firing)
    }

    @Test func `retention keeps the newest ended alerts and every open one`() {
        let history = shelf.open { $0.endedAlerts = 3 }
        history.saveAlerts((0..<10).map { alert("e\($0)-1", state: .resolved, resolved: Double(1000 + $0)) })
        history.saveAlerts([alert("open-1")])
        history.prune(at: Moment(seconds: 2000))
        #expect(history.alerts(since: Moment(seconds: 0)).map(\.id) == ["open-1", "e9-1", "e8-1", "e7-1"])
        history.prune(at: Moment(seconds: 1008) + .days(90))
        #expect(history.alerts(since: Moment(seconds: 0)).map(\.id) == ["open-1", "e9-1", "e8-1"])
    }

    @Test func `the file says whose it is, and other programs can read it`() throws {
        let history = shelf.open()
        history.saveAlerts([alert("a-1")])
        #expect(try shelf.sqlite("PRAGMA application_id") == "\(0x4E6A_6172)")
        #expect(try shelf.sqlite("PRAGMA user_version") == "1")
        #expect(try shelf.sqlite("PRAGMA journal_mode") == "wal")
        #expect(
            try shelf.sqlite("SELECT id, detector, subject FROM alerts")
                == "a-1|HeapGrowth|process:checkout.service/checkout")
        #expect(try FileManager.default.attributesOfItem(atPath: shelf.path)[.posixPermissions] as? Int == 0o640)
    }

    @Test func `a reader beside a live agent sees what was committed, and cannot write`() throws {
        let history = shelf.open()
        history.saveAlerts([alert("a-1")])
        let reader = try History.openReadOnly(shelf.path)
        #expect(reader.alerts(since: Moment(seconds: 0)).map(\.id) == ["a-1"])
        reader.saveAlerts([alert("b-1")])
        history.saveAlerts([alert("c-1")])
        #expect(history.alert(id: "b-1") == nil)
        #expect(reader.alert(id: "c-1") != nil)
    }

    @Test func `what a reader cannot read is one line that says what and where`() throws {
        #expect(throws: HistoryError.self) { try History.openReadOnly(shelf.path) }
        try Data("no database, but long enough to be looked at as one".utf8).write(to: URL(filePath: shelf.path))
        do {
            _ = try History.openReadOnly(shelf.path)
            Issue.record("opened")
        } catch {
            #expect(error.code == .corrupt)
            #expect(error.description.contains(shelf.path))
            #expect(!error.description.contains("\n"))
        }
        #expect(shelf.names == ["history.db"])
    }

    @Test func `after close nothing is written, and nothing breaks`() {
        let history = shelf.open()
        history.save(states: [("a", [1])])
        history.close()
        history.save(states: [("b", [1])])
        #expect(shelf.open().loadStates().map(\.key) == ["a"])
    }

    @Test func `many threads at once lose nothing`() async {
        let history = shelf.open()
        await withTaskGroup(of: Void.self) { group in
            for worker in 0..<4 {
                group.addTask {
                    for index in 0..<25 { history.save(states: [("\(worker)/\(index)", [UInt8(index)])]) }
                }
            }
        }
        #expect(history.loadStates().count == 100)
    }
}
