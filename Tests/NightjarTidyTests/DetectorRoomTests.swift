import Foundation
import NightjarDetectors
import NightjarModel
import Testing

/// A detector is a room on two floors: one name in seven places.
@Suite("Rooms of detectors") struct DetectorRoomTests {
    private static let cards = DetectorRegistry.all

    @Test func `the list in the manifest is that of the cards`() throws {
        let manifest = try Checkout.text("Package.swift")
        let list = try #require(manifest.firstMatch(of: /let detectors = \[([^\]]*)\]/)).1
        let names = list.matches(of: /"(\w+)"/).map { String($0.1) }
        #expect(names == Self.cards.map(\.name))
    }

    @Test(arguments: cards.map(\.name))
    func `has its decision, its card, its runbook and its tests`(name: String) throws {
        let room = "Sources/NightjarDetectors/\(name)"
        #expect(try Checkout.text("\(room)/\(name).swift").contains("public struct \(name)"))
        #expect(try Checkout.text("\(room)/\(name)+Card.swift").contains("name: \"\(name)\""))
        let tests = Checkout.swiftFiles(in: "Tests/NightjarDetectorsTests/\(name)")
        let suites = try tests.map { try Checkout.text($0) }.joined()
        #expect(suites.contains("@Suite(\"\(name)") || suites.contains("struct \(name)Tests"), "no suite of that name")
        #expect(suites.contains("@Test"))
    }

    @Test(arguments: cards.map(\.name))
    func `opens with the idea it holds`(name: String) throws {
        #expect(try Checkout.text("Sources/NightjarDetectors/\(name)/\(name).swift").hasPrefix("// "))
    }

    @Test(arguments: cards.map(\.name))
    func `has a runbook with the four headings, each with something under it`(name: String) throws {
        let text = try Checkout.text("Sources/NightjarDetectors/\(name)/\(name).md")
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        #expect(lines.first == "# \(name)")
        #expect(lines.filter { $0.hasPrefix("## ") } == ["## Meaning", "## Impact", "## Diagnosis", "## Mitigation"])
        for section in text.split(separator: "\n## ").dropFirst() {
            #expect(section.count > 150, "\(name): \(section.prefix(12)) says too little")
        }
        #expect(lines.allSatisfy { $0.count <= 140 }, "a line is too long for a terminal")
    }

    @Test(arguments: cards.map(\.name))
    func `has its dashboard, its alert and its metrics`(name: String) throws {
        let card = try #require(DetectorRegistry.card(named: name))
        #expect(Checkout.exists("Dashboards/\(name).json"))
        #expect(try Checkout.text("Dashboards/nightjar.rules.yml").contains("- alert: \(name)\n"))
        #expect(!card.panels.isEmpty)
        let metrics = card.panels.map(\.expression).joined(separator: " ") + card.metrics.map(card.metricName).joined()
        #expect(metrics.contains("nightjar_\(card.snakeName)_"), "no metric of that name")
    }

    @Test(arguments: cards.map(\.name))
    func `its card is whole`(name: String) throws {
        let card = try #require(DetectorRegistry.card(named: name))
        #expect(card.messageID.wholeMatch(of: /[0-9a-f]{32}/) != nil)
        for words in [card.catches, card.cost, card.saysOfMany] {
            #expect(!words.isEmpty && !words.hasSuffix("."), "'\(words)'")
        }
        #expect(!card.needs.isEmpty)
        // What only a probe sees is held against live services, not against traces.
        let isLive = card.needs.contains(where: \.needsProbe)
        #expect(isLive || !card.fires.isEmpty && !card.staysQuiet.isEmpty)
        #expect(!card.runbook.isEmpty)
        for setting in card.settings {
            #expect(setting.help.hasSuffix(".") && setting.help.count > 15, "\(name)\(setting.key)")
            #expect(setting.key.wholeMatch(of: /[A-Z][A-Za-z]+/) != nil, "\(setting.key)")
        }
        for metric in card.metrics { #expect(metric.help.hasSuffix("."), "\(metric.evidence)") }
    }

    /// A panel over a metric that nobody serves stays empty for ever and nobody notices.
    @Test(arguments: cards.map(\.name))
    func `every metric of its panels is served`(name: String) throws {
        let card = try #require(DetectorRegistry.card(named: name))
        let own = Set(Self.cards.flatMap { card in card.metrics.map { card.metricName($0) } })
        let served = try ["NightjarSinks", "NightjarAgent"].flatMap { Checkout.swiftFiles(in: "Sources/\($0)") }
            .map { try Checkout.text($0) }.joined()
        for panel in card.panels {
            for match in panel.expression.matches(of: /nightjar_[a-z0-9_]+/) {
                let metric = String(match.0)
                let base = metric.replacing(/_(bucket|sum|count)$/, with: "")
                #expect(own.contains(metric) || served.contains(metric) || served.contains(base), "\(metric)")
            }
        }
    }

    /// A trace that a card names is a file, or a history in the detector's own tests.
    @Test(arguments: cards.map(\.name))
    func `every trace that its card names is there`(name: String) throws {
        let card = try #require(DetectorRegistry.card(named: name))
        let tests = try Checkout.swiftFiles(in: "Tests/NightjarDetectorsTests/\(name)").map { try Checkout.text($0) }
            .joined()
        let files = Checkout.files(in: "Tests/NightjarDetectorsTests/Traces", extension: "csv").joined(separator: " ")
        for trace in card.fires + card.staysQuiet {
            let isFile = files.contains("/\(trace).csv") || files.contains("-\(trace)")
            #expect(isFile || tests.contains("\"\(trace)\"") || tests.contains("`\(trace)`"), "\(trace)")
        }
    }
}
