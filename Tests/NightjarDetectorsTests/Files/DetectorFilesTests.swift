import Foundation
import NightjarDetectors
import NightjarModel
import Testing

/// The root of the checkout, found from this file.
private let root = URL(filePath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent()
    .deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()

/// `NIGHTJAR_REWRITE_GOLDENS=1 swift test --filter "Written from the cards"` rewrites what is out of date.
private let rewrites = ProcessInfo.processInfo.environment["NIGHTJAR_REWRITE_GOLDENS"] == "1"

/// Compares a file of the checkout with what it should be, or writes it.
private func expectFile(_ path: String, _ text: String) throws {
    let file = root.appending(path: path)
    if rewrites {
        try FileManager.default.createDirectory(
            at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        if (try? String(contentsOf: file, encoding: .utf8)) != text {
            try text.write(to: file, atomically: true, encoding: .utf8)
        }
        return
    }
    let found = try? String(contentsOf: file, encoding: .utf8)
    #expect(found == text, "\(path) is out of date: NIGHTJAR_REWRITE_GOLDENS=1 swift test")
}

@Suite("Written from the cards") struct DetectorFilesTests {
    @Test(arguments: DetectorFiles.all.map(\.path))
    func `is up to date`(path: String) throws {
        let file = try #require(DetectorFiles.all.first { $0.path == path })
        try expectFile(path, file.text)
    }

    @Test func `the table in README is up to date`() throws {
        let old = try String(contentsOf: root.appending(path: "README.md"), encoding: .utf8)
        try expectFile("README.md", try #require(DetectorFiles.readme(old), "README.md has no markers for the table"))
    }

    @Test func `no dashboard is left of a detector that is gone`() throws {
        let expected = Set(DetectorFiles.all.map(\.path))
        let found = try FileManager.default.contentsOfDirectory(atPath: root.appending(path: "Dashboards").path)
        for name in found where !name.hasPrefix(".") {
            #expect(expected.contains("Dashboards/\(name)"), "Dashboards/\(name) belongs to no card")
        }
    }

    /// The runbooks as Swift string literals: the same text as an embedded resource costs seconds of compile time.
    @Test func `the embedded runbooks are those of the rooms`() throws {
        var text = """
            // Written from the runbooks (<Detector>/<Detector>.md): NIGHTJAR_REWRITE_GOLDENS=1 swift test
            // String literals, because the same text as an embedded resource costs seconds of compile time.

            enum Runbooks {

            """
        for (index, card) in DetectorRegistry.all.enumerated() {
            let path = "Sources/NightjarDetectors/\(card.name)/\(card.name).md"
            let markdown = try String(contentsOf: root.appending(path: path), encoding: .utf8)
            text += index > 0 ? "\n" : ""
            text += "    static let \(camelCase(card)) = #\"\"\"\n"
            let lines = markdown.split(separator: "\n", omittingEmptySubsequences: false).map {
                $0.isEmpty ? "" : "        \($0)"
            }
            text += lines.joined(separator: "\n").trimmingCharacters(in: .newlines) + "\n"
            text += "        \"\"\"#\n"
        }
        try expectFile("Sources/NightjarDetectors/Runbooks.swift", text + "}\n")
    }

    private func camelCase(_ card: DetectorCard) -> String {
        let words = card.snakeName.split(separator: "_")
        return words[0] + words.dropFirst().map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
    }
}

@Suite("Dashboards") struct DashboardTests {
    private static let dashboards = DetectorFiles.all.filter { $0.path.hasSuffix(".json") }

    private func parsed(_ path: String) throws -> [String: Any] {
        let file = try #require(Self.dashboards.first { $0.path == path })
        return try #require(try JSONSerialization.jsonObject(with: Data(file.text.utf8)) as? [String: Any])
    }

    @Test(arguments: dashboards.map(\.path))
    func `has what Grafana needs to import it`(path: String) throws {
        let dashboard = try parsed(path)
        #expect((dashboard["title"] as? String)?.hasPrefix("Nightjar: ") == true)
        #expect((dashboard["uid"] as? String).map { $0.count <= 40 && !$0.isEmpty } == true)
        #expect(dashboard["schemaVersion"] as? Int == 39)
        for panel in try #require(dashboard["panels"] as? [[String: Any]]) {
            #expect(["timeseries", "table", "text"].contains(panel["type"] as? String ?? ""))
            #expect(panel["gridPos"] is [String: Int])
        }
    }

    @Test func `uids are unique`() throws {
        let uids = try Self.dashboards.map { try parsed($0.path)["uid"] as? String }
        #expect(Set(uids).count == uids.count)
    }

    @Test(arguments: dashboards.map(\.path))
    func `panels have ids of their own and do not overlap`(path: String) throws {
        let panels = try #require(try parsed(path)["panels"] as? [[String: Any]])
        #expect(Set(panels.compactMap { $0["id"] as? Int }).count == panels.count)
        var taken: Set<[Int]> = []
        for panel in panels {
            let grid = try #require(panel["gridPos"] as? [String: Int])
            let (x, y, w, h) = (grid["x"]!, grid["y"]!, grid["w"]!, grid["h"]!)
            #expect(x >= 0 && w > 0 && x + w <= 24)
            for column in x..<(x + w) {
                for row in y..<(y + h) {
                    #expect(taken.insert([column, row]).inserted, "\(path): \(panel["title"] ?? "")")
                }
            }
        }
    }

    @Test func `every metric of ours is narrowed to the chosen hosts`() {
        for file in Self.dashboards {
            for expression in expressions(of: file.text) {
                let ours = expression.matches(of: /nightjar_[a-z_]+/).count
                #expect(expression.matches(of: /instance=~"\$instance"/).count == ours, "\(expression)")
            }
        }
    }

    @Test func `every expression and every rule is PromQL`() throws {
        guard let promtool = tool("promtool") else { return }
        var rules = "groups:\n  - name: panels\n    rules:\n"
        for (index, expression) in Self.dashboards.flatMap({ expressions(of: $0.text) }).enumerated() {
            let chosen = expression.replacing("$instance", with: ".*").replacing("'", with: "''")
            rules += "      - record: panel:\(index)\n        expr: '\(chosen)'\n"
        }
        #expect(try run(promtool, ["check", "rules"], file: "panels.yml", rules) == "")
        let own = try #require(DetectorFiles.all.first { $0.path.hasSuffix(".rules.yml") })
        #expect(try run(promtool, ["check", "rules", "--lint=all", "--lint-fatal"], file: "own.yml", own.text) == "")
    }

    @Test func `each detector's rule fires for its own alerts and for no others`() throws {
        guard let promtool = tool("promtool") else { return }
        let own = try #require(DetectorFiles.all.first { $0.path.hasSuffix(".rules.yml") })
        let cards = DetectorRegistry.all
        var text = "rule_files: [own.yml]\nevaluation_interval: 30s\ntests:\n  - interval: 30s\n    input_series:\n"
        text += "      - {series: 'nightjar_build_info{instance=\"a\",version=\"1\"}', values: '1x20'}\n"
        for card in cards {
            for state in ["firing", "pending", "muted"] {
                text +=
                    "      - {series: 'nightjar_alert_info{instance=\"a\",detector=\"\(card.name)\",state=\"\(state)\","
                text += "id=\"1\",subject=\"s\",unit=\"u\",severity=\"warning\",verdict=\"v\"}', values: '1x20'}\n"
            }
        }
        text += "    alert_rule_test:\n"
        for card in cards {
            text += "      - eval_time: 5m\n        alertname: \(card.name)\n        exp_alerts:\n"
            text += "          - exp_labels: {instance: a, detector: \(card.name), state: firing, id: '1', subject: s, "
            text += "unit: u, severity: warning, verdict: v}\n            exp_annotations:\n"
            text += "              summary: 's on a: v'\n"
            text +=
                "              description: \"\(card.name) catches \(card.catches). On that host: nightjar show 1\"\n"
            text += "              runbook: nightjar explain \(card.name)\n"
        }
        text += "      - {eval_time: 9m, alertname: NightjarAbsent, exp_alerts: []}\n"
        #expect(
            try run(promtool, ["test", "rules"], file: "tests.yml", text, beside: [("own.yml", own.text)]) == "")
    }

    private func expressions(of dashboard: String) -> [String] {
        let object = try? JSONSerialization.jsonObject(with: Data(dashboard.utf8)) as? [String: Any]
        let panels = object?["panels"] as? [[String: Any]] ?? []
        return panels.flatMap { $0["targets"] as? [[String: Any]] ?? [] }.compactMap { $0["expr"] as? String }
    }
}

@Suite("Message catalog") struct MessageCatalogTests {
    @Test func `every detector has its own lasting id`() {
        let ids = DetectorRegistry.all.map(\.messageID)
        #expect(Set(ids).count == ids.count)
        for id in ids { #expect(id.wholeMatch(of: /[0-9a-f]{32}/) != nil, "\(id)") }
    }

    @Test func `systemd reads the catalog`() throws {
        guard let journalctl = tool("journalctl") else { return }
        let catalog = try #require(DetectorFiles.all.first { $0.path.hasSuffix(".catalog") })
        let folder = FileManager.default.temporaryDirectory.appending(path: "nightjar-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        let place = folder.appending(path: "usr/lib/systemd/catalog")
        try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
        try FileManager.default.createDirectory(
            at: folder.appending(path: "var/lib/systemd/catalog"), withIntermediateDirectories: true)
        try catalog.text.write(to: place.appending(path: "nightjar.catalog"), atomically: true, encoding: .utf8)
        let (status, output) = try execute(journalctl, ["--update-catalog", "--root=\(folder.path)"])
        #expect(status == 0, "\(output)")
        let (_, listed) = try execute(journalctl, ["--list-catalog", "--root=\(folder.path)"])
        for card in DetectorRegistry.all { #expect(listed.contains("\(card.messageID) Nightjar"), "\(listed)") }
    }

    @Test func `each entry says what it means and what to type next`() throws {
        let catalog = try #require(DetectorFiles.all.first { $0.path.hasSuffix(".catalog") })
        for card in DetectorRegistry.all {
            #expect(catalog.text.contains("nightjar explain \(card.name)"))
            #expect(catalog.text.contains("-- \(card.messageID)\nSubject: \(card.name) "))
        }
    }
}

// MARK: Tools

private func tool(_ name: String) -> String? {
    ["/usr/bin/\(name)", "/bin/\(name)", "/usr/local/bin/\(name)"].first {
        FileManager.default.isExecutableFile(atPath: $0)
    }
}

/// Runs a tool on a file; empty where it succeeds, what it said where not.
private func run(
    _ path: String, _ arguments: [String], file: String, _ text: String, beside: [(String, String)] = []
) throws -> String {
    let folder = FileManager.default.temporaryDirectory.appending(path: "nightjar-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    for (name, text) in beside + [(file, text)] {
        try text.write(to: folder.appending(path: name), atomically: true, encoding: .utf8)
    }
    let (status, output) = try execute(path, arguments + [folder.appending(path: file).path])
    return status == 0 ? "" : output
}

private func execute(_ path: String, _ arguments: [String]) throws -> (Int32, String) {
    let process = Process()
    let pipe = Pipe()
    process.executableURL = URL(filePath: path)
    process.arguments = arguments
    process.standardOutput = pipe
    process.standardError = pipe
    try process.run()
    let output = try pipe.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: output, as: UTF8.self))
}
