import NightjarDetectors
import NightjarModel
import NightjarTestKit
import Testing

@Suite("The detectors of one process") struct ProcessDetectorsTests {
    /// Runs a leak of one descriptor a minute and collects what was reported, with its minute.
    private func run(
        _ text: String, growing: Bool = false,
        context: (Int) -> ProcessContext = { _ in ProcessContext(identity: checkout) },
        each: (inout ProcessDetectors) -> Void = { _ in }
    ) -> [(minute: Int, detector: ProcessDetector, answer: Answer)] {
        var detectors = ProcessDetectors()
        var told: [(Int, ProcessDetector, Answer)] = []
        for (minute, count) in counts(text).enumerated() {
            var reading = sample(at: Double(minute) * 60, descriptors: count, limit: 1024, threads: 8, cpu: .zero)
            reading.anonymous = .mebi(32) + (growing ? .mebi(Int64(minute)) : .zero)
            detectors.observe(reading, in: context(minute)) { told.append((minute, $0, $1)) }
            each(&detectors)
        }
        return told
    }

    @Test func `nothing is said while all is well`() {
        #expect(run("40 =x2000").isEmpty)
    }

    @Test func `what is found is told again each minute, worse at once, and its end once`() {
        let told = run("40 +1x900 40x30")
        #expect(told.allSatisfy { $0.detector == .descriptorLeak })
        #expect(told.last?.answer == .quiet)
        #expect(told.filter { $0.answer == .quiet }.count == 1)
        let minutes = told.dropLast().map(\.minute)
        #expect(zip(minutes, minutes.dropFirst()).allSatisfy { $1 - $0 == 1 })
    }

    @Test func `a detector that is switched off takes back what it said`() throws {
        let off = try DetectorSettings(overrides: ["DescriptorLeak": "off"])
        let told = run("40 +1x900") { minute in
            minute < 700 ? ProcessContext(identity: checkout) : ProcessContext(identity: checkout, settings: off)
        }
        #expect(told.last?.minute == 700)
        #expect(told.last?.answer == .quiet)
    }

    @Test func `a cap on the severity is kept`() throws {
        let capped = try DetectorSettings(overrides: ["Severity": "notice"])
        let told = run("40 +1x900") { _ in ProcessContext(identity: checkout, settings: capped) }
        for entry in told {
            if case .found(let finding) = entry.answer { #expect(finding.severity == .notice) }
        }
        #expect(!told.isEmpty)
    }

    @Test func `an agent that is restarted after each sample says the same`() throws {
        let plain = run("40 +1x900 40x30")
        let restarted = run(
            "40 +1x900 40x30",
            each: { detectors in
                var bytes: [UInt8] = []
                detectors.encode(into: &bytes)
                if let read = ProcessDetectors(decoding: bytes) {
                    detectors = read
                } else {
                    Issue.record("not read back")
                }
            })
        #expect(plain.map(\.minute) == restarted.map(\.minute))
        #expect(plain.map(\.answer) == restarted.map(\.answer))
    }

    @Test func `damaged state is refused or harmless`() {
        var detectors = ProcessDetectors()
        let context = ProcessContext(identity: checkout)
        for minute in 0..<700 {
            let reading = sample(
                at: Double(minute) * 60, descriptors: 40 + minute, limit: 1024, threads: 8 + minute / 10,
                cpu: .seconds(minute))
            detectors.observe(reading, in: context) { _, _ in }
        }
        var whole: [UInt8] = []
        detectors.encode(into: &whole)
        var random = SplitMix(seed: 9)
        for round in 0..<4000 {
            var bytes = round < whole.count ? Array(whole.prefix(round)) : whole
            if !bytes.isEmpty { bytes[random.below(bytes.count)] ^= UInt8(1 << random.below(8)) }
            guard var read = ProcessDetectors(decoding: bytes) else { continue }
            let reading = sample(at: 42_100, descriptors: 800, limit: 1024, threads: 80, cpu: .seconds(900))
            read.observe(reading, in: context) { _, _ in }
        }
    }

    @Test func `an idle process costs little memory, a leaking one not much more`() {
        #expect(MemoryLayout<ProcessDetectors>.stride <= 512)
        var detectors = ProcessDetectors()
        for minute in 0..<5000 {
            let reading = sample(
                at: Double(minute) * 60, descriptors: 40 + minute % 200, limit: 1024, threads: 8, cpu: .zero)
            detectors.observe(reading, in: ProcessContext(identity: checkout)) { _, _ in }
        }
        var bytes: [UInt8] = []
        detectors.encode(into: &bytes)
        #expect(bytes.count <= 1500)
    }
}
