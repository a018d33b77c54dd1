import Foundation
import NightjarModel
import Testing

@testable import NightjarDetectors

@Suite("HeapGrowth over named histories") struct NamedHistoryTests {
    @Test(arguments: NamedHistory.all)
    func `says of each what it is`(named: NamedHistory) {
        var growth = HeapGrowth()
        var outcome = Outcome()
        for sample in named.samples { outcome.note(growth.step(sample), at: sample.time.seconds) }
        switch named.expected {
        case .quiet: #expect(outcome.isQuiet, "\(outcome)")
        case .neverLeak: #expect(outcome.worst < .leak, "\(outcome)")
        case .leak: #expect(outcome.raised.count { $0.stage == .leak } == 1, "\(outcome)")
        }
    }

    @Test func `a restart closes or continues the alert, and leaves no orphan`() {
        // The life ends with its process; the next one is another value that begins too early, under the same identity.
        var growth = HeapGrowth()
        for sample in NamedHistory.all[0].samples { growth.step(sample) }
        let before = Subject(.process, name: "api", unit: "api.service", process: ProcessKey(pid: 1, startTime: 1))
        let after = Subject(.process, name: "api", unit: "api.service", process: ProcessKey(pid: 9, startTime: 5))
        let finding = growth.finding(of: before)
        #expect(
            finding?.identity
                == Finding(
                    detector: "HeapGrowth", subject: after, severity: .notice, verdict: "growth", sentence: ""
                ).identity)
        #expect(HeapGrowth().stage == .tooEarly)
    }

    @Test func `the alert names unit and process`() throws {
        var growth = HeapGrowth()
        for sample in NamedHistory.all[0].samples { growth.step(sample) }
        let subject = Subject(.process, name: "api", unit: "shop.service", process: ProcessKey(pid: 7, startTime: 1))
        #expect(try #require(growth.finding(of: subject)).subject.label == "api (shop.service, pid 7)")
    }

    /// Kept under Traces, where every detector reads them and `nightjar replay` can.
    @Test(arguments: [
        "steady-leak", "twelve-megabytes-a-day", "leak-under-daily-load", "gc-sawtooth",
        "flat-with-five-steps",
    ])
    func `is kept as a trace`(name: String) throws {
        let named = try #require(NamedHistory.all.first { $0.name == name })
        try expectTrace(name, named.text)
    }

    @Test func `a bounded sample of made histories is judged right, nine of ten`() {
        let score = QualityScore(of: MadeTrace.set(seed: 12, perKind: 1))
        #expect(score.precision >= 0.9, "\(score.wrong)")
        #expect(score.recall >= 0.85, "\(score.wrong)")
    }
}

/// Compares a trace of Traces/ with the history that made it, or writes it (NIGHTJAR_REWRITE_GOLDENS=1).
func expectTrace(_ name: String, _ text: String) throws {
    let file = URL(filePath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "Traces/\(name).csv")
    if ProcessInfo.processInfo.environment["NIGHTJAR_REWRITE_GOLDENS"] == "1" {
        try text.write(to: file, atomically: true, encoding: .utf8)
    }
    #expect((try? String(contentsOf: file, encoding: .utf8)) == text, "Traces/\(name).csv is out of date")
}
