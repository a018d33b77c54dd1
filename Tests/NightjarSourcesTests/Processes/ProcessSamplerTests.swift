import Glibc
import NightjarModel
import NightjarTestKit
import Testing

@testable import NightjarSources

/// A sampler on a fake tree, its clock, and what the last round said.
final class Bench {
    let proc: FakeProc
    let sampler: ProcessSampler
    var clock = ManualClock()
    private(set) var samples: [Int32: ProcessSample] = [:]
    private(set) var newSlots: Set<Int> = []

    init(limits: ProcessLimits = ProcessLimits(), @FakeProc.Entries _ entries: () -> [any FakeProcEntry]) throws {
        proc = FakeProc(entries)
        sampler = try ProcessSampler(root: proc.root, limits: limits)
    }

    @discardableResult
    func round(after step: Duration = .seconds(1)) -> RoundSummary {
        samples = [:]
        newSlots = []
        return sampler.round(at: clock.tick(step)) { sample, slot, isNew in
            samples[sample.key.pid] = sample
            if isNew { newSlots.insert(slot) }
        }
    }

    func slot(_ pid: Int32) throws -> Int { try #require(sampler.slot(of: pid)) }
}

@Suite("Processes, round by round") struct ProcessSamplerTests {
    @Test func `the first round delivers every process with its figures`() throws {
        let bench = try Bench {
            process(42, rss: .mebi(64), anonymous: .mebi(48), threads: 7, descriptors: 9) { $0.ticks = 250 }
            process(43)
        }
        let summary = bench.round()
        #expect((summary.tracked, summary.births, summary.delivered) == (2, 2, 2))
        let sample = try #require(bench.samples[42])
        #expect(sample.key == ProcessKey(pid: 42, startTime: 5000))
        #expect(sample.time == bench.clock.now)
        #expect((sample.rss, sample.anonymous) == (.mebi(64), .mebi(48)))
        #expect(sample.cpuTime == .milliseconds(2500))
        #expect(sample.threads == 7)
        #expect(sample.descriptors == 9)
    }

    @Test(arguments: [") R 1 (", "a b", "", "((((", ")", "1 (x) S 2", "\u{7F}\n\t"])
    func `a hostile name changes no figure`(name: String) throws {
        let bench = try Bench { process(4242, comm: name, rss: .mebi(64), threads: 3) }
        let summary = bench.round()
        #expect(summary.errors.total == 0)
        #expect(bench.samples[4242]?.rss == .mebi(64))
        #expect(bench.samples[4242]?.threads == 3)
    }

    @Test(arguments: [FakeProcess.File.stat, .statm])
    func `a process that vanishes while it is read is no error`(last: FakeProcess.File) throws {
        let bench = try Bench {
            process(7, vanishesAfter: last)
            process(8)
        }
        let summary = bench.round()
        #expect(summary.errors.total == 0)
        #expect(bench.samples[8] != nil)
    }

    @Test func `a truncated file is counted and tried again`() throws {
        let bench = try Bench { process(7, truncated: [.statm: 3]) }
        #expect(bench.round().errors[.malformed] == 1)
        #expect(bench.samples.isEmpty)
        bench.proc.set(process(7, rss: .mebi(5)))
        bench.round()
        #expect(bench.samples[7]?.rss == .mebi(5))
    }

    @Test func `a newborn is delivered when it has outlived a round`() throws {
        let bench = try Bench { process(7) }
        bench.round()
        bench.proc.set(process(8, startTime: 6000))
        #expect(bench.round().births == 1)
        #expect(bench.samples[8] == nil)
        bench.round()
        #expect(bench.samples[8] != nil)
        #expect(bench.newSlots == [try bench.slot(8)])
    }

    @Test func `who lives shorter than a round is counted, and takes nobody's slot`() throws {
        let bench = try Bench { process(7) }
        bench.round()
        bench.proc.set(process(8))
        bench.round()
        bench.proc.end(8)
        #expect(bench.round().deaths == 1)
        #expect(bench.sampler.ended.isEmpty)
        #expect(bench.sampler.count == 1)
    }

