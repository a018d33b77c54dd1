import Foundation
import NightjarModel
import NightjarTestKit
import Synchronization
import Testing

@testable import NightjarHistory

@Suite("History in trouble") struct FailureTests {
    let shelf: Shelf

    init() throws { shelf = try Shelf() }

    @Test(arguments: ["no database at all, though long enough to pass for one .................", "x"])
    func `a file that is no database is set aside, a new one begun, and said so`(content: String) throws {
        try Data(content.utf8).write(to: URL(filePath: shelf.path))
        let history = shelf.open()
        history.save(states: [("a", [1])])
        let notices = history.takeNotices()
        #expect(notices.count == 1)
        #expect(notices.first?.contains("beginning anew") == true)
        #expect(history.takeNotices().isEmpty)
        let aside = try #require(shelf.names.first { $0.contains(".corrupt-") || $0.contains(".foreign-") })
        #expect(try String(contentsOf: shelf.folder.appending(path: aside), encoding: .utf8) == content)
        #expect(shelf.open().loadStates().map(\.key) == ["a"])
        #expect(history.counters.setAside == 1)
    }

    @Test func `while a call hangs on the disk, what it says of itself is there at once`() {
        let history = shelf.open()
        let answered = Mutex(false)
        let asker = Thread {
            let isOnDisk = history.condition == .disk && history.counters.commits == 0
            let answer = isOnDisk && history.takeNotices().isEmpty
            answered.withLock { $0 = answer }
        }
        history.locked { _ in
            asker.start()
            #expect(eventually { answered.withLock { $0 } })
        }
    }

    @Test func `an empty file is simply begun`() throws {
        try Data().write(to: URL(filePath: shelf.path))
        let history = shelf.open()
        history.save(states: [("a", [1])])
        #expect(history.takeNotices().isEmpty)
        #expect(shelf.open().loadStates().count == 1)
    }

    @Test func `another program's database is not touched`() throws {
        _ = try shelf.sqlite("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (42)")
        let before = try Data(contentsOf: URL(filePath: shelf.path))
        let history = shelf.open()
        #expect(history.takeNotices().first?.contains("foreign") == true)
        let aside = try #require(shelf.names.first { $0.hasPrefix("history.db.foreign-") })
        #expect(try Data(contentsOf: shelf.folder.appending(path: aside)) == before)
    }

    @Test func `the file of a newer version is kept whole for it`() throws {
        shelf.open().save(states: [("a", [1])])
        _ = try shelf.sqlite("PRAGMA user_version = 9")
        let history = shelf.open()
        #expect(history.takeNotices().first?.contains("newer") == true)
        #expect(history.loadStates().isEmpty)
        #expect(shelf.names.contains { $0.hasPrefix("history.db.newer-") })
    }

    @Test func `damage anywhere in the file costs the file at most, never the agent`() throws {
        shelf.open().save(states: (0..<300).map { (key: "k\($0)", bytes: Array(repeating: 7, count: 900)) })
        _ = try shelf.sqlite("PRAGMA wal_checkpoint(TRUNCATE)")
        let whole = [UInt8](try Data(contentsOf: URL(filePath: shelf.path)))
        var random = SplitMix(seed: 3)
        var setAside: Int64 = 0
        for round in 0..<40 {
            var damaged = whole
            let at = round < 4 ? round * 25 : Int.random(in: 0..<damaged.count - 64, using: &random)
            for offset in 0..<64 { damaged[at + offset] = UInt8.random(in: 0...255, using: &random) }
            for name in shelf.names { try? FileManager.default.removeItem(at: shelf.folder.appending(path: name)) }
            try Data(damaged).write(to: URL(filePath: shelf.path))
            let history = shelf.open()
            history.save(states: [("new", [1])])
            #expect(history.loadStates(prefix: "new").count == 1)
            #expect(history.condition == .disk)
            setAside += history.counters.setAside
        }
        #expect(setAside > 0)
    }

