import Foundation
import NightjarDetectors
import NightjarModel
import NightjarTestKit
import Testing

@Suite("DiskFill") struct DiskFillTests {
    // MARK: What the card promises

    @Test(arguments: DiskFill.card.fires) func `finds what its card says`(_ name: String) throws {
        let disk = try #require(MadeDisk.named[name])
        #expect(disk.observed().contains { $0.answer.finding != nil })
    }

    @Test(arguments: DiskFill.card.staysQuiet) func `stays quiet where its card says`(_ name: String) throws {
        let disk = try #require(MadeDisk.named[name])
        let found = disk.observed().first { $0.answer.finding != nil }
        #expect(found == nil, "\(found?.answer.finding?.sentence ?? "") after \(found?.hour ?? 0) h")
    }

    // MARK: Forecasts

    @Test func `a steady fill is told of a day before, with the right time`() throws {
        // 70 GiB at 9 GiB a day: full after 186.7 h.
        let first = try #require(MadeDisk.named["steady-fill"]!.observed().first { $0.answer.finding != nil })
        #expect((186.7 - 24.5...186.7 - 22.5).contains(first.hour))
        #expect(first.answer.stage == "forecast")
        guard case .duration(let left)? = first.answer.finding?.evidence.first(where: { $0.name == "eta" })?.value
        else {
            Issue.record("no eta in the evidence")
            return
        }
        #expect(abs(left.inSeconds / 3600 - (186.7 - first.hour)) < 1.5)
    }

    @Test func `growth by day and rest at night is forecast with the night in it`() {
        var detector = DiskFill()
        let disk = MadeDisk.named["fills-by-day"]!
        // 30 GiB and 9 more each day from 8 to 18 h: full on the eighth day, after 7/9 of its ten hours.
        let full: Double = 7 * 24 + 8 + 70.0 / 9
        var worst = 0.0
        var forecasts = 0
        for seconds in stride(from: 0, through: 165 * 3600.0, by: 300) {
            _ = detector.observe(disk.sample(at: seconds))
            guard seconds >= 130 * 3600, let left = detector.timeToFull else { continue }
            forecasts += 1
            // A forecast is made anew every half hour.
            let truth = full - seconds / 3600
            worst = max(worst, abs(left.inSeconds / 3600 - truth) / truth)
        }
        #expect(forecasts > 100)
        #expect(worst < 0.15)
    }

    @Test func `a log left on is told of with hours to spare`() throws {
        // From 40.8 GiB at hour 96 with 2.1 GiB an hour: full at hour 124.
        let first = try #require(MadeDisk.named["debug-log-left-on"]!.observed().first { $0.answer.finding != nil })
        #expect((96...112).contains(first.hour))
    }

    @Test func `no time is ever negative, nor farther than what was looked back on`() {
        for (name, disk) in MadeDisk.named {
            var detector = DiskFill()
            for seconds in stride(from: 0, through: disk.hours * 3600, by: disk.step) {
                _ = detector.observe(disk.sample(at: seconds))
                guard let left = detector.timeToFull else { continue }
                #expect(left >= .zero && left <= .days(7), "\(name) after \(seconds) s: \(left)")
            }
        }
    }

    // MARK: Not yet, not any more

    @Test func `just booted is too early, not fine`() {
        var detector = DiskFill()
        let disk = MadeDisk.named["idle-disk"]!
        #expect(detector.observe(disk.sample(at: 0)) == .tooEarly)
        #expect(detector.observe(disk.sample(at: 60)) == .tooEarly)
        #expect(detector.observe(disk.sample(at: 3600)) == .quiet)
    }

    @Test func `a disk that is full at boot is full at once`() {
        var detector = DiskFill()
        #expect(detector.observe(MadeDisk(hours: 1) { _ in 100 }.sample(at: 0)).stage == "full")
    }

    @Test func `what was found in the first minutes is over once there is space, however early it is`() {
        var detector = DiskFill()
        #expect(detector.observe(MadeDisk(hours: 1) { _ in 100 }.sample(at: 0)).stage == "full")
        #expect(detector.observe(MadeDisk(hours: 1) { _ in 10 }.sample(at: 60)) == .quiet)
    }

    @Test func `full has not recovered because nobody can write any more`() {
        let said = MadeDisk.named["already-full"]!.observed()
        #expect(said.last?.answer.stage == "full")
        #expect(said.last?.answer.finding?.severity == .critical)
    }

    @Test func `full ends with space, within one sample`() {
        var detector = DiskFill()
        let full = MadeDisk(hours: 30) { min(100, 60 + $0 * 4) }
        _ = full.observed(by: &detector)
        let answer = detector.observe(MadeDisk(hours: 31) { _ in 55 }.sample(at: 30 * 3600 + 60))
        #expect(answer == .quiet)
    }

    @Test func `a forecast clears within a sample when space comes back`() {
        var detector = DiskFill()
        let disk = MadeDisk.named["steady-fill"]!
        #expect(disk.observed(by: &detector).last?.answer.stage == "forecast")
        #expect(detector.observe(MadeDisk(hours: 181) { _ in 20 }.sample(at: 180 * 3600 + 60)) == .quiet)
    }

