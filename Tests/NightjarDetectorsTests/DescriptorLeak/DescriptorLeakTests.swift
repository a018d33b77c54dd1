import NightjarDetectors
import NightjarModel
import NightjarTestKit
import Testing

@Suite("DescriptorLeak") struct DescriptorLeakTests {
    // MARK: What it must find

    @Test func `two files an hour are a leak after little more than a day`() {
        let spoken = descriptorLeak("40 +1x80", every: 1800)
        #expect(spoken.first { $0.said == .found(.warning) }.map { $0.at / 3600 }! < 32)
        #expect(spoken.last?.said == .found(.warning))
    }

    @Test func `ten an hour are growing after 18 hours`() {
        let spoken = descriptorLeak("40 +1x240", every: 360, limit: 65_536)
        #expect(spoken.first { $0.said.isFound }?.said == .found(.notice))
        #expect((18...20).contains(spoken.foundAfterHours!))
    }

    @Test func `a leak of one a minute is told of with 40 % of its life left, whatever the age`() {
        // 40 → 1,024 takes 16.4 h.
        let spoken = descriptorLeak("40 +1x984", every: 60)
        #expect(spoken.foundAfterHours! < 0.6 * 16.4)
        #expect(spoken.worst == .critical)
    }

    @Test func `ten a second are told of before the last descriptor is gone`() {
        let spoken = descriptorLeak("30 +10x99", every: 1)
        let found = spoken.first { $0.said.isFound }
        #expect(found.map { $0.at < 90 } == true)
        #expect(spoken.worst == .critical)
    }

    @Test func `a leak that begins after three quiet days is told of within minutes when the limit is near`() {
        // Three days at 200, then one a second: 1,024 are gone in 13.7 min.
        var detector = DescriptorLeak()
        let settings = DescriptorLeak.Settings()
        var time = 0.0
        for _ in 0..<(3 * 24 * 60) {
            let said = detector.step(sample(at: time, descriptors: 200, limit: 1024), settings)
            #expect(!said.isFound)
            time += 60
        }
        let onset = time
        var found: Double?
        for count in 201...1024 where found == nil {
            if detector.step(sample(at: time, descriptors: count, limit: 1024), settings).isFound { found = time }
            time += 1
        }
        #expect(found.map { $0 - onset < 11 * 60 } == true)
    }

    @Test func `a leak without a limit is a leak all the same`() {
        #expect(descriptorLeak("40 +1x80", every: 1800, limit: nil).last?.said == .found(.warning))
    }

    @Test func `load that opens and closes on top does not hide the leak`() {
        var random = SplitMix(seed: 3)
        let text = (0..<(48 * 60)).map { String(60 + $0 / 20 + random.below(40)) }.joined(separator: " ")
        #expect(descriptorLeak(text, every: 60, limit: nil).last?.said == .found(.warning))
    }

    // MARK: What it must leave alone

    @Test func `a process that never moves costs nothing and says nothing`() {
        var detector = DescriptorLeak()
        for second in 0..<10_000 {
            _ = detector.step(sample(at: Double(second), descriptors: 12, limit: 1024), DescriptorLeak.Settings())
        }
        #expect(detector.sighting == .quiet)
        #expect(!detector.hasState)
    }

    @Test(arguments: ["20 +4x45 =x600", "20 +2x100 =x900", "900 =x600", "20 500 =x600"])
    func `a pool that fills and settles stays quiet`(text: String) {
        #expect(!descriptorLeak(text, every: 300, limit: 4096).everFound)
    }

    @Test func `a pool that fills for sixteen hours is growing at most`() {
        #expect(descriptorLeak("20 +1x200 =x900", every: 300, limit: 4096).worst ?? .notice <= .notice)
    }

    @Test func `connections that follow the day stay quiet for a week`() {
        let day = "50 +30x40 =x16 -30x40 =x48"  // 144 readings, each ten minutes
        let text = Array(repeating: day, count: 7).joined(separator: " ")
        #expect(!descriptorLeak(text, every: 600, limit: 65_536).everFound)
    }

    @Test func `a morning's rush is not a leak, whatever the hour at which the process began`() {
        for start in stride(from: 0, to: 144, by: 12) {
            var day = counts("50 +30x40 =x16 -30x40 =x48")
            day = Array(day[start...] + day[..<start])
            let text = (0..<4).flatMap { _ in day }.map(String.init).joined(separator: " ")
            #expect(!descriptorLeak(text, every: 600, limit: 65_536).everFound, "began \(start * 10) min into the day")
        }
    }

