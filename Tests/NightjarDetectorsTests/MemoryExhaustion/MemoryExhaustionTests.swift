import Foundation
import NightjarModel
import NightjarTestKit
import Testing

@testable import NightjarDetectors

/// How full a cgroup with a limit of 512 MiB is, 0…1, over seconds, and what the detector says of it.
private struct Filling {
    static let limit = Bytes.mebi(512)
    var interval = 1.0
    var share: (Double, inout SplitMix) -> Double

    init(every interval: Double = 1, _ share: @escaping (Double, inout SplitMix) -> Double) {
        self.interval = interval
        self.share = share
    }

    func sample(_ t: Double, _ random: inout SplitMix) -> CgroupSample {
        let used = Int64(max(0, share(t, &random)) * Double(Self.limit.count))
        return CgroupSample(
            time: Moment(seconds: t), path: "/system.slice/checkout.service", unit: "checkout.service",
            memoryLimit: Self.limit, memoryAnonymous: Bytes(used))
    }

    /// Alerts until the limit is met or the time is over: when, and how far ahead the end was said to be.
    func alerts(for duration: Double) -> (alerts: [(at: Double, eta: Double)], end: Double) {
        var random = SplitMix(seed: 9)
        var detector = MemoryExhaustion()
        var alerts: [(at: Double, eta: Double)] = []
        var isOpen = false
        for t in stride(from: 0, to: duration, by: interval) {
            let sample = sample(t, &random)
            if sample.memoryAnonymous! >= Self.limit { return (alerts, t) }
            if case .found = detector.observe(sample) {
                if !isOpen { alerts.append((t, detector.forecast!.eta.inSeconds)) }
                isOpen = true
            } else {
                isOpen = false
            }
        }
        return (alerts, duration)
    }
}

@Suite("MemoryExhaustion") struct MemoryExhaustionTests {
    // MARK: Fast leaks

    /// Seconds to the limit and seconds between readings.
    static let lives: [(end: Double, interval: Double)] = [
        (300, 1), (300, 5), (900, 2), (1800, 2), (1800, 10), (4 * 3600, 10),
    ]

    @Test(arguments: lives)
    func `is told with two fifths of the life left, and when it ends to a quarter`(
        end: Double, interval: Double
    ) throws {
        let filling = Filling(every: interval) { t, random in
            0.1 + 0.9 * t / end - 0.05 * exp(-t / (0.03 * end)) + 0.02 * garbage(t, every: end / 60)
                + 0.002 * random.normal()
        }
        let (alerts, ended) = filling.alerts(for: 2 * end)
        let first = try #require(alerts.first)
        #expect(1 - first.at / ended >= 0.4)
        #expect(abs(first.eta - (ended - first.at)) / (ended - first.at) <= 0.25)
        #expect(alerts.count == 1)
    }

    @Test func `a leak of half an hour after two quiet days is told in time`() throws {
        let begin = 2 * oneDay
        let filling = Filling(every: 10) { t, random in
            0.3 + 0.7 * max(0, t - begin) / 1800 + 0.002 * random.normal()
        }
        let (alerts, ended) = filling.alerts(for: begin + 4000)
        let first = try #require(alerts.first)
        #expect(first.at > begin)
        #expect((ended - first.at) / 1800 > 0.35)
    }

    @Test func `a leak in steps is told as well`() throws {
        let filling = Filling(every: 2) { t, _ in 0.2 + 0.8 * (t / 60).rounded(.down) * 60 / 1800 }
        let (alerts, ended) = filling.alerts(for: 4000)
        #expect(1 - (try #require(alerts.first)).at / ended > 0.35)
    }

    // MARK: Quiet

    @Test(arguments: [20.0, 120, 900, 7200])
    func `a warm-up to four fifths of the limit stays quiet`(settlesIn: Double) {
        let filling = Filling(every: settlesIn > 500 ? 10 : 2) { t, random in
            0.8 * (1 - exp(-t / settlesIn)) + 0.002 * random.normal()
        }
        #expect(filling.alerts(for: max(7200, 12 * settlesIn)).alerts.isEmpty)
    }

    @Test func `a start of two minutes in a straight line stays quiet`() {
        let filling = Filling { t, random in 0.8 * min(1, t / 120) + 0.002 * random.normal() }
        #expect(filling.alerts(for: 3600).alerts.isEmpty)
    }