    @Test func `a dead process leaves at once and its slot answers for one more round`() throws {
        let bench = try Bench {
            process(7, comm: "payments", rss: .mebi(9))
            process(8)
        }
        bench.round()
        let slot = try bench.slot(7)
        #expect(bench.sampler.identity(slot)?.name == "payments")
        bench.proc.end(7)
        bench.round()
        #expect(bench.sampler.ended.map(\.slot) == [slot])
        #expect(bench.sampler.ended.first?.last.rss == .mebi(9))
        #expect(bench.sampler.identity(slot)?.name == "payments")
        #expect(bench.sampler.slot(of: 7) == nil)
        bench.round()
        #expect(bench.sampler.ended.isEmpty)
        #expect(bench.sampler.identity(slot) == nil)
        #expect(bench.sampler.latest(slot) == nil)
    }

    @Test func `a reused pid is a new process`() throws {
        let bench = try Bench { process(7, comm: "old", startTime: 5000) }
        bench.round()
        bench.round()
        let old = try bench.slot(7)
        bench.proc.set(process(7, comm: "new", startTime: 9000) { $0.runTime = 77 })
        var rounds = 0
        while bench.sampler.ended.isEmpty, rounds < 11 {
            bench.round()
            rounds += 1
        }
        #expect(bench.sampler.ended.map(\.key) == [ProcessKey(pid: 7, startTime: 5000)])
        bench.round()
        bench.round()
        let new = try bench.slot(7)
        #expect(bench.samples[7]?.key == ProcessKey(pid: 7, startTime: 9000))
        #expect(bench.sampler.identity(new)?.name == "new")
        #expect(bench.sampler.identity(old)?.key != ProcessKey(pid: 7, startTime: 5000))
    }

    @Test func `a zombie has ended`() throws {
        let bench = try Bench { process(7) }
        bench.round()
        // Whoever ends has run.
        bench.proc.set(
            process(7) {
                $0.state = "Z"
                $0.runTime += 1000
            })
        bench.round()
        #expect(bench.sampler.ended.map(\.key.pid) == [7])
        for _ in 0..<40 { bench.round() }
        #expect(bench.sampler.count == 0, "not taken up again while it waits to be collected")
    }

    @Test func `a first thread that ended before the others is no zombie`() throws {
        let bench = try Bench { process(7, threads: 4) { $0.state = "Z" } }
        bench.round()
        #expect(bench.sampler.count == 1)
    }

    @Test func `a thread's number is no process`() throws {
        let bench = try Bench { process(7) }
        bench.round()
        bench.proc.set(process(8) { $0.isThread = true })
        bench.round()
        bench.round()
        #expect(bench.sampler.slot(of: 8) == nil)
    }

    @Test func `what the counting of pids missed, the sweep finds`() throws {
        let bench = try Bench { process(1000) }
        bench.round()
        bench.proc.set(process(500, startTime: 7000))
        bench.proc.setLastPID(1000)
        bench.round()
        #expect(bench.sampler.slot(of: 500) == nil)
        bench.round(after: .seconds(30))
        #expect(bench.sampler.slot(of: 500) != nil)
    }

    @Test func `pids that wrap around are found`() throws {
        let bench = try Bench { process(32_000) }
        bench.round()
        bench.proc.set(process(400))
        bench.round()
        #expect(bench.sampler.slot(of: 400) != nil)
    }

    @Test func `without loadavg the folder is listed`() throws {
        let bench = try Bench { process(7) }
        bench.proc.remove("loadavg")
        bench.round()
        bench.proc.set(process(8))
        bench.proc.remove("loadavg")
        bench.round()
        #expect(bench.sampler.slot(of: 8) != nil)
    }
}

@Suite("Who is read how often") struct HotAndColdTests {
    /// How many of the next `rounds` deliver a process.
    private func deliveries(_ bench: Bench, _ pid: Int32, rounds: Int, each: (Int) -> Void = { _ in }) -> Int {
        (0..<rounds).reduce(0) { count, index in
            each(index)
            bench.round()
            return count + (bench.samples[pid] == nil ? 0 : 1)
        }
    }

    @Test(arguments: [1, 4]) func `an idle process is read every ten seconds`(threads: Int) throws {
        let bench = try Bench { process(7, threads: threads) }
        for _ in 0..<3 { bench.round() }
        #expect(deliveries(bench, 7, rounds: 100) == 10)
    }