    @Test func `a burst that is given back stays quiet`() {
        let bursts = Array(repeating: "40x20 +60x10 =x10 -60x10", count: 30).joined(separator: " ")
        #expect(!descriptorLeak(bursts, every: 10, limit: 1024).everFound)
    }

    @Test func `steps at deploys are no leak`() {
        #expect(!descriptorLeak("40x200 120x200 220x200 260x400", every: 600, limit: 4096).everFound)
    }

    @Test func `counts that wander stay quiet`() {
        for seed in 1...20 as ClosedRange<UInt64> {
            var random = SplitMix(seed: seed)
            var level = 200.0
            let text = (0..<(5 * 24 * 12)).map { _ -> String in
                level = max(20, level + (random.unit() - 0.5) * 6 - (level - 200) * 0.02)
                return String(Int(level) + random.below(30))
            }.joined(separator: " ")
            #expect(!descriptorLeak(text, every: 300, limit: 4096).everFound, "seed \(seed)")
        }
    }

    @Test func `a sample without a count changes nothing`() {
        var detector = DescriptorLeak()
        let settings = DescriptorLeak.Settings()
        for index in 0..<500 {
            _ = detector.step(sample(at: Double(index) * 60, descriptors: 40 + index, limit: 1024), settings)
        }
        let before = detector
        _ = detector.step(sample(at: 40_000), settings)
        #expect(detector == before)
    }

    // MARK: How it ends

    @Test func `it is over when half of the rise was given back`() {
        let spoken = descriptorLeak("40 +1x700 300x60", every: 60)
        #expect(spoken.everFound)
        #expect(spoken.last.map { !$0.said.isFound } == true)
    }

    @Test func `it is over when the count has settled`() {
        let spoken = descriptorLeak("40 +1x700 =x900", every: 60)
        #expect(spoken.everFound)
        #expect(spoken.last.map { !$0.said.isFound } == true)
        #expect(spoken.filter { $0.said == .quiet && $0.at > 12 * 3600 }.count == 1, "it ends once")
    }

    // MARK: What it says

    @Test func `it names the process, the pace, the limit and the time left`() throws {
        var detector = DescriptorLeak()
        let settings = DescriptorLeak.Settings()
        for (index, count) in counts("40 +1x800").enumerated() {
            _ = detector.step(sample(at: Double(index) * 60, descriptors: count, limit: 1024), settings)
        }
        let finding = try #require(detector.finding(of: checkout.subject))
        #expect(finding.subject.identity == "process:checkout.service/checkout")
        #expect(finding.verdict == "running out")
        #expect(
            finding.sentence == "descriptors 560 → 840 of 1,024 in 4.3 h, never given back, out in about 3.1 h",
            "\(finding.sentence)")
        #expect(finding.details == ["about 1 more a minute"])
        #expect(finding.evidenceJSON.text.contains("\"limit\":1024"))
    }

    // MARK: Restart

    @Test func `a restart of the agent changes nothing`() throws {
        let settings = DescriptorLeak.Settings()
        var plain = DescriptorLeak()
        var restarted = DescriptorLeak()
        for (index, count) in counts("40 +1x900 =x200").enumerated() {
            let reading = sample(at: Double(index) * 60, descriptors: count, limit: 1024)
            #expect(plain.step(reading, settings) == restarted.step(reading, settings), "reading \(index)")
            if index % 37 == 0 {
                var bytes: [UInt8] = []
                restarted.encode(into: &bytes)
                var reader = ByteReader(bytes)
                restarted = try #require(DescriptorLeak(decoding: &reader))
                #expect(reader.isAtEnd)
            }
        }
    }

    @Test func `damaged state is refused or harmless`() {
        var detector = DescriptorLeak()
        for (index, count) in counts("40 +1x600").enumerated() {
            _ = detector.step(sample(at: Double(index) * 60, descriptors: count, limit: 1024), .init())
        }
        var whole: [UInt8] = []
        detector.encode(into: &whole)
        var random = SplitMix(seed: 5)
        for round in 0..<4000 {
            var bytes = round < whole.count ? Array(whole.prefix(round)) : whole
            if !bytes.isEmpty { bytes[random.below(bytes.count)] ^= UInt8(1 << random.below(8)) }
            var reader = ByteReader(bytes)
            guard var read = DescriptorLeak(decoding: &reader) else { continue }
            _ = read.step(sample(at: 40_000, descriptors: 700, limit: 1024), .init())
            _ = read.finding(of: checkout.subject)
        }
    }
}