    @Test(arguments: [30.0, 600, 5000])
    func `a sawtooth below the limit is news once at most`(period: Double) {
        let filling = Filling(every: 5) { t, random in
            0.3 + 0.5 * garbage(t, every: period) + 0.002 * random.normal()
        }
        #expect(filling.alerts(for: 30 * period).alerts.count <= 1)
    }

    @Test func `load by day that goes to four fifths is news once at most`() {
        let filling = Filling(every: 10) { t, random in 0.2 + 0.6 * load(t) + 0.005 * random.normal() }
        #expect(filling.alerts(for: 4 * oneDay).alerts.count <= 1)
    }

    @Test func `memory that is level at 95 % is not reported`() {
        let filling = Filling(every: 5) { _, random in 0.95 + 0.003 * random.normal() }
        #expect(filling.alerts(for: oneDay).alerts.isEmpty)
    }

    @Test func `a cgroup without limit is quiet`() {
        var detector = MemoryExhaustion()
        for t in 0..<400 {
            let sample = CgroupSample(
                time: Moment(seconds: Double(t)), path: "/x", memoryCurrent: .mebi(Int64(t)),
                memoryAnonymous: .mebi(Int64(t)))
            #expect(detector.observe(sample) == .quiet)
        }
    }

    // MARK: Restarts of the service

    @Test func `a service that is restarted may fill again to where it was`() {
        let filling = Filling(every: 2) { t, _ in
            t < 4000 ? 0.7 * (1 - exp(-t / 500)) : max(0.001, 0.7 * min(1, (t - 4000) / 900))
        }
        #expect(filling.alerts(for: 9000).alerts.isEmpty)
    }

    @Test func `after an OOM kill the same rise is reported again`() {
        var detector = MemoryExhaustion()
        var found: [Int] = []
        for t in 0..<1000 {
            let life = t / 330
            let sample = CgroupSample(
                time: Moment(seconds: Double(t)), path: "/x", memoryLimit: .mebi(330),
                memoryAnonymous: .mebi(Int64(t % 330)), oomKills: Int64(life))
            if case .found = detector.observe(sample), !found.contains(life) { found.append(life) }
        }
        #expect(found == [0, 1, 2])
    }

    // MARK: Who, and words

    private func found(contributors: [MemoryExhaustion.Contributor], until: Double = 200) -> Finding? {
        var random = SplitMix(seed: 1)
        var detector = MemoryExhaustion()
        var last: Finding?
        let filling = Filling { t, _ in 0.1 + 0.9 * t / 300 }
        for t in stride(from: 0.0, to: until, by: 1) {
            if case .found(let finding) = detector.observe(
                filling.sample(t, &random), contributors: { _ in contributors })
            {
                last = finding
            }
        }
        return last
    }

    private func process(_ name: String, _ pid: Int32) -> Subject {
        Subject(.process, name: name, unit: "checkout.service", process: ProcessKey(pid: pid, startTime: 1))
    }

