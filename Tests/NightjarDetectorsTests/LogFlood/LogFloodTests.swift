import Foundation
import NightjarDetectors
import NightjarModel
import NightjarTestKit
import Testing

private let slot = 300.0
private let day = 86_400.0

/// Bytes a slot, by time; noise of a few per cent is added.
private func flood(
    days: Double, from first: Double = 0, by detector: inout LogFlood, seed: UInt64 = 1, noise: Double = 0.1,
    _ rate: (Double) -> Double
) -> [(at: Double, isFlood: Bool)] {
    var random = SplitMix(seed: seed)
    return stride(from: first + slot, through: days * day, by: slot).map { time in
        let bytes = rate(time) * (1 + noise * (random.unit() * 2 - 1))
        let state = detector.step(
            LogSample(time: Moment(seconds: time), source: "app", span: .seconds(300), bytes: Bytes(Int64(bytes))),
            LogFlood.Settings())
        return (time, state.isFlood)
    }
}

private func onsets(_ said: [(at: Double, isFlood: Bool)]) -> [Double] {
    zip(said.dropFirst(), said).filter { $0.isFlood && !$1.isFlood }.map(\.0.at)
}

private func byDay(_ time: Double) -> Double { 1e6 * (1 + 0.6 * sin(time / day * 2 * .pi)) }

private func nightly(_ time: Double) -> Double {
    let hour = time.truncatingRemainder(dividingBy: day) / 3600
    return hour >= 3 && hour < 3.7 ? 2e7 : 0
}

private func debugLeftOn(_ time: Double) -> Double { byDay(time) * (time > 8 * day && time < 9 * day ? 12 : 1) }

private func withNightlyJob(_ time: Double) -> Double { debugLeftOn(time) + nightly(time) }

/// The histories that the card names; the floods begin on day 8 and go on for a day.
private func named(_ name: String) -> ((Double) -> Double)? {
    switch name {
    case "debug-left-on": debugLeftOn
    case "debug-left-on-beside-a-nightly-job": withNightlyJob
    case "ten-minute-spikes": { byDay($0) + (Int($0 / slot) % 400 < 2 && $0 > day ? 3e7 : 0) }
    case "nightly-job": { byDay($0) + nightly($0) }
    case "logs-grow-with-traffic": { byDay($0) * (1 + 0.9 * $0 / (14 * day)) }
    case "weekend-and-workday": { byDay($0) * (Int($0 / day) % 7 >= 5 ? 0.3 : 1) }
    default: nil
    }
}

@Suite("LogFlood") struct LogFloodTests {
    @Test(arguments: LogFlood.card.fires) func `finds what its card says`(_ name: String) throws {
        let rate = try #require(named(name))
        var detector = LogFlood()
        let begins = onsets(flood(days: 14, by: &detector, rate))
        #expect(begins.count == 1)
        #expect(begins.first.map { (8 * day...8 * day + 4.2 * 3600).contains($0) } == true, "\(begins)")
    }

    @Test(arguments: LogFlood.card.staysQuiet) func `stays quiet where its card says`(_ name: String) throws {
        let rate = try #require(named(name))
        var detector = LogFlood()
        #expect(onsets(flood(days: 14, by: &detector, rate)) == [])
    }

    @Test func `a tame source that writes twelve times its usual is told of within half an hour`() throws {
        var detector = LogFlood()
        let begins = onsets(flood(days: 9, by: &detector, debugLeftOn))
        #expect(try #require(begins.first) - 8 * day <= 1800)
    }

    @Test func `it ends within the hour after the volume did`() throws {
        var detector = LogFlood()
        let said = flood(days: 10, by: &detector, debugLeftOn)
        let end = try #require(said.last { $0.isFlood })
        #expect((9 * day...9 * day + 3600).contains(end.at))
    }

    @Test func `a second flood, a day after the first, is found like the first`() {
        var detector = LogFlood()
        let begins = onsets(
            flood(days: 11, by: &detector) { time in
                byDay(time) * ((7...7.5).contains(time / day) || (9...9.5).contains(time / day) ? 10 : 1)
            })
        #expect(begins.count == 2)
    }