    @Test func `at the floor it does not flap`() {
        var detector = DiskFill()
        var changes = 0
        var was = false
        for minute in 0..<600 {
            let used = 95 + 0.05 * sin(Double(minute))
            let disk = MadeDisk(hours: 10) { _ in used }
            let holds = detector.observe(disk.sample(at: Double(minute) * 60)).finding != nil
            if holds != was { changes += 1 }
            was = holds
        }
        #expect(changes == 1)
    }

    @Test func `a disk that somebody filled on purpose is only noted`() {
        let said = MadeDisk(hours: 30) { _ in 97 }.observed()
        #expect(said.first?.answer.finding?.severity == .warning)
        #expect(said.last?.answer.finding?.severity == .notice)
    }

    @Test func `read-only and sizeless file systems are left alone`() {
        var detector = DiskFill()
        var sample = MadeDisk(hours: 1) { _ in 100 }.sample(at: 0)
        sample.readOnly = true
        #expect(detector.observe(sample) == .quiet)
        sample.readOnly = false
        sample.size = .zero
        #expect(detector.observe(sample) == .quiet)
    }

    // MARK: Bursts

    @Test func `a burst that would fill the disk within the hour is told of while there is time`() throws {
        let first = try #require(MadeDisk.named["burst-that-never-ends"]!.observed().first { $0.answer.finding != nil })
        #expect(first.answer.stage == "burst")
        // 80 GiB at 100 an hour: full after 48 min.
        #expect(first.hour - 48 < 0.3)
    }

    @Test func `one that fills a disk in a minute is told of before it is full`() throws {
        // 2 GiB at 50 MiB a second, read every second: full after 41 s.
        var detector = DiskFill()
        var found: Int?
        for second in 0..<41 where found == nil {
            let disk = MadeDisk(size: 2, hours: 1) { _ in Double(second) * 50 / 1024 }
            if detector.observe(disk.sample(at: Double(second))).finding != nil { found = second }
        }
        let at = try #require(found)
        #expect(at < 35)
    }

    @Test func `a nightly job that took most of the disk before, and fitted, is no burst`() {
        let disk = MadeDisk(hours: 100) { hour in
            let rest = hour.truncatingRemainder(dividingBy: 24)
            return 30 + (rest >= 3 && rest < 5 ? 60 * min(1, rest - 3) : 0)
        }
        let bursts = disk.observed().filter { $0.answer.stage == "burst" }
        // The first night nobody can know.
        #expect(bursts.contains { $0.hour < 24 })
        #expect(!bursts.contains { $0.hour > 24 })
    }

    // MARK: Restarts and odd clocks

    @Test func `a restart in the middle changes nothing`() throws {
        for name in ["debug-log-left-on", "nightly-batch", "already-full"] {
            let disk = try #require(MadeDisk.named[name])
            var straight = DiskFill()
            let expected = disk.observed(by: &straight)
            var detector = DiskFill()
            var all: [(hour: Double, answer: Answer)] = []
            for seconds in stride(from: 0, through: disk.hours * 3600, by: disk.step) {
                all.append((seconds / 3600, detector.observe(disk.sample(at: seconds))))
                guard Int(seconds) % 86_400 == 0 else { continue }
                var bytes: [UInt8] = []
                detector.encode(into: &bytes)
                var reader = ByteReader(bytes)
                detector = try #require(DiskFill(decoding: &reader))
                #expect(reader.isAtEnd)
            }
            #expect(all.map(\.answer) == expected.map(\.answer), "\(name)")
        }
    }

    @Test func `its state has a bound, and says when it is not its own`() throws {
        var detector = DiskFill()
        _ = MadeDisk(hours: 400) { 10 + $0 / 10 }.observed(by: &detector)
        var bytes: [UInt8] = []
        detector.encode(into: &bytes)
        #expect(bytes.count < 10_240)
        for cut in [0, 1, 2, bytes.count / 2, bytes.count - 1] {
            var reader = ByteReader(Array(bytes[..<cut]))
            #expect(DiskFill(decoding: &reader) == nil || cut == 0 && bytes.isEmpty)
        }
        var random = SplitMix(seed: 7)
        for _ in 0..<500 {
            var broken = bytes
            for _ in 0..<4 { broken[random.below(broken.count)] = UInt8(truncatingIfNeeded: random.next()) }
            var reader = ByteReader(broken)
            guard var decoded = DiskFill(decoding: &reader) else { continue }
            _ = decoded.observe(MadeDisk(hours: 1) { _ in 50 }.sample(at: 500 * 3600))
        }
    }

    @Test func `a clock that goes back, stands still or leaps a year is survived`() {
        var detector = DiskFill()
        let disk = MadeDisk(hours: 1) { _ in 50 }
        for seconds in [0.0, 300, 100, 100, 4e7, 4e7 + 300, 200] { _ = detector.observe(disk.sample(at: seconds)) }
        #expect(detector.timeToFull == nil)
    }

    @Test func `a disk that is made larger keeps its past and loses its alert`() {
        var detector = DiskFill()
        let disk = MadeDisk.named["steady-fill"]!
        #expect(disk.observed(by: &detector).last?.answer.finding != nil)
        let larger = MadeDisk(size: 400, hours: 200, used: disk.used)
        let said = larger.observed(by: &detector, from: 180 * 3600 + 300)
        #expect(said.last?.answer == .quiet)
    }
}