    @Test func `the process that rises is named, not the one that is large`() throws {
        let finding = try #require(
            found(contributors: [
                .init(subject: process("cache", 1), held: .mebi(300), rise: .mebi(1)),
                .init(subject: process("worker", 2), held: .mebi(80), rise: .mebi(70)),
            ]))
        #expect(finding.subject.name == "worker")
        #expect(finding.details.first == "worker (checkout.service, pid 2) holds 80 MiB, +70 MiB")
    }

    @Test func `where no rise is known the largest is named, and where nobody is known the unit`() throws {
        let finding = try #require(
            found(contributors: [
                .init(subject: process("small", 1), held: .mebi(30)),
                .init(subject: process("large", 2), held: .mebi(80)),
            ]))
        #expect(finding.subject.name == "large")
        #expect(
            try #require(found(contributors: [])).subject
                == Subject(.unit, name: "checkout.service", unit: "checkout.service"))
    }

    @Test func `the sentence says how full, how fast and when`() throws {
        let finding = try #require(found(contributors: [], until: 181))
        #expect(
            finding.sentence
                == "memory of checkout.service 328 of 512 MiB, +92 MiB a minute: full in about 2 min")
        #expect(finding.severity == .critical)
    }

    @Test func `the host is a pool as well`() {
        var detector = MemoryExhaustion()
        var answer = Answer.quiet
        for t in stride(from: 0.0, to: 6.5 * 3600, by: 10) {
            answer = detector.observe(
                HostSample(
                    time: Moment(seconds: t), memoryTotal: .gibi(16),
                    memoryAvailable: .mebi(14_000 - Int64(t / 10) * 4), swapTotal: .gibi(1), swapFree: .gibi(1)))
        }
        guard case .found(let finding) = answer else { return #expect(Bool(false)) }
        #expect(finding.subject == .host)
        #expect(finding.severity == .warning)
    }

    // MARK: State

    @Test func `restarted every minute the agent says the same`() throws {
        var random = SplitMix(seed: 2)
        let filling = Filling { t, random in 0.1 + 0.9 * t / 1800 + 0.003 * random.normal() }
        var steady = MemoryExhaustion()
        var restarted = MemoryExhaustion()
        for t in stride(from: 0.0, to: 1800, by: 5) {
            if t.truncatingRemainder(dividingBy: 60) == 0 {
                var bytes: [UInt8] = []
                restarted.encode(into: &bytes)
                #expect(bytes.count < 1200)
                var reader = ByteReader(bytes)
                restarted = try #require(MemoryExhaustion(decoding: &reader))
            }
            let sample = filling.sample(t, &random)
            let who = [MemoryExhaustion.Contributor(subject: process("worker", 2), held: .mebi(80))]
            #expect(
                steady.observe(sample, contributors: { _ in who })
                    == restarted.observe(sample, contributors: { _ in who }))
        }
        #expect(steady.forecast != nil)
    }

    @Test func `bytes that were changed are refused or harmless`() {
        var random = SplitMix(seed: 4)
        var detector = MemoryExhaustion()
        let filling = Filling { t, _ in 0.1 + 0.9 * t / 300 }
        for t in 0..<250 { _ = detector.observe(filling.sample(Double(t), &random)) }
        var good: [UInt8] = []
        detector.encode(into: &good)
        for _ in 0..<1500 {
            var bytes = good
            for _ in 0...random.below(3) { bytes[random.below(bytes.count)] = UInt8(truncatingIfNeeded: random.next()) }
            if random.below(10) == 0 { bytes.removeLast(random.below(bytes.count)) }
            var reader = ByteReader(bytes)
            guard var read = MemoryExhaustion(decoding: &reader) else { continue }
            for t in [251.0, 260, 90_000] { _ = read.observe(filling.sample(t, &random)) }
        }
    }
}

/// Histories under a limit of 512 MiB as traces.
@Suite("MemoryExhaustion over traces", .serialized) struct MemoryExhaustionTraceTests {
    private static let traces: [(name: String, end: Double, every: Double, isFound: Bool)] = [
        ("full-in-five-minutes", 300, 1, true), ("full-in-half-an-hour", 1800, 5, true),
        ("full-in-four-hours", 14_400, 20, true), ("warm-up-to-four-fifths", 7200, 10, false),
        ("sawtooth-below-the-limit", 7200, 10, false),
    ]

    private func text(_ name: String, end: Double, every: Double) -> String {
        var random = SplitMix(seed: 5)
        var text = "# nightjar-trace v1; source=made; speedup=1; limit_kib=524288; KiB\nt,anon\n"
        for t in stride(from: 0, through: end, by: every) {
            let share =
                switch name {
                case "warm-up-to-four-fifths": 0.8 * (1 - exp(-t / 600)) + 0.003 * random.normal()
                case "sawtooth-below-the-limit": 0.3 + 0.3 * garbage(t, every: 400) + 0.003 * random.normal()
                default: 0.12 + 0.88 * t / end + 0.003 * random.normal()
                }
            text += "\(Int(t)),\(Int(max(0.01, min(share, 1)) * 524_288))\n"
        }
        return text
    }

    @Test(arguments: traces) func `replays with what the live agent would have said`(
        name: String, end: Double, every: Double, isFound: Bool
    ) throws {
        let text = text(name, end: end, every: every)
        try expectTrace(name, text)
        let result = try replay(trace: Array(text.utf8), name: name)
        let found = result.findings.filter { $0["kind"] == .string("memory_exhaustion") }
        #expect(found.count == (isFound ? 1 : 0))
        guard isFound, let first = found.first, case .double(let at)? = first["at_s"],
            case .double(let eta)? = first["eta_s"]
        else { return }
        #expect(1 - at / end >= 0.4)
        #expect(abs(eta - (end - at)) / (end - at) <= 0.25)
    }
}
