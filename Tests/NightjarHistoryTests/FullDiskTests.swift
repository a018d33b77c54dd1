import Foundation
import NightjarHistory
import NightjarModel
import Testing

/// Mounts small file systems, so it runs only in the private namespace of Tests/System/journald-sandbox.sh.
@Suite(
    "History on a disk that refuses", .serialized,
    .enabled(
        if: ProcessInfo.processInfo.environment["NIGHTJAR_JOURNALD"] == "1", "needs Tests/System/journald-sandbox.sh"))
struct FullDiskTests {
    /// A file system of this size with nothing on it.
    func disk(_ size: String) throws -> Shelf {
        let shelf = try Shelf(in: URL(filePath: "/run"))
        try run("mount", "-t", "tmpfs", "-o", "size=\(size)", "small", shelf.folder.path)
        return shelf
    }

    func run(_ command: String...) throws {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = command
        try process.run()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0, "\(command)")
    }

    func fill(_ shelf: Shelf) {
        let file = shelf.folder.appending(path: "ballast")
        _ = FileManager.default.createFile(atPath: file.path, contents: nil)
        guard let handle = try? FileHandle(forWritingTo: file) else { return }
        for size in [65536, 4096] {
            while (try? handle.write(contentsOf: Data(repeating: 1, count: size))) != nil {}
        }
        try? handle.close()
    }

    @Test func `full: it goes on in memory, says so once, and writes all when there is room again`() throws {
        let shelf = try disk("2m")
        defer { try? run("umount", shelf.folder.path) }
        let history = shelf.open()
        history.save(states: [("a", [1])])
        fill(shelf)
        for round in 0..<20 {
            history.save(states: (0..<20).map { ("state/\($0)", Array(repeating: UInt8(round), count: 1000)) })
        }
        history.saveAlerts([alert("3f09a1c2-1")])
        guard case .memory(let why) = history.condition else {
            Issue.record("not in memory: \(history.counters)")
            return
        }
        #expect(why.contains("full"))
        #expect(history.takeNotices().count == 1)
        #expect(history.loadStates(prefix: "state/").allSatisfy { $0.bytes.first == 19 })
        #expect(history.alert(id: "3f09a1c2-1") != nil)
        #expect(history.counters.setAside == 0)
        try FileManager.default.removeItem(at: shelf.folder.appending(path: "ballast"))
        history.save(states: [("b", [2])])
        #expect(history.condition == .disk)
        #expect(history.takeNotices().count == 1)
        let again = shelf.open()
        #expect(again.loadStates().count == 22)
        #expect(again.alert(id: "3f09a1c2-1") != nil)
    }

    @Test func `read-only: what is there is read, what is new stays in memory`() throws {
        let shelf = try disk("2m")
        defer { try? run("umount", shelf.folder.path) }
        shelf.open().save(states: [("a", [1])])
        try run("mount", "-o", "remount,ro", shelf.folder.path)
        let history = shelf.open()
        history.save(states: [("b", [2])])
        #expect(history.loadStates(prefix: "b").count == 1)
        guard case .memory = history.condition else {
            Issue.record("not in memory")
            return
        }
        #expect(history.counters.setAside == 0)
        let reader = try History.openReadOnly(shelf.path)
        #expect(reader.loadStates().map(\.key) == ["a"])
        try run("mount", "-o", "remount,rw", shelf.folder.path)
        history.save(states: [("c", [3])])
        #expect(history.condition == .disk)
        #expect(shelf.open().loadStates().map(\.key) == ["a", "b", "c"])
    }
}
