import NightjarModel
import Testing

@testable import NightjarDetectors

@Suite("PoolStarvation") struct PoolStarvationTests {
    private func sample(_ seconds: Double, _ exhausted: Duration?) -> PoolSample {
        PoolSample(
            time: Moment(seconds: seconds), service: "checkout", exhausted: exhausted,
            worst: exhausted == nil
                ? nil
                : StallEvidence(
                    function: "Checkout.wait()", cause: "pool_exhausted", phrase: "2 of 2 threads taken",
                    duration: .seconds(1)))
    }

    @Test(arguments: [(0.99, nil), (1.0, Severity.warning), (9.9, .warning), (10.0, .critical)])
    func `it speaks from one second on and wakes somebody from ten`(seconds: Double, severity: Severity?) {
        var detector = PoolStarvation()
        let answer = detector.observe(sample(0, .seconds(seconds)))
        if case .found(let finding) = answer {
            #expect(finding.severity == severity)
            #expect(finding.sentence.contains("held by Checkout.wait()"))
        } else {
            #expect(severity == nil)
        }
    }

    @Test func `it ends a minute after a task could begin again`() {
        var detector = PoolStarvation()
        _ = detector.observe(sample(0, .seconds(5)))
        guard case .found(let finding) = detector.observe(sample(30, nil)) else {
            Issue.record("ended too soon")
            return
        }
        #expect(finding.sentence.contains("no task could begin for 5 s"))
        #expect(detector.observe(sample(60, nil)) == .quiet)
    }

    @Test func `a pool at work is quiet`() {
        var detector = PoolStarvation()
        for second in 0..<100 { #expect(detector.observe(sample(Double(second), nil)) == .quiet) }
    }
}
