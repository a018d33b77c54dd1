import Foundation
import NightjarHistory
import NightjarModel

/// A folder of its own for one test, gone afterwards, and a history in it.
final class Shelf {
    let folder: URL
    var path: String { folder.appending(path: "history.db").path }

    init(in parent: URL = FileManager.default.temporaryDirectory) throws {
        folder = parent.appending(path: "nightjar-history-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: folder) }

    func open(_ change: (inout History.Limits) -> Void = { _ in }) -> History {
        var limits = History.Limits()
        limits.retryEvery = .zero
        change(&limits)
        return History.open(path, limits: limits)
    }

    var names: [String] { (try? FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()) ?? [] }

    /// Another program's view of the file.
    func sqlite(_ sql: String) throws -> String {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/sqlite3")
        process.arguments = [path, sql]
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return String(decoding: output, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    }
}

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

func alert(_ id: String, state: AlertState = .firing, started: Double = 0, resolved: Double? = nil) -> Alert {
    Alert(
        id: id, state: state,
        finding: Finding(
            detector: "HeapGrowth", subject: Subject(.process, name: "checkout", unit: "checkout.service"),
            severity: .warning, verdict: "leak", sentence: "live heap floor 96 → 132 MiB in 6 min",
            evidence: [EvidenceField("to", .bytes(.mebi(132)))]),
        startedAt: Moment(seconds: started), firedAt: Moment(seconds: started),
        resolvedAt: resolved.map { Moment(seconds: $0) }, seenAt: Moment(seconds: started))
}
