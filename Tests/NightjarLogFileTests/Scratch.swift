import Foundation
import Logging
import Testing

@testable import NightjarLogFile

/// A directory of one test, deleted with it.
final class Scratch: Sendable {
    let path: String

    init() {
        var template = Array("/tmp/nightjar-log.XXXXXX".utf8CString)
        path = String(cString: mkdtemp(&template)!)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func callAsFunction(_ name: String) -> String { path + "/" + name }
    var names: [String] { ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted() }
}

/// A log whose settings keep a test quick and silent, and a logger for it.
func makeLog(_ path: String, _ configure: (inout LogFileConfiguration) -> Void = { _ in }) -> (LogFile, Logger) {
    let file = LogFile(path) { settings in
        settings.level = .trace
        settings.notices = .silent
        settings.sampling = .none
        settings.compression = .none
        settings.freeSpaceFloor = .none
        settings.flushInterval = .milliseconds(5)
        settings.errorFile = nil
        settings.flushesOnCrash = false
        configure(&settings)
    }
    return (file, Logger(label: "checkout", factory: { file.handler(label: $0) }))
}

/// The lines of a file, without the ones that the log writes about itself.
func lines(_ path: String) -> [String] {
    guard let data = FileManager.default.contents(atPath: path) else { return [] }
    return String(decoding: data, as: UTF8.self).split(separator: "\n").map(String.init)
}

func records(_ paths: [String]) -> [[String: Any]] {
    paths.flatMap(lines).compactMap { line in
        guard let object = try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any] else {
            Issue.record("not JSON: \(line.prefix(200))")
            return nil
        }
        return object["label"] as? String == "nightjar.log" ? nil : object
    }
}

func ledgers(_ paths: [String]) -> [[String: Any]] {
    paths.flatMap(lines).compactMap { line in
        (try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])?["ledger"] as? [String: Any]
    }
}

/// All plain files of a log, oldest first.
func files(_ path: String) -> [String] {
    let (directory, base) = RotatedFiles.split(path)
    let names = ((try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []).filter {
        $0.hasPrefix(base + ".") && RotatedFiles(path: path).parse($0) != nil
    }
    return names.sorted().map { directory + "/" + $0 } + [path]
}

/// Waits until it is true; false after ten seconds.
func eventually(_ condition: () -> Bool) -> Bool {
    for _ in 0..<1_000 {
        if condition() { return true }
        usleep(10_000)
    }
    return condition()
}
