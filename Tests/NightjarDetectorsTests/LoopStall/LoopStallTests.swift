import Foundation
import NightjarModel
import Testing

@testable import NightjarDetectors

private func at(_ seconds: Double) -> Moment { Moment(seconds: 1000 + seconds) }

@Suite("LoopStall") struct LoopStallTests {
    private func sample(_ seconds: Double, blocked: Duration = .zero, longest: Duration = .zero, open: Duration? = nil)
        -> LoopSample
    {
        LoopSample(
            process: ProcessKey(pid: 4242, startTime: 1), time: at(seconds), service: "checkout", loop: "main queue",
            blocked: blocked, longest: longest, open: open)
    }

    private func isFound(_ answer: Answer) -> Finding? { if case .found(let finding) = answer { finding } else { nil } }

    @Test func `a loop that was watched for two seconds is too young, not fine`() {
        var detector = LoopStall()
        #expect(detector.observe(sample(0)) == .tooEarly)
        #expect(detector.observe(sample(2)) == .tooEarly)
        #expect(detector.observe(sample(11)) == .quiet)
    }

    @Test func `one per cent of a minute warns, a little less does not`() throws {
        var short = LoopStall()
        var enough = LoopStall()
        for second in 0..<60 {
            let due = second % 20 == 10
            _ = short.observe(sample(Double(second), blocked: due ? .milliseconds(199) : .zero))
            let answer = enough.observe(sample(Double(second), blocked: due ? .milliseconds(200) : .zero))
            if second == 50 { #expect(try #require(isFound(answer)).severity == .warning) }
            if second < 50 { #expect(isFound(answer) == nil) }
        }
        #expect(isFound(short.observe(sample(60))) == nil)
    }

    @Test func `what was over ten seconds ago is no news`() {
        var detector = LoopStall()
        _ = detector.observe(sample(0, blocked: .milliseconds(590)))
        #expect(isFound(detector.observe(sample(30, blocked: .milliseconds(20)))) == nil)
    }

    @Test func `a stall of two seconds is critical while it lasts`() throws {
        var detector = LoopStall()
        #expect(isFound(detector.observe(sample(20, open: .milliseconds(1999)))) == nil)
        let finding = try #require(isFound(detector.observe(sample(21, open: .seconds(2)))))
        #expect(finding.severity == .critical && finding.verdict == "hang")
        #expect(finding.sentence == "main queue has not come back for 2 s")
        #expect(finding.nextStep == "nightjar stacks 4242")
    }

    @Test func `it ends a minute after the last stall`() {
        var detector = LoopStall()
        _ = detector.observe(sample(0, blocked: .seconds(3), longest: .seconds(3)))
        #expect(isFound(detector.observe(sample(59))) != nil)
        #expect(detector.observe(sample(61)) == .quiet)
    }

    @Test func `the worst stall is the one that is named`() throws {
        var detector = LoopStall()
        var first = sample(0, blocked: .milliseconds(700), longest: .milliseconds(700))
        first.worst = StallEvidence(
            function: "Checkout.parse(_:)", cause: "computing", phrase: "computing", duration: .milliseconds(700))
        _ = detector.observe(first)
        var second = sample(1, blocked: .milliseconds(100), longest: .milliseconds(100))
        second.worst = StallEvidence(
            function: "Other.small()", cause: "computing", phrase: "computing", duration: .milliseconds(100))
        let finding = try #require(isFound(detector.observe(second)))
        #expect(
            finding.sentence
                == "main queue was held up for 800 ms of the last 60 s, longest 700 ms, computing in Checkout.parse(_:)"
        )
        #expect(finding.subject.identity == "loop:checkout main queue")
    }

    @Test func `a clock that jumps back adds nothing twice and traps nowhere`() {
        var detector = LoopStall()
        _ = detector.observe(sample(100, blocked: .milliseconds(100)))
        _ = detector.observe(sample(-2000, blocked: .milliseconds(100)))
        _ = detector.observe(sample(1e8, blocked: .seconds(1_000_000_000)))
        #expect(MemoryLayout<LoopStall>.size <= 1100)
    }
}

/// The recordings: real loops on a host that gave them a processor half of the time.
struct StallReplayTests {
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Traces/stall")

    private func findings(_ trace: String) throws -> [ReplayFinding] {
        let bytes = try Data(contentsOf: Self.folder.appending(path: "\(trace).csv"))
        return try replay(trace: Array(bytes), name: trace).findings.filter { $0["kind"] == .string("loop_stall") }
    }

    @Test(arguments: LoopStall.card.staysQuiet)
    func `a healthy loop on a crowded host has no stall`(trace: String) throws {
        #expect(try findings(trace) == [])
    }

    @Test(arguments: zip(LoopStall.card.fires, [52.0, 52, 39, 65]))
    func `a loop that goes wrong is found after its onset and soon`(trace: String, onset: Double) throws {
        let all = try findings(trace)
        let first = try #require(all.first)
        guard case .double(let at)? = first["at_s"] else { return }
        #expect(at >= onset && at <= onset + 40, "found at \(at) s, onset \(onset) s")
    }

    @Test func `starvation is told apart and never called a stall`() throws {
        let bytes = try Data(contentsOf: Self.folder.appending(path: "json.csv"))
        let kinds = try replay(trace: Array(bytes), name: "json").findings.map { $0["kind"] }
        #expect(kinds.contains(.string("loop_starved")))
    }

    @Test func `a recording that does not say when it ended does not end in a hang`() throws {
        let text = "# nightjar-stall v1\nt,lag_us,rundelay_us,cpu_us\n0.0,10,0,5\n0.01,10,0,5\n"
        #expect(try replay(trace: Array(text.utf8), name: "short").findings == [])
    }
}