    @Test func `a process that uses CPU is read every second`() throws {
        let bench = try Bench { process(7) }
        for _ in 0..<3 { bench.round() }
        var moving = process(7)
        let count = deliveries(bench, 7, rounds: 60) { _ in
            moving.ticks += 20
            moving.runTime += 200_000_000
            bench.proc.set(moving)
        }
        #expect(count >= 50)
    }

    @Test func `an idle process of one thread costs one read of schedstat`() throws {
        let bench = try Bench { process(7) }
        for _ in 0..<12 { bench.round() }
        let calls = (0..<40).map { _ in bench.round() }.filter { $0.delivered == 1 }.map(\.systemCalls)
        // Three for loadavg, one for the kept schedstat.
        #expect(calls.min() == 4)
    }

    @Test func `memory that grows without CPU time of its own is seen within ten seconds`() throws {
        let bench = try Bench { process(7, threads: 2) }
        for _ in 0..<5 { bench.round() }
        bench.proc.set(process(7, rss: .mebi(90), threads: 2))
        var seen: Bytes?
        for _ in 0..<10 {
            bench.round()
            seen = bench.samples[7]?.rss ?? seen
        }
        #expect(seen == .mebi(90))
    }

    @Test func `a watched process is read every second, however idle`() throws {
        let bench = try Bench { process(7) }
        for _ in 0..<3 { bench.round() }
        bench.sampler.watch(try bench.slot(7))
        #expect(deliveries(bench, 7, rounds: 20) == 20)
        bench.sampler.unwatch(try bench.slot(7))
        #expect(deliveries(bench, 7, rounds: 20) <= 4)
    }

    @Test func `a suspect is read in full every second until its time is over`() throws {
        let bench = try Bench { process(7) { $0.swap = .mebi(3) } }
        for _ in 0..<3 { bench.round() }
        bench.sampler.suspect(try bench.slot(7), until: bench.clock.now + .seconds(5))
        for _ in 0..<4 {
            bench.round()
            let sample = try #require(bench.samples[7])
            #expect(sample.swap == .mebi(3))
            #expect((sample.bytesRead, sample.bytesWritten) == (Bytes(4096), Bytes(8192)))
            #expect(sample.descriptors == 3)
            #expect(sample.runDelay == .microseconds(500))
        }
        #expect(deliveries(bench, 7, rounds: 20) <= 4)
    }

    @Test func `no file is read twice in a sample`() throws {
        let bench = try Bench { process(7, threads: 3) }
        for _ in 0..<3 { bench.round() }
        bench.sampler.watch(try bench.slot(7))
        for _ in 0..<3 { bench.round() }
        // Three for loadavg, one each for the kept stat and statm.
        let calls = (0..<10).map { _ in bench.round().systemCalls }
        #expect(calls.count { $0 == 5 } == 9)
        // And once in ten seconds io, schedstat, and four to list the descriptors.
        #expect(calls.max() == Int64(5 + 3 + 3 + 4))
    }

    @Test(.timeLimit(.minutes(1)))
    func `what stops the target is not opened by any round`() throws {
        let bench = try Bench { process(7, rss: .gibi(2)) }
        // Whoever opened one of these would wait for ever.
        for file in ["maps", "smaps", "smaps_rollup", "cmdline", "environ"] { bench.proc.makeSilent("7/\(file)") }
        for _ in 0..<80 { bench.round() }
        bench.sampler.suspect(try bench.slot(7), until: bench.clock.now + .seconds(30))
        for _ in 0..<40 { bench.round() }
        #expect(bench.sampler.count == 1)
    }

    @Test func `swap of everybody is read only while the host swaps`() throws {
        let bench = try Bench { process(7, threads: 2) { $0.swap = .mebi(5) } }
        func swap() -> Bytes? {
            (0..<75).compactMap { _ in
                bench.round(); return bench.samples[7]?.swap
            }.last
        }
        #expect(swap() == nil)
        bench.sampler.hostSwaps = true
        #expect(swap() == .mebi(5))
    }

    @Test func `hours of suspend are one long round, not a broken clock`() throws {
        let bench = try Bench { process(7) }
        for _ in 0..<3 { bench.round() }
        #expect(bench.round(after: .hours(50)).read == 1)
        #expect((0..<20).reduce(0) { count, _ in count + bench.round().read } <= 4)
    }

