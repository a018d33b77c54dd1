import Foundation
import NightjarModel
import NightjarSinks
import NightjarTestKit
import Testing

/// A moment that every golden file is written at: Thu, 26 Nov 2026 04:37:05 UTC.
let night = Moment(seconds: 1_795_667_825)

func alert(
    _ state: AlertState = .firing, severity: Severity = .warning, name: String = "payments",
    unit: String? = "payments.service", sentence: String? = nil, contact: String? = nil, id: String = "3f09a1c2-1"
) -> Alert {
    Alert(
        id: id, state: state,
        finding: Finding(
            detector: "HeapGrowth",
            subject: Subject(.process, name: name, unit: unit, process: ProcessKey(pid: 4242, startTime: 7)),
            severity: severity, verdict: "leak",
            sentence: sentence
                ?? "live heap floor 96 → 132 MiB in 6 min, still rising; limit 512 MiB in about 63 min",
            details: [
                "JSONValue                +21 MiB  58 % of the rise   first seen 14:02",
                "[UInt8]                   +9 MiB", "Dictionary<String, Any>   +4 MiB",
            ],
            evidence: [
                EvidenceField("from", .bytes(.mebi(96))), EvidenceField("to", .bytes(.mebi(132))),
                EvidenceField("rate", .bytesPerSecond(104_857.6)), EvidenceField("span", .duration(.minutes(6))),
            ]),
        startedAt: night - .minutes(9), firedAt: night - .minutes(4),
        resolvedAt: state == .resolved ? night : nil, seenAt: night, contact: contact)
}

/// Compares with the file of this name under Golden; `NIGHTJAR_REWRITE_GOLDENS=1` writes it instead.
func expectGolden(
    _ text: String, _ name: String, sourceLocation: SourceLocation = #_sourceLocation
) throws {
    let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Golden/\(name)")
    if ProcessInfo.processInfo.environment["NIGHTJAR_REWRITE_GOLDENS"] == "1" {
        try Data(text.utf8).write(to: file)
    }
    let golden = try String(contentsOf: file, encoding: .utf8)
    #expect(text == golden, "differs from Golden/\(name)", sourceLocation: sourceLocation)
}

/// A folder of its own for one test, gone afterwards.
final class Workbench {
    let folder: URL

    init() throws {
        folder = FileManager.default.temporaryDirectory.appending(path: "nightjar-sinks-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: folder) }

    func path(_ name: String) -> String { folder.appending(path: name).path }

    /// An executable script; `$HERE` is this folder.
    func script(_ name: String, _ body: String) throws -> String {
        let text = "#!/bin/bash\nHERE='\(folder.path)'\n\(body)\n"
        try Data(text.utf8).write(to: folder.appending(path: name))
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path(name))
        return path(name)
    }

    func content(_ name: String) -> String {
        (try? String(contentsOf: folder.appending(path: name), encoding: .utf8)) ?? ""
    }
}

/// Looks until it is so, at most 20 seconds: for what other processes do.
func eventually(_ condition: () -> Bool) -> Bool {
    for _ in 0..<2000 {
        if condition() { return true }
        usleep(10_000)
    }
    return condition()
}

extension SplitMix {
    /// Text as a hostile process would call itself.
    mutating func hostileText() -> String {
        let parts = [
            "\n", "\r\n", "\u{1B}[2J", "\u{202E}", "\u{0}", "=", "\"", "\\", "é", "日本", "👩‍👩‍👧", "x", " ", ".", "%", "{",
            "\u{85}",
        ]
        return (0..<Int.random(in: 0...40, using: &self)).map { _ in
            parts[Int.random(in: 0..<parts.count, using: &self)]
        }
        .joined()
    }
}
