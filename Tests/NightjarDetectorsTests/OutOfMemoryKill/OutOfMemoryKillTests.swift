import NightjarDetectors
import NightjarModel
import NightjarTestKit
import Testing

/// A host with cgroups and processes, as a test tells it: second by second.
private struct Host {
    var detector = OutOfMemoryKill()
    var settings = OutOfMemoryKill.Settings()
    var time = 0.0
    var kills: Int64? = 0
    var available = Bytes.gibi(4)
    private(set) var told: [(at: Double, subject: Subject, answer: Answer)] = []

    mutating func cgroup(_ unit: String, kills: Int64?, limit: Bytes? = .mebi(512), current: Bytes = .mebi(500)) {
        detector.observe(
            CgroupSample(
                time: Moment(seconds: time), path: "/system.slice/\(unit)", unit: unit, memoryLimit: limit,
                limitedBy: limit.map { _ in unit }, memoryCurrent: current, oomKills: kills))
    }

    mutating func ends(_ name: String, unit: String?, rss: Bytes, swap: Bytes? = nil, pid: Int32 = 77) {
        let key = ProcessKey(pid: pid, startTime: 5)
        let identity = ProcessIdentity(
            key: key, name: name, unit: unit, cgroup: unit.map { "/system.slice/\($0)" }, startedAt: .init(seconds: 0))
        let last = ProcessSample(key: key, time: .init(seconds: time - 1), rss: rss, anonymous: rss, swap: swap)
        detector.vanished(VanishedProcess(identity: identity, last: last, noticedAt: .init(seconds: time)))
    }

    /// One round: the host is read, everything is decided.
    mutating func round(seconds: Double = 1) {
        detector.observe(
            HostSample(
                time: .init(seconds: time), memoryTotal: .gibi(8), memoryAvailable: available, oomKills: kills))
        detector.decide(at: .init(seconds: time), settings) { [time] subject, answer in
            told.append((time, subject, answer))
        }
        time += seconds
    }

    var findings: [Finding] {
        told.compactMap { if case .found(let finding) = $0.answer { finding } else { nil } }
    }
}

