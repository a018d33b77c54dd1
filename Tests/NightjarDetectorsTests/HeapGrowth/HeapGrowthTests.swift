import Foundation
import NightjarModel
import NightjarTestKit
import Testing

@testable import NightjarDetectors

@Suite("HeapGrowth") struct HeapGrowthTests {
    private let checkout = Subject(
        .process, name: "checkout", unit: "checkout.service", process: ProcessKey(pid: 4242, startTime: 7))

    // MARK: Stages

    @Test func `a steady leak is growing after a day and a half and a leak after three`() {
        let outcome = History(6) { t, random in 200 + 12 * t / oneDay + 0.2 * random.normal() }.outcome()
        #expect(outcome.raised.map(\.stage) == [.growing, .leak])
        #expect(abs(outcome.raised[0].day - 1.5) < 0.1)
        #expect(abs(outcome.raised[1].day - 3) < 0.1)
    }

    @Test func `a leak under garbage and daily load waits for the late test`() throws {
        let history = History(9) { t, random in
            300 + 15 * t / oneDay + 40 * load(t) + 30 * garbage(t, every: 5 * 3600) + random.normal()
        }
        let day = try #require(history.outcome().leakDay)
        #expect(day < 6)
    }

    @Test func `a life is too early before it is quiet`() {
        var growth = HeapGrowth()
        let samples = History(2) { _, _ in 100 }.samples()
        let stages = samples.map { growth.step($0) }
        #expect(stages.first == .tooEarly)
        #expect(stages[Int(35 * 12)] == .tooEarly)
        #expect(stages[Int(37 * 12)] == .quiet)
    }

    @Test func `a leak after a step is found by what follows the step`() throws {
        let history = History(9) { t, random in
            let deployed = t > 4 * oneDay ? 80 + 12 * (t / oneDay - 4) : 0
            return 200 + deployed + 0.3 * random.normal()
        }
        let day = try #require(history.outcome().leakDay)
        #expect(day > 4 && day < 7.5)
    }

    @Test func `a leak that begins late in a long life is found within a week`() throws {
        let history = History(40, every: 600) { t, random in
            200 + 20 * load(t) + random.normal() + max(0, t / oneDay - 30) * 25
        }
        let day = try #require(history.outcome().leakDay)
        #expect(day > 30 && day < 37)
    }

    // MARK: Its end

    @Test func `a finding ends a day after the floor levelled off, not sooner`() throws {
        var growth = HeapGrowth()
        var ended: Double?
        let history = History(16) { t, random in 200 + 12 * min(t / oneDay, 5) + 0.1 * random.normal() }
        for sample in history.samples() {
            let before = growth.stage
            if growth.step(sample) == .quiet, before == .leak { ended = sample.time.seconds / oneDay }
        }
        let day = try #require(ended)
        #expect(day > 6 && day < 12)
    }

    @Test func `a finding ends when half of the rise was given back`() throws {
        var growth = HeapGrowth()
        var ended: Double?
        for sample in History(9, { t, _ in t < 5 * oneDay ? 200 + 12 * t / oneDay : 205 }).samples() {
            let before = growth.stage
            if growth.step(sample) == .quiet, before == .leak { ended = sample.time.seconds / oneDay }
        }
        let day = try #require(ended)
        #expect(day > 5 && day < 5.6)
    }

    @Test func `a finding does not flap while the leak goes on in fits and starts`() {
        let history = History(14) { t, random in
            300 + 10 * (t / oneDay).rounded(.down) + 60 * load(t) + 40 * garbage(t, every: 7 * 3600) + random.normal()
        }
        #expect(history.outcome().raised.count { $0.stage == .leak } == 1)
    }

    // MARK: What the operator says

    @Test func `below a bound that the operator gave nothing is said`() {
        let history = History(8) { t, _ in 200 + 50 * t / oneDay }
        #expect(history.outcome(HeapGrowth.Settings(heapLimit: .gibi(1))).isQuiet)
        #expect(history.outcome(HeapGrowth.Settings(heapLimit: .mebi(400))).worst == .leak)
    }

    @Test func `a shorter horizon shortens every span and changes nothing else`() {
        let days = History(6) { t, random in 200 + 12 * t / oneDay + 0.2 * random.normal() }
        var seconds = days
        seconds.interval = 300 / 2016
        seconds.days = 6 / 2016.0
        seconds.mebibytes = { t, random in 200 + 12 * t * 2016 / oneDay + 0.2 * random.normal() }
        let long = days.outcome()
        let short = seconds.outcome(HeapGrowth.Settings(horizon: .seconds(112.0 * 3600 / 2016)))
        #expect(short.raised.map(\.stage) == long.raised.map(\.stage))
        #expect(abs(short.raised[1].day * 2016 - long.raised[1].day) < 0.05)
    }

    // MARK: Words

