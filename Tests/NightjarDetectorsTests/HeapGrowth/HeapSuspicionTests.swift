import NightjarDetectors
import NightjarModel
import Testing

@Suite("A cheap suspicion that a heap grows") struct HeapSuspicionTests {
    /// Feeds one sample a second; the second at which suspicion first rose, or nil.
    private func firstSuspicion(seconds: Int, _ mebibytes: (Int) -> Double) -> Int? {
        var suspicion = HeapSuspicion()
        for second in 0..<seconds {
            let level = Bytes(Int64(mebibytes(second) * 1_048_576))
            if suspicion.step(level, at: Moment(seconds: Double(second))) { return second }
        }
        return nil
    }

    @Test func `a leak of 50 KB a second is suspected within two and a half minutes`() throws {
        let at = try #require(firstSuspicion(seconds: 600) { 40 + Double($0) * 0.05 })
        #expect(at <= 150)
    }

    @Test func `a leak of 1 MB a minute under a sawtooth is suspected within half an hour`() throws {
        let at = try #require(firstSuspicion(seconds: 3_600) { 40 + Double($0) / 60 + Double($0 % 7) })
        #expect(at <= 1_900)
    }

    @Test func `flat, a sawtooth of a minute and one step are not suspected`() {
        #expect(firstSuspicion(seconds: 7_200) { _ in 64 } == nil)
        #expect(firstSuspicion(seconds: 7_200) { 64 + Double($0 % 60) } == nil)
        #expect(firstSuspicion(seconds: 7_200) { $0 < 600 ? 64 : 512 } == nil)
    }

    @Test func `growth that is small against what the process holds is not worth a census`() {
        #expect(firstSuspicion(seconds: 7_200) { 4_096 + Double($0) * 0.001 } == nil)
    }

    @Test func `a gap in the samples breaks the row`() {
        var suspicion = HeapSuspicion()
        var isSuspected = false
        for second in stride(from: 0, to: 100, by: 1) {
            isSuspected = suspicion.step(.mebi(40 + Int64(second)), at: Moment(seconds: Double(second)))
        }
        isSuspected = suspicion.step(.mebi(400), at: Moment(seconds: 1_000)) || isSuspected
        #expect(!isSuspected)
    }

    @Test func `it weighs little`() { #expect(MemoryLayout<HeapSuspicion>.size <= 128) }
}
