import NightjarModel
import NightjarTestKit
import Testing

@testable import NightjarSources

/// Bytes that were right once: cut, overwritten, doubled, or filled with what parsers trip over.
private func mutated(_ text: String, _ random: inout SplitMix) -> [UInt8] {
    var bytes = Array(text.utf8)
    let spice: [[UInt8]] = [
        [], [0], [0xFF, 0xFE], Array("-".utf8), Array(")".utf8), Array("(".utf8), Array("\n".utf8), Array(" ".utf8),
        Array("99999999999999999999999".utf8), Array("18446744073709551615".utf8), Array(":".utf8),
        [UInt8](repeating: 32, count: 300), Array("kB".utf8), Array("..".utf8), Array("/".utf8),
    ]
    for _ in 0...random.below(4) {
        let position = random.below(bytes.count + 1)
        switch random.below(4) {
        case 0: bytes = Array(bytes[..<position])
        case 1 where position < bytes.count: bytes[position] = UInt8(truncatingIfNeeded: random.next())
        case 2: bytes.insert(contentsOf: spice[random.below(spice.count)], at: position)
        default: bytes.insert(contentsOf: bytes[..<min(position, 64)], at: 0)
        }
    }
    return bytes
}

@Suite("Bytes that nobody promised") struct FuzzTests {
    private let model = process(4242, comm: ") R 1 (", rss: .mebi(64))
    private func text(_ file: FakeProcess.File) -> String {
        let proc = FakeProc { model }
        let directory = try! Directory(proc.root, capacity: 4096)
        let count = directory.readWhole("4242/\(file.rawValue)")
        return String(decoding: directory.bytes(count), as: UTF8.self)
    }

    @Test func `no bytes crash a parser of a process's files`() {
        var random = SplitMix(seed: 1)
        let texts = FakeProcess.File.allCases.map { text($0) }
        var understood = 0
        for _ in 0..<2000 {
            for text in texts {
                let bytes = mutated(text, &random)
                let span = bytes.span
                if let stat = ProcStat(span) {
                    understood += 1
                    #expect(stat.threads >= 0)
                    #expect(stat.name.bytes.count <= 16)
                }
                if let statm = ProcStatm(span) { #expect(statm.anonymousPages <= statm.residentPages) }
                _ = ProcSchedstat(span)
                _ = ProcIO(span)
                _ = MemoryRollup(span)
                _ = CgroupMembership(span).place
                _ = printable(bytes)
            }
        }
        #expect(understood > 100, "the mutations must not all be refused")
    }

    @Test func `no bytes crash a parser of the host's files`() {
        var random = SplitMix(seed: 2)
        let texts = [
            "some avg10=0.12 avg60=0.00 avg300=0.00 total=0\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
            "0-3,5,7-9\n", "0.13 0.19 0.12 1/94 12866\n", "MemTotal:   1 kB\nMemFree:\t 2 kB\noom_kill 3\n",
        ]
        for _ in 0..<2000 {
            for text in texts {
                let bytes = mutated(text, &random)
                let span = bytes.span
                if let pressure = pressure(in: span) { #expect((0...1).contains(pressure.some)) }
                if let count = Processors.count(of: span) { #expect(count > 0) }
                _ = value(of: "MemTotal", in: span)
                var position = 0
                _ = decimal(span, &position)
                #expect(position <= span.count)
            }
        }
    }

    @Test func `no tree crashes a sampler, and what it cannot read it counts`() throws {
        var random = SplitMix(seed: 3)
        let bench = try Bench { for pid in 1..<8 { process(Int32(pid)) } }
        for _ in 0..<250 {
            let pid = Int32(1 + random.below(8))
            let file = FakeProcess.File.allCases[random.below(FakeProcess.File.allCases.count)]
            switch random.below(6) {
            case 0: bench.proc.set(process(pid, startTime: UInt64(random.below(3))))
            case 1: bench.proc.end(pid)
            default:
                bench.proc.write(
                    "\(pid)/\(file.rawValue)", String(decoding: mutated(text(file), &random), as: UTF8.self))
            }
            bench.proc.setLastPID(Int32(random.below(12)))
            bench.round(after: .seconds(Double(random.below(12))))
            for slot in 0..<bench.sampler.slotCapacity {
                _ = bench.sampler.identity(slot)
                if random.below(9) == 0 { bench.sampler.watch(slot) }
                if random.below(9) == 0 { bench.sampler.suspect(slot, until: bench.clock.now + .seconds(3)) }
                _ = try? bench.sampler.rollup(slot, asked: true)
            }
        }
        #expect(bench.sampler.errors.total > 0)
        #expect(bench.sampler.count <= 12)
    }

    @Test func `random paths name a unit or none`() {
        var random = SplitMix(seed: 4)
        let parts = [
            "system.slice", "a.service", "user@1000.service", "docker-\(String(repeating: "a", count: 64)).scope", "..",
            "pod", "kubepods-pod.slice", "pod-.slice", "user-.slice", "user-99999999999.slice", "_", "-", ".scope",
            ".service", "libpod-.scope", "payload", "\u{1F426}",
        ]
        for _ in 0..<5000 {
            let path = (0..<random.below(6)).map { _ in "/" + parts[random.below(parts.count)] }.joined()
            let place = UnitPlace(cgroup: path)
            #expect((place.kind == .none) == (place.name == nil))
        }
    }
}