    @Test func `the sentence says from where, to where, in what time, and when the limit comes`() throws {
        var growth = HeapGrowth()
        for sample in History(5, { t, _ in 96 + 12 * t / oneDay }).samples() { growth.step(sample) }
        let finding = try #require(growth.finding(of: checkout, limit: .mebi(512)))
        #expect(finding.sentence == "live heap floor 126 → 151 MiB in 2.1 d, still rising; limit 512 MiB in about 30 d")
        #expect(finding.severity == .warning)
        #expect(finding.verdict == "leak")
        #expect(finding.identity.subject == "process:checkout.service/checkout")
        let rate = try #require(finding.evidence.first { $0.name == "rate" })
        guard case .bytesPerSecond(let value) = rate.value else { return #expect(Bool(false)) }
        #expect(abs(value * 86_400 / 1_048_576 / 12 - 1) < 0.03)
    }

    @Test func `a quiet life has no finding`() {
        var growth = HeapGrowth()
        for sample in History(5, { _, random in 96 + random.normal() }).samples() { growth.step(sample) }
        #expect(growth.finding(of: checkout) == nil)
    }

    // MARK: Verdicts

    private func verdict(_ more: (Double) -> (threads: Int?, inUse: Bytes?, file: Bytes?), rise: Double = 12)
        -> HeapGrowth
    {
        var growth = HeapGrowth()
        for sample in History(5, { t, _ in 200 + rise * t / oneDay }).samples() {
            let (threads, inUse, file) = more(sample.time.seconds / oneDay)
            growth.step(
                HeapSample(
                    time: sample.time, live: sample.live, fileBacked: file, threads: threads, inUse: inUse))
        }
        return growth
    }

    @Test func `threads that pile up are called thread stacks`() {
        #expect(verdict { (threads: 10 + Int($0 * 200), inUse: nil, file: nil) }.verdict() == .threadStacks)
        #expect(verdict { _ in (threads: 10, inUse: nil, file: nil) }.verdict() == .leak)
    }

    @Test func `memory that the allocator keeps is called fragmentation, and nobody is warned`() throws {
        let growth = verdict { _ in (threads: nil, inUse: .mebi(150), file: nil) }
        #expect(growth.verdict() == .fragmentation)
        #expect(try #require(growth.finding(of: checkout)).severity == .notice)
    }

    @Test func `mapped files that grow are no leak`() {
        let growth = verdict({ (threads: nil, inUse: nil, file: .mebi(100 + Int64($0 * 100))) }, rise: 0)
        #expect(growth.stage == .quiet)
        #expect(growth.verdict() == .fileBacked)
    }

    @Test func `growth that slows down is called a cache that fills`() {
        var growth = HeapGrowth()
        for sample in History(2.5, { t, _ in 100 + 100 * (1 - exp(-t / (1.4 * oneDay))) }).samples() {
            growth.step(sample)
        }
        #expect(growth.stage == .growing)
        #expect(growth.verdict() == .cacheFilling)
    }

    // MARK: Hostile readings

    @Test func `a clock that goes back, silences of months and sizes of nothing do no harm`() {
        var random = SplitMix(seed: 3)
        var growth = HeapGrowth()
        var t = 0.0
        for _ in 0..<5_000 {
            switch random.below(40) {
            case 0: t += random.uniform(0, 100) * oneDay
            case 1: t -= random.uniform(0, 10) * oneDay
            default: t += random.uniform(0, 600)
            }
            growth.step(
                HeapSample(
                    time: Moment(seconds: t),
                    live: Bytes(Int64(random.uniform(0, 1) < 0.1 ? 0 : random.logarithmic(1, 1e15)))))
        }
        #expect(growth.ring.count < FloorRing.capacity)
    }

    @Test func `a silence longer than the ring begins the life's history anew`() {
        var growth = HeapGrowth()
        for sample in History(6, { t, _ in 200 + 12 * t / oneDay }).samples() { growth.step(sample) }
        #expect(growth.stage == .leak)
        growth.step(HeapSample(time: Moment(seconds: 60 * oneDay), live: .mebi(300)))
        #expect(growth.stage == .tooEarly)
    }

    @Test func `a life weighs 64 bytes and its ring`() {
        #expect(MemoryLayout<HeapGrowth>.stride == 64)
    }

    // MARK: Who fills a pool

    @Test func `the rise over a span is that of the floor`() throws {
        var growth = HeapGrowth()
        #expect(growth.rise(over: .minutes(1)) == nil)
        for second in 0..<600 {
            growth.step(HeapSample(time: Moment(seconds: Double(second)), live: .kibi(100_000 + Int64(second) * 100)))
        }
        let rise = try #require(growth.rise(over: .minutes(5)))
        #expect(abs(Double(rise.count) / 1024 / 30_000 - 1) < 0.03)
    }
}