    @Test func `a level that stays for three days is the new usual, and is said once`() {
        var detector = LogFlood()
        let said = flood(days: 14, by: &detector) { $0 > 8 * day ? 8e6 : 1e6 }
        #expect(onsets(said).count == 1)
        #expect(said.last?.isFlood == false)
    }

    @Test func `the first two days are too early`() {
        var detector = LogFlood()
        _ = flood(days: 1.8, by: &detector) { $0 > day ? 5e7 : 1e6 }
        #expect(detector.state.isTooEarly)
        #expect(
            detector.observe(LogSample(time: Moment(seconds: 2e5), source: "app", span: .seconds(10), bytes: .zero))
                == .tooEarly)
    }

    @Test func `samples every ten seconds say what samples every five minutes say`() {
        var coarse = LogFlood()
        let expected = onsets(flood(days: 9, by: &coarse, noise: 0, debugLeftOn))
        var fine = LogFlood()
        var begins: [Double] = []
        var was = false
        for time in stride(from: 10, through: 9 * day, by: 10) {
            // The rate of the whole slot, so that both see the same bytes.
            let bytes = debugLeftOn((time / slot).rounded(.up) * slot) / 30
            let state = fine.step(
                LogSample(
                    time: Moment(seconds: time), source: "app", span: .seconds(10), bytes: Bytes(Int64(bytes))),
                LogFlood.Settings())
            if state.isFlood, !was { begins.append(time) }
            was = state.isFlood
        }
        #expect(begins == expected)
    }

    @Test func `the sentence says how much, how many times the usual, and since when`() throws {
        var detector = LogFlood()
        _ = flood(days: 8.5, by: &detector, noise: 0) { $0 > 8 * day ? 12e6 : 1e6 }
        let finding = try #require(
            detector.observe(
                LogSample(
                    time: Moment(seconds: 8.5 * day + 10), source: "/var/log/app.log", span: .seconds(10),
                    bytes: Bytes(400_000))
            ).finding)
        #expect(
            finding.sentence
                == "/var/log/app.log writes 137 MiB an hour, 11 times the usual 12 MiB, for 12 h now")
        #expect(finding.nextStep == "nightjar logs")
    }

    @Test func `a restart in the middle of a flood changes nothing`() throws {
        let rate = withNightlyJob
        var straight = LogFlood()
        let expected = flood(days: 10, by: &straight, noise: 0, rate)
        var detector = LogFlood()
        var said: [(at: Double, isFlood: Bool)] = []
        for part in 0..<40 {
            said += flood(days: Double(part + 1) / 4, from: Double(part) / 4 * day, by: &detector, noise: 0, rate)
            var bytes: [UInt8] = []
            detector.encode(into: &bytes)
            var reader = ByteReader(bytes)
            let back = try #require(LogFlood(decoding: &reader))
            #expect(back == detector)
            #expect(reader.isAtEnd)
            detector = back
        }
        #expect(said.map(\.isFlood) == expected.map(\.isFlood))
    }

    @Test func `its state has a bound, and broken bytes are refused or survived`() {
        var detector = LogFlood()
        _ = flood(days: 14, by: &detector, byDay)
        var bytes: [UInt8] = []
        detector.encode(into: &bytes)
        #expect(bytes.count <= 1_180)
        var random = SplitMix(seed: 11)
        for round in 0..<500 {
            var broken = Array(bytes.prefix(round % 3 == 0 ? random.below(bytes.count) : bytes.count))
            for _ in 0..<min(6, broken.count) {
                broken[random.below(broken.count)] = UInt8(truncatingIfNeeded: random.next())
            }
            var reader = ByteReader(broken)
            guard var decoded = LogFlood(decoding: &reader) else { continue }
            for step in 0..<20 {
                _ = decoded.step(
                    LogSample(
                        time: Moment(seconds: 15 * day + Double(step) * 300), source: "a", span: .seconds(300),
                        bytes: .mebi(1)),
                    LogFlood.Settings())
            }
        }
    }

    @Test func `a clock that goes back, stands still or leaps is survived`() {
        var detector = LogFlood()
        for time in [0.0, 300, 100, 100, 1e9, 1e9 + 1, 50, 8e9] {
            _ = detector.step(
                LogSample(time: Moment(seconds: time), source: "a", span: .seconds(1), bytes: .mebi(1)),
                LogFlood.Settings())
        }
        #expect(!detector.state.isFlood)
    }
}