    @Test func `a file that breaks under a running agent is replaced, and its memory goes into the new one`() throws {
        let history = shelf.open()
        history.save(states: (0..<300).map { (key: "k\($0)", bytes: Array(repeating: 7, count: 900)) })
        let handle = try FileHandle(forWritingTo: URL(filePath: shelf.path))
        _ = try shelf.sqlite("PRAGMA wal_checkpoint(TRUNCATE)")
        try handle.write(contentsOf: Data(repeating: 0xA5, count: 100_000))
        try handle.close()
        history.save(states: [("after", [1])])
        history.save(states: [("later", [2])])
        #expect(history.takeNotices().contains { $0.contains("beginning anew") })
        #expect(history.condition == .disk)
        #expect(shelf.open().loadStates(prefix: "later").count == 1)
    }

    @Test func `no more than two files set aside are kept`() throws {
        for round in 0..<5 {
            try Data("damage number \(round)".utf8).write(to: URL(filePath: shelf.path))
            shelf.open().save(states: [("a", [1])])
            Thread.sleep(forTimeInterval: 0.01)
            for suffix in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: shelf.path + suffix) }
        }
        let aside = shelf.names.filter { $0.contains(".corrupt-") }
        #expect(aside.count == 2)
        let kept = try aside.map { try String(contentsOf: shelf.folder.appending(path: $0), encoding: .utf8) }
        #expect(Set(kept) == ["damage number 3", "damage number 4"])
    }

    @Test func `without its folder it goes on in memory, says so once, and once again when it is back`() throws {
        try FileManager.default.removeItem(at: shelf.folder)
        let history = shelf.open()
        for round in 0..<5 { history.save(states: [("a", [UInt8(round)])]) }
        history.saveAlerts([alert("a-1")])
        #expect(history.loadStates().first?.bytes == [4])
        #expect(history.alert(id: "a") != nil)
        guard case .memory = history.condition else {
            Issue.record("not in memory")
            return
        }
        #expect(history.takeNotices().count == 1)
        try FileManager.default.createDirectory(at: shelf.folder, withIntermediateDirectories: true)
        history.save(states: [("b", [1])])
        #expect(history.condition == .disk)
        #expect(history.takeNotices().map { $0.contains("on disk again") } == [true])
        #expect(shelf.open().loadStates().map(\.key) == ["a", "b"])
        #expect(shelf.open().alert(id: "a-1") != nil)
    }

    @Test func `in memory it holds a bounded number of alerts, and counts what went`() throws {
        try FileManager.default.removeItem(at: shelf.folder)
        let history = shelf.open { $0.unsavedAlerts = 10 }
        for index in 0..<25 {
            history.saveAlerts([alert("e\(index)-1", state: .resolved, resolved: Double(index + 1))])
        }
        #expect(history.alerts(since: Moment(seconds: 0)).map(\.id).first == "e24-1")
        #expect(history.alerts(since: Moment(seconds: 0)).count == 10)
        #expect(history.counters.lost == 15)
    }

    @Test func `at its size limit the older ended alerts give way`() {
        let history = shelf.open { $0.fileSize = .kibi(256) }
        for index in 0..<60 {
            let alerts = (0..<20).map { alert("\(index)-\($0)", state: .resolved, resolved: Double(index + 1)) }
            history.saveAlerts(alerts)
        }
        #expect(history.condition == .disk)
        #expect(history.takeNotices().contains { $0.contains("older half") })
        #expect(history.alert(id: "59-7") != nil)
        #expect(history.alert(id: "0-7") == nil)
        let size = history.size ?? .zero
        #expect(size < .kibi(256) + .mebi(2), "\(size)")
    }

    @Test func `two agents on one file wait for each other`() {
        let first = shelf.open()
        let second = shelf.open()
        for index in 0..<20 {
            first.save(states: [("first/\(index)", [1])])
            second.save(states: [("second/\(index)", [1])])
        }
        #expect(first.loadStates().count == 40)
        #expect(second.condition == .disk)
    }
}