@Suite("OutOfMemoryKill") struct OutOfMemoryKillTests {
    @Test func `a unit that met its limit is named with the process and its last size`() throws {
        var host = Host()
        host.cgroup("checkout.service", kills: 0)
        host.round()
        host.cgroup("checkout.service", kills: 1)
        host.kills = 1
        host.ends("checkout", unit: "checkout.service", rss: .mebi(505))
        host.ends("sh", unit: "checkout.service", rss: .mebi(2), pid: 78)
        host.round()
        let finding = try #require(host.findings.first)
        #expect(finding.subject.identity == "process:checkout.service/checkout")
        #expect(finding.verdict == "killed at its limit")
        #expect(finding.severity == .warning)
        #expect(
            finding.sentence
                == "killed by the kernel for want of memory, last seen with 505 MiB, at the limit of checkout.service, 512 MiB"
        )
        #expect(finding.evidenceJSON.text.contains("\"size_bytes\":529530880"))
    }

    @Test func `swap counts as the process's size`() throws {
        var host = Host()
        host.cgroup("a.service", kills: 0)
        host.round()
        host.cgroup("a.service", kills: 1)
        host.ends("small", unit: "a.service", rss: .mebi(300), pid: 1)
        host.ends("swapped", unit: "a.service", rss: .mebi(100), swap: .mebi(400), pid: 2)
        host.round()
        #expect(host.findings.first?.subject.name == "swapped")
    }

    @Test func `a victim that is noticed ten seconds later is still the victim`() {
        var host = Host()
        host.cgroup("checkout.service", kills: 0)
        host.round()
        host.cgroup("checkout.service", kills: 1)
        host.kills = 1
        for _ in 0..<10 { host.round() }
        #expect(host.told.isEmpty)
        host.ends("checkout", unit: "checkout.service", rss: .mebi(505))
        host.round()
        #expect(host.findings.map(\.subject.name) == ["checkout"])
    }

    @Test func `a death that was noticed before the counter was read counts as well`() {
        var host = Host()
        host.cgroup("checkout.service", kills: 0)
        host.round()
        host.ends("checkout", unit: "checkout.service", rss: .mebi(505))
        host.round()
        host.cgroup("checkout.service", kills: 1)
        host.round()
        #expect(host.findings.map(\.subject.name) == ["checkout"])
    }

    @Test func `a cgroup that is gone with its counter is explained by the host's`() throws {
        var host = Host()
        host.cgroup("checkout.service", kills: 0)
        host.round()
        host.kills = 1
        host.ends("checkout", unit: "checkout.service", rss: .mebi(470))
        for _ in 0..<8 { host.round() }
        let finding = try #require(host.findings.first)
        #expect(finding.subject.unit == "checkout.service")
        #expect(finding.verdict == "killed at its limit")
    }

    @Test func `a host without memory is critical and names the largest that vanished`() throws {
        var host = Host()
        host.round()
        host.available = .mebi(60)
        host.kills = 1
        host.ends("postgres", unit: "postgresql.service", rss: .gibi(3))
        host.ends("cron", unit: "cron.service", rss: .mebi(4), pid: 78)
        for _ in 0..<8 { host.round() }
        let finding = try #require(host.findings.first)
        #expect(finding.subject.name == "postgres")
        #expect(finding.severity == .critical)
        #expect(finding.verdict == "killed for the host")
        #expect(finding.sentence.hasSuffix("last seen with 3.0 GiB, the host had 60 MiB left"))
    }

    @Test func `a kill that nobody here died of blames nobody`() throws {
        var host = Host()
        host.round()
        host.kills = 1
        host.ends("batch", unit: "batch.service", rss: .gibi(1))
        for _ in 0..<25 { host.round() }
        let finding = try #require(host.findings.first)
        #expect(finding.subject == .host)
        #expect(finding.verdict == "killed, not seen")
        #expect(finding.severity == .notice)
    }

    @Test func `a large batch that ends by itself is no kill`() {
        var host = Host()
        host.cgroup("batch.service", kills: 0)
        host.round()
        host.ends("batch", unit: "batch.service", rss: .mebi(510))
        for _ in 0..<40 { host.round() }
        #expect(host.told.isEmpty)
    }

    @Test func `what was counted before the first reading is not told`() {
        var host = Host(kills: 17)
        host.cgroup("checkout.service", kills: 5)
        for _ in 0..<30 { host.round() }
        #expect(host.told.isEmpty)
    }

    @Test func `a counter that starts again is a new cgroup, not a kill`() {
        var host = Host(kills: 3)
        host.cgroup("checkout.service", kills: 3)
        host.round()
        host.cgroup("checkout.service", kills: 0)
        for _ in 0..<30 { host.round() }
        #expect(host.told.isEmpty)
    }

    @Test func `one kill is counted once though host, slice and unit all counted it`() {
        var host = Host()
        for round in 0..<40 {
            let kills: Int64 = round > 0 ? 1 : 0
            host.detector.observe(
                CgroupSample(time: .init(seconds: host.time), path: "/system.slice", unit: nil, oomKills: kills))
            host.cgroup("checkout.service", kills: kills)
            // The host's counter is read before the unit's in one round, after it in the next.
            host.kills = round > 1 ? 1 : 0
            if round == 1 { host.ends("checkout", unit: "checkout.service", rss: .mebi(505)) }
            host.round()
        }
        #expect(host.findings.count == 1)
    }

    @Test func `three kills within the hour are critical`() throws {
        var host = Host()
        host.cgroup("checkout.service", kills: 0)
        host.round()
        for kill in 1...3 {
            host.cgroup("checkout.service", kills: Int64(kill))
            host.kills = Int64(kill)
            host.ends("checkout", unit: "checkout.service", rss: .mebi(505), pid: Int32(100 + kill))
            host.round(seconds: 600)
        }
        #expect(host.findings.last?.severity == .critical)
        #expect(host.findings.last?.sentence.hasSuffix("; 3 times in 20 min") == true)
    }

    @Test func `it is confirmed each minute and over an hour after the last kill`() {
        var host = Host()
        host.cgroup("checkout.service", kills: 0)
        host.round()
        host.cgroup("checkout.service", kills: 1)
        host.ends("checkout", unit: "checkout.service", rss: .mebi(505))
        for _ in 0..<400 { host.round(seconds: 10) }
        #expect(host.told.last?.answer == .quiet)
        #expect(host.told.last.map { (3600...3620).contains($0.at) } == true)
        #expect((59...61).contains(host.findings.count))
    }

    @Test func `ten thousand cgroups and deaths are held in bounds`() {
        var host = Host()
        for index in 0..<10_000 { host.cgroup("u\(index).service", kills: 0) }
        host.round()
        for index in 0..<10_000 {
            host.cgroup("u\(index).service", kills: 1)
            host.ends("p", unit: "u\(index).service", rss: .mebi(10), pid: Int32(index + 1))
        }
        for _ in 0..<30 { host.round() }
        #expect(host.findings.count <= 64)
        #expect(host.detector.overlooked > 0)
    }

    @Test func `a kill while the agent was away is told of after the restart`() throws {
        var host = Host()
        host.cgroup("checkout.service", kills: 1)
        host.kills = 1
        host.round()
        var bytes: [UInt8] = []
        host.detector.encode(into: &bytes)
        var reader = ByteReader(bytes)
        host.detector = try #require(OutOfMemoryKill(decoding: &reader))
        #expect(reader.isAtEnd)
        host.cgroup("checkout.service", kills: 2)
        host.kills = 2
        for _ in 0..<20 { host.round() }
        #expect(host.findings.map(\.subject.identity) == ["unit:checkout.service"])
    }

    @Test func `an open alert survives a restart and ends in its time`() throws {
        var host = Host()
        host.cgroup("checkout.service", kills: 0)
        host.round()
        host.cgroup("checkout.service", kills: 1)
        host.kills = 1
        host.ends("checkout", unit: "checkout.service", rss: .mebi(505))
        host.round()
        var bytes: [UInt8] = []
        host.detector.encode(into: &bytes)
        var reader = ByteReader(bytes)
        host.detector = try #require(OutOfMemoryKill(decoding: &reader))
        for _ in 0..<400 { host.round(seconds: 10) }
        #expect(host.findings.last == host.findings.first)
        #expect(host.told.last?.answer == .quiet)
    }

    @Test func `damaged state is refused or harmless`() {
        var host = Host()
        host.cgroup("checkout.service", kills: 0)
        host.round()
        host.cgroup("checkout.service", kills: 1)
        host.ends("checkout", unit: "checkout.service", rss: .mebi(505))
        host.round()
        var whole: [UInt8] = []
        host.detector.encode(into: &whole)
        var random = SplitMix(seed: 8)
        for round in 0..<4000 {
            var bytes = round < whole.count ? Array(whole.prefix(round)) : whole
            if !bytes.isEmpty { bytes[random.below(bytes.count)] ^= UInt8(1 << random.below(8)) }
            var reader = ByteReader(bytes)
            guard let read = OutOfMemoryKill(decoding: &reader) else { continue }
            var other = Host(detector: read)
            other.cgroup("checkout.service", kills: 9)
            other.round()
        }
    }
}
