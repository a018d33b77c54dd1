import NightjarDetectors
import NightjarModel
import NightjarTestKit
import Testing

/// Cores used in each minute, run through a fresh detector: what it said at each change, with the minute.
private func spin(
    _ minutes: [Double], nice: Bool = false, settings: CPUSpin.Settings = .init()
) -> [(minute: Int, said: Sighting)] {
    var detector = CPUSpin()
    var spoken: [(Int, Sighting)] = []
    var used = 0.0
    for (minute, cores) in ([0] + minutes).enumerated() {
        used += cores * 60
        let said = detector.step(sample(at: Double(minute) * 60, cpu: .seconds(used)), isNiced: nice, settings)
        if spoken.last?.1 != said { spoken.append((minute, said)) }
    }
    return spoken
}

private func ordinary(_ minutes: Int, seed: UInt64 = 1, from low: Double = 0.02, to high: Double = 0.2) -> [Double] {
    var random = SplitMix(seed: seed)
    return (0..<minutes).map { _ in low + random.unit() * (high - low) }
}

private func flat(_ minutes: Int, _ cores: Double = 1, seed: UInt64 = 2) -> [Double] {
    var random = SplitMix(seed: seed)
    return (0..<minutes).map { _ in cores - random.unit() * 0.02 }
}

extension [(minute: Int, said: Sighting)] {
    fileprivate var found: Int? { first { $0.said.isFound }?.minute }
}

@Suite("CPUSpin") struct CPUSpinTests {
    @Test func `a thread that turns in circles is a notice after half an hour and a warning after four`() {
        let spoken = spin(ordinary(120) + flat(300))
        #expect(spoken.found == 150)
        #expect(spoken.first { $0.said == .found(.warning) }?.minute == 360)
    }

    @Test func `a spin beside ordinary load is found`() {
        let load = ordinary(90, seed: 4, from: 0.2, to: 0.5)
        let both = zip(ordinary(90, seed: 5, from: 0.2, to: 0.5), flat(90)).map { $0 + $1 }
        #expect(spin(load + both).found == 120)
    }

    @Test func `one rest begins the count anew`() {
        #expect(spin(ordinary(120) + flat(25) + [0.1] + flat(25)).found == nil)
    }

    @Test func `a minute in which the host was busy does not hide it`() {
        #expect(spin(ordinary(120) + flat(20) + [0.7] + flat(15)).found == 150)
    }

    @Test func `a single thread that waits for its core counts as wanting it`() {
        var detector = CPUSpin()
        let settings = CPUSpin.Settings()
        var (cpu, delay) = (0.0, 0.0)
        var said = Sighting.tooEarly
        for minute in 0..<200 {
            let isSpinning = minute > 100
            cpu += (isSpinning ? 0.5 : 0.05) * 60
            delay += (isSpinning ? 0.5 : 0) * 60
            let reading = sample(
                at: Double(minute) * 60, threads: 1, cpu: .seconds(cpu), runDelay: .seconds(delay))
            said = detector.step(reading, isNiced: false, settings)
        }
        #expect(said == .found(.notice))
        let sentence = detector.finding(of: checkout.subject, settings)?.sentence
        #expect(sentence == "wants a whole core for 1.7 h without a rest and gets 0.50; before that 0.05")
    }

    @Test func `it is over at the first minute of rest`() {
        let spoken = spin(ordinary(120) + flat(60) + ordinary(10))
        #expect(spoken.found == 150)
        #expect(spoken.last?.said == .quiet)
        #expect(spoken.last?.minute == 181)
    }

    // MARK: What it must leave alone

    @Test func `a build or batch job that is busy from its first minute stays quiet`() {
        #expect(spin(flat(600)).found == nil)
        #expect(spin(flat(3, 0.4) + flat(600)).found == nil)
    }

    @Test func `a service under load is not flat`() {
        #expect(spin(ordinary(120) + ordinary(240, seed: 6, from: 1.0, to: 2.4)).found == nil)
    }

    @Test func `a process that uses several cores all the time stays quiet`() {
        #expect(spin(ordinary(600, seed: 7, from: 2, to: 6)).found == nil)
    }

    @Test func `a nightly job of twenty minutes stays quiet every night`() {
        let night = ordinary(600) + flat(20)
        #expect(spin(night + night + night + ordinary(60)).found == nil)
    }

    @Test func `a nightly job of fifty minutes is a notice once, then known`() {
        let night = ordinary(600) + flat(50)
        let spoken = spin(night + night + night + ordinary(60))
        #expect(spoken.filter { $0.said.isFound }.count == 1)
        #expect(spoken.found == 630)
    }

    @Test func `a process that is busy more than a fifth of its life is known to work hard`() {
        let hour = ordinary(45) + flat(25)
        let day = (0..<12).flatMap { _ in hour }
        #expect(spin(ordinary(60) + day + flat(300)).found == nil)
    }

    @Test func `a niced process has said itself that it works in the background`() {
        #expect(spin(ordinary(120) + flat(300), nice: true).found == nil)
    }

    @Test func `minutes that nobody saw prove nothing`() {
        var detector = CPUSpin()
        let settings = CPUSpin.Settings()
        for minute in 0..<120 {
            let reading = sample(at: Double(minute) * 60, cpu: .seconds(Double(minute) * 3))
            _ = detector.step(reading, isNiced: false, settings)
        }
        // Eight hours away, a core used in all of them.
        let back = sample(at: 120 * 60 + 8 * 3600, cpu: .seconds(360 + 8 * 3600))
        #expect(!detector.step(back, isNiced: false, settings).isFound)
    }

    @Test func `CPU time that runs backwards is no use of the processor`() {
        var detector = CPUSpin()
        for minute in 0..<300 {
            let reading = sample(at: Double(minute) * 60, cpu: .seconds(Double(300 - minute) * 60))
            #expect(!detector.step(reading, isNiced: false, .init()).isFound)
        }
    }

    // MARK: What it says

    @Test func `it says how much, how long, and what was usual`() throws {
        var detector = CPUSpin()
        let settings = CPUSpin.Settings()
        var used = 0.0
        for (minute, cores) in (ordinary(120) + flat(42)).enumerated() {
            used += cores * 60
            let reading = sample(at: Double(minute) * 60, cpu: .seconds(used))
            _ = detector.step(reading, isNiced: false, settings)
        }
        let finding = try #require(detector.finding(of: checkout.subject, settings))
        #expect(finding.sentence == "uses 0.99 cores, evenly, for 42 min without a rest; before that 0.11")
        #expect(finding.severity == .notice)
        #expect(finding.nextStep == "nightjar stacks 4242")
    }

    @Test func `a restart of the agent changes nothing`() throws {
        let settings = CPUSpin.Settings()
        var (plain, restarted) = (CPUSpin(), CPUSpin())
        var used = 0.0
        for (minute, cores) in (ordinary(120) + flat(20) + [0.7] + flat(60) + ordinary(5)).enumerated() {
            used += cores * 60
            let reading = sample(at: Double(minute) * 60, cpu: .seconds(used))
            #expect(plain.step(reading, isNiced: false, settings) == restarted.step(reading, isNiced: false, settings))
            var bytes: [UInt8] = []
            restarted.encode(into: &bytes)
            var reader = ByteReader(bytes)
            restarted = try #require(CPUSpin(decoding: &reader))
            #expect(restarted == plain)
        }
    }
}