    @Test func `kept descriptors leave the process some of its own`() {
        var allowed = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &allowed)
        #expect(UInt64(DescriptorCache.affordable(1 << 40)) + 256 <= max(256, UInt64(allowed.rlim_cur)))
        #expect(DescriptorCache.affordable(10) <= 10)
    }

    @Test func `figures that a round did not read are nil, not old`() throws {
        let bench = try Bench { process(7) }
        for _ in 0..<3 { bench.round() }
        bench.sampler.watch(try bench.slot(7))
        bench.round()
        bench.round()
        #expect(bench.samples[7]?.bytesRead == nil)
        #expect(bench.samples[7]?.swap == nil)
        #expect(bench.sampler.latest(try bench.slot(7))?.descriptors == 3)
    }

    @Test func `idle processes spread over the ten seconds`() throws {
        let bench = try Bench { for pid in 100..<160 { process(Int32(pid)) } }
        for _ in 0..<12 { bench.round() }
        let reads = (0..<20).map { _ in bench.round().read }
        #expect(reads.reduce(0, +) == 120)
        #expect(reads.max()! <= 12)
        #expect(reads.min()! >= 2)
    }

    @Test func `a budget that is met spreads a round over the next ones and forgets nobody`() throws {
        var limits = ProcessLimits()
        limits.visitsPerRound = 20
        let bench = try Bench(limits: limits) { for pid in 100..<160 { process(Int32(pid)) } }
        var seen: Set<Int32> = []
        var most = 0
        for _ in 0..<20 {
            let summary = bench.round()
            most = max(most, summary.read + summary.births)
            seen.formUnion(bench.samples.keys)
        }
        #expect(most <= 20)
        #expect(seen.count == 60)
    }

    @Test func `busy processes beyond the budget do not starve the idle ones`() throws {
        var limits = ProcessLimits()
        limits.visitsPerRound = 20
        let bench = try Bench(limits: limits) { for pid in 100..<150 { process(Int32(pid)) } }
        for _ in 0..<10 { bench.round() }
        for pid in 100..<140 { bench.sampler.watch(try bench.slot(Int32(pid))) }
        var idle: Set<Int32> = []
        for _ in 0..<20 {
            let summary = bench.round()
            #expect(summary.deferred > 0)
            idle.formUnion(bench.samples.keys.filter { $0 >= 140 })
        }
        #expect(idle.count == 10)
    }

    @Test func `kept descriptors stay within their limit, and the busy ones have them`() throws {
        var limits = ProcessLimits()
        limits.descriptors = 20
        let bench = try Bench(limits: limits) { for pid in 100..<150 { process(Int32(pid)) } }
        for _ in 0..<12 { bench.round() }
        #expect(bench.sampler.cachedDescriptors == 20)
        for pid in 130..<140 { bench.sampler.watch(try bench.slot(Int32(pid))) }
        for _ in 0..<10 { bench.round() }
        #expect(bench.sampler.cachedDescriptors <= 20)
        let kept = (130..<140).filter { pid in
            bench.sampler.table.rows[bench.sampler.slot(of: Int32(pid))!].second >= 0
        }
        #expect(kept.count == 10)
    }

    @Test func `processes over the limit are refused, counted and taken when there is room`() throws {
        var limits = ProcessLimits()
        limits.processes = 3
        let bench = try Bench(limits: limits) { for pid in 10..<15 { process(Int32(pid)) } }
        let summary = bench.round()
        #expect((summary.tracked, summary.refused) == (3, 2))
        #expect(bench.sampler.errors[.overLimit] == 2)
        let first = bench.sampler.ended.count
        bench.proc.end(10)
        for _ in 0..<45 { bench.round() }
        #expect(first == 0)
        #expect(bench.sampler.count == 3)
        #expect(bench.sampler.slot(of: 10) == nil)
    }

    @Test func `slots stay dense under births and deaths`() throws {
        let bench = try Bench { process(1) }
        for index in 0..<60 {
            bench.proc.set(process(Int32(100 + index), startTime: UInt64(6000 + index)))
            bench.round()
            if index >= 5 { bench.proc.end(Int32(100 + index - 5)) }
        }
        #expect(bench.sampler.slotCapacity < 25)
    }
}
