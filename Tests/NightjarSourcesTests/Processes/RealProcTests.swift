import Glibc
import NightjarModel
import NightjarTestKit
import Testing

@testable import NightjarSources

/// A sampler on the machine's own /proc, with a clock that the test moves.
private final class RealBench {
    let sampler: ProcessSampler
    var clock = ManualClock()
    private(set) var samples: [Int32: ProcessSample] = [:]

    init() throws { sampler = try ProcessSampler() }

    @discardableResult
    func round() -> RoundSummary {
        samples = [:]
        return sampler.round(at: clock.tick(.seconds(11))) { sample, _, _ in samples[sample.key.pid] = sample }
    }

    /// Rounds until `isDone`; a child needs a moment until the kernel shows what it did.
    func rounds(until isDone: () -> Bool) -> Bool {
        for _ in 0..<200 {
            round()
            if isDone() { return true }
            usleep(10_000)
        }
        return false
    }
}

@Suite("Processes of this machine") struct RealProcTests {
    @Test func `pid 1 and ourselves are sampled`() throws {
        let bench = try RealBench()
        bench.round()
        #expect(bench.samples[1] != nil)
        let own = try #require(bench.samples[getpid()])
        #expect(own.rss > .mebi(1))
        #expect(own.anonymous <= own.rss)
        #expect(own.threads! >= 1)
        #expect(own.descriptors! > 2)
    }

    @Test func `units agree with getrusage`() throws {
        let child = try Child(memory: .mebi(48), burn: .milliseconds(300))
        let bench = try RealBench()
        bench.round()
        let sample = try #require(bench.samples[child.pid])
        // Ticks of 10 ms, for user and system time.
        #expect(abs((sample.cpuTime! - child.cpuTime).inSeconds) <= 0.03)
        #expect(sample.rss > .mebi(48))
        #expect(abs(sample.rss.count - child.largestResident.count) < Bytes.mebi(1).count)
        #expect(sample.anonymous > .mebi(48))
    }

    @Test func `the CPU time of threads counts, also of those that have ended`() throws {
        let child = try Child(threads: 2, burnInThread: .milliseconds(200))
        let bench = try RealBench()
        bench.round()
        let sample = try #require(bench.samples[child.pid])
        #expect(sample.threads == 3)
        #expect(sample.cpuTime! >= .milliseconds(180))
    }

    @Test func `exec renames a process`() throws {
        let child = try Child(executes: ("/bin/sleep", "1000"))
        let bench = try RealBench()
        bench.round()
        let slot = try #require(bench.sampler.slot(of: child.pid))
        let before = try #require(bench.sampler.identity(slot))
        child.proceed()
        #expect(bench.rounds { bench.sampler.identity(slot)?.commandLine == "/bin/sleep 1000" })
        #expect(bench.sampler.identity(slot)?.name == "sleep")
        #expect(before.name != "sleep")
        #expect(bench.sampler.identity(slot)?.key == before.key)
    }

    @Test func `a process that is killed leaves`() throws {
        let child = try Child()
        let bench = try RealBench()
        bench.round()
        let slot = try #require(bench.sampler.slot(of: child.pid))
        child.end()
        #expect(bench.rounds { bench.sampler.ended.contains { $0.slot == slot && $0.key.pid == child.pid } })
        #expect(bench.sampler.slot(of: child.pid) == nil)
    }

    @Test func `a zombie has left`() throws {
        let child = try Child(endsAtOnce: true)
        let bench = try RealBench()
        bench.round()
        #expect(bench.rounds { bench.sampler.slot(of: child.pid) == nil })
    }

    @Test func `a million descriptors are counted by one stat`() throws {
        // As many as this machine lets a child have.
        let child = [1_000_000, 100_000, 15_000, 500].lazy.compactMap { try? Child(descriptors: $0) }.first
        let pid = try #require(child?.pid)
        let bench = try RealBench()
        guard bench.sampler.support.descriptorsBySize else { return }
        bench.round()
        let before = bench.sampler.directory.systemCalls
        #expect(bench.sampler.directory.size("\(pid)/fd") >= 500)
        #expect(bench.sampler.directory.systemCalls - before == 1)
        #expect(bench.samples[pid]!.descriptors! >= 500)
        let limit = bench.sampler.identity(bench.sampler.slot(of: pid)!)
        #expect(limit != nil)
        #expect(bench.sampler.latest(bench.sampler.slot(of: pid)!)!.descriptorLimit! >= 500)
    }

