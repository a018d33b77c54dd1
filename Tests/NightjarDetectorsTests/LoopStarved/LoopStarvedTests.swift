import Foundation
import NightjarModel
import Testing

@testable import NightjarDetectors

@Suite("LoopStarved") struct LoopStarvedTests {
    private func sample(_ seconds: Double, starved: Duration, byQuota: Bool = false) -> LoopSample {
        LoopSample(
            time: Moment(seconds: seconds), service: "checkout", loop: "http 0", starved: starved,
            starvedByQuota: byQuota)
    }

    @Test func `a tenth of a minute without a processor is found, and says whose doing it is`() {
        for byQuota in [false, true] {
            var detector = LoopStarved()
            var last = Answer.quiet
            for second in 0..<60 {
                last = detector.observe(sample(Double(second), starved: .milliseconds(110), byQuota: byQuota))
            }
            guard case .found(let finding) = last else {
                Issue.record("not found")
                continue
            }
            #expect(finding.cause == (byQuota ? "quota" : "host"))
            #expect(finding.severity == .notice)
        }
    }

    @Test func `a little less is quiet`() {
        var detector = LoopStarved()
        var last = Answer.quiet
        for second in 0..<120 { last = detector.observe(sample(Double(second), starved: .milliseconds(95))) }
        #expect(last == .quiet)
    }

    @Test func `a recorded loop at rest has no starvation`() throws {
        let path = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Traces/stall/at-rest.csv")
        #expect(try replay(trace: Array(Data(contentsOf: path)), name: "at-rest").findings == [])
    }

    @Test func `it ends when a minute holds less than half`() {
        var detector = LoopStarved()
        for second in 0..<60 { _ = detector.observe(sample(Double(second), starved: .milliseconds(200))) }
        #expect(detector.observe(sample(125, starved: .zero)) == .quiet)
    }
}