    @Test func `a process with thousands of descriptors is counted by listing, up to a bound`() throws {
        let bench = try Bench {
            process(7, descriptors: 40)
        }
        bench.round()
        #expect(bench.samples[7]?.descriptors == 40)
        var limits = ProcessLimits()
        limits.descriptorsListed = 20
        let bounded = try Bench(limits: limits) { process(7, descriptors: 40) }
        bounded.round()
        #expect(bounded.samples[7]?.descriptors == nil)
        #expect(bounded.sampler.errors[.tooLarge] == 1)
    }

    @Test(.enabled(if: geteuid() == 0, "needs root to become somebody else"))
    func `without capabilities it goes on and says what it cannot see`() throws {
        // Dumpable processes of root are strangers to the other user.
        let child = try Child(burn: .milliseconds(20))
        let answer = asOtherUser { () -> (ProcessSample?, [ProcLimitation], ProcessIdentity?)? in
            guard let sampler = try? ProcessSampler() else { return nil }
            var clock = ManualClock()
            var last: ProcessSample?
            for _ in 0..<4 {
                _ = sampler.round(at: clock.tick()) { sample, slot, _ in
                    guard sample.key.pid == child.pid else { return }
                    last = sample
                    sampler.suspect(slot, until: clock.now + .seconds(60))
                }
            }
            let slot = sampler.slot(of: child.pid)
            return (last, sampler.limitations, slot.flatMap { sampler.identity($0) })
        }
        let (sample, limitations, identity) = try #require(answer ?? nil)
        #expect(sample?.rss ?? .zero > .zero)
        #expect(sample?.threads == 1)
        #expect(sample?.bytesRead == nil)
        #expect(identity?.uid == 0)
        let refused = try #require(limitations.first { $0.kind == .io })
        #expect(
            refused.message.hasSuffix("Permission denied, going on without the I/O figures of other users' processes"))
        #expect(limitations.count { $0.kind == .io } == 1)
    }

    @Test func `a storm of forks leaves nothing behind`() throws {
        let bench = try RealBench()
        bench.round()
        for _ in 0..<40 {
            let brood = try (0..<5).map { _ in try Child() }
            bench.round()
            for child in brood { _ = bench.sampler.slot(of: child.pid).map { bench.sampler.identity($0) } }
            for child in brood { child.end() }
        }
        #expect(bench.rounds { bench.sampler.count < 150 + bench.sampler.slotCapacity / 2 })
        #expect(bench.sampler.slotCapacity < bench.sampler.count + 100)
        #expect(bench.sampler.cachedDescriptors <= bench.sampler.limits.descriptors)
        #expect(bench.sampler.places.count < 50)
    }
}

@Suite("What this kernel can do is found by trying") struct KernelSupportTests {
    private func support(_ files: [(String, String)]) throws -> KernelSupport {
        let proc = FakeProc()
        for (name, text) in files { proc.write("self/\(name)", text) }
        return KernelSupport(try Directory(proc.root, capacity: 4096))
    }

    @Test func `statm that agrees with smaps_rollup is exact`() throws {
        let files = [("statm", "100 50 10 1 0 1 0\n"), ("smaps_rollup", "x\nRss:   200 kB\nPss: 1 kB\n")]
        #expect(try support(files).statmVerdict == .exact)
    }

    @Test func `statm that does not is inexact, and by how much is said`() throws {
        let files = [("statm", "1000 500 10 1 0 1 0\n"), ("smaps_rollup", "x\nRss:   3000 kB\nPss: 1 kB\n")]
        #expect(try support(files).statmVerdict == .inexact(by: .kibi(500 * 4 * (pageSize / 4096) - 3000).magnitude))
    }

    @Test func `where it cannot be compared nothing is claimed`() throws {
        #expect(try support([]).statmVerdict == .unknown)
        #expect(try support([("statm", "1 1 1")]).statmVerdict == .unknown)
    }

    @Test func `a /proc that shows us and not the first process hides others`() throws {
        let stat = "7 (x) S 1 7 7 0 -1 0 0 0 0 0 1 0 0 0 20 0 1 0 5 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 17 0 0\n"
        let hidden = FakeProc { process(7) }
        hidden.write("self/stat", stat)
        #expect(try ProcessSampler(root: hidden.root).limitations.map(\.kind) == [.processes])
        let open = FakeProc { process(1) }
        open.write("self/stat", stat)
        #expect(try ProcessSampler(root: open.root).limitations.isEmpty)
    }

    @Test func `a size of the descriptor folder that is no count is not taken for one`() throws {
        #expect(try support([("fd/0", ""), ("fd/1", "")]).descriptorsBySize == false)
    }
}

extension Bytes {
    fileprivate var magnitude: Bytes { Bytes(abs(count)) }
}
