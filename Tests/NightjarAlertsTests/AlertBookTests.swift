import NightjarAlerts
import NightjarModel
import Testing

@Suite("An alert's life") struct AlertBookTests {
    @Test func `a finding that lasts opens once, and its end is told once`() {
        var night = Night(hold: .minutes(1))
        night.pass(.minutes(10)) { $0.found() }
        night.pass(.minutes(10)) { $0.quiet() }
        #expect(night.told == ["open HeapGrowth checkout", "resolve HeapGrowth checkout"])
        #expect(night.book.open.isEmpty)
    }

    @Test func `a finding shorter than its hold is never told`() {
        var night = Night(hold: .minutes(1))
        night.pass(.seconds(50)) { $0.found() }
        night.pass(.minutes(10)) { $0.quiet() }
        #expect(night.told.isEmpty)
    }

    @Test func `one that is pending says so, and since when`() throws {
        var night = Night(hold: .minutes(1))
        night.found()
        let alert = try #require(night.book.open.first)
        #expect(alert.state == .pending)
        #expect(alert.startedAt == night.now)
        #expect(alert.firedAt == nil)
    }

    @Test func `a detector that answers rarely fires by time alone`() {
        var night = Night(hold: .minutes(1))
        night.found()
        night.pass(.minutes(2))
        #expect(night.told == ["open HeapGrowth checkout"])
    }

    @Test func `quiet for less than the clearing span does not end it`() {
        var night = Night()
        night.found()
        night.tick()
        for _ in 0..<20 {
            night.pass(.seconds(100)) { $0.quiet() }
            night.found()
        }
        #expect(night.told == ["open HeapGrowth checkout"])
    }

    @Test func `its id is short, and the same on every host`() {
        var night = Night()
        night.found()
        #expect(night.book.open.first?.id == "a709bf23-1")
        #expect(night.book.alert(id: "a709bf23") == night.book.open.first)
    }

    @Test func `worse is told again, better is not`() {
        var night = Night()
        night.found(severity: .notice)
        night.tick()
        for severity: Severity in [.warning, .notice, .warning, .critical, .info] {
            night.found(severity: severity)
            night.tick()
        }
        #expect(
            night.told == [
                "open HeapGrowth checkout", "update HeapGrowth checkout warning",
                "update HeapGrowth checkout critical",
            ])
        #expect(night.book.open.first?.worst == .critical)
        #expect(night.book.open.first?.finding.severity == .info)
    }

    @Test func `another verdict is told once, however often it changes back`() {
        var night = Night()
        for _ in 0..<20 {
            night.found(verdict: "growing")
            night.tick()
            night.found(verdict: "leak")
            night.tick()
        }
        #expect(night.told == ["open HeapGrowth checkout", "update HeapGrowth checkout warning"])
    }

    @Test func `another cause of the same subject is another alert`() {
        var night = Night()
        night.found("LogFlood", cause: "timeout after <n> ms")
        night.found("LogFlood", cause: "retrying <id>")
        night.tick()
        #expect(night.told == ["open LogFlood checkout", "open LogFlood checkout"])
        night.pass(.minutes(5)) { $0.found("LogFlood", cause: "retrying <id>") }
        #expect(night.book.open.map(\.finding.cause) == ["retrying <id>"])
    }

    @Test func `an alert of which nothing is heard any more ends after the grace`() {
        var night = Night()
        night.found()
        night.pass(.minutes(14))
        #expect(night.told == ["open HeapGrowth checkout"])
        night.pass(.minutes(2))
        #expect(night.told.last == "resolve HeapGrowth checkout")
    }

    @Test func `too early is no quiet`() {
        var night = Night()
        night.found()
        night.pass(.hours(1)) { $0.tooEarly() }
        #expect(night.told == ["open HeapGrowth checkout"])
    }

    @Test func `a full book takes the more urgent finding and counts what it lets go`() {
        var limits = AlertBook.Limits()
        limits.alerts = 4
        var night = Night(hold: .minutes(1), limits: limits)
        for index in 0..<4 { night.found(unit: "u\(index)", severity: .notice) }
        night.found(unit: "u9", severity: .notice)
        #expect(night.book.counters.dropped == 1)
        night.found(unit: "u8", severity: .critical)
        #expect(night.book.counters.dropped == 2)
        #expect(night.book.open.count == 4)
        #expect(night.book.open.first?.finding.subject.unit == "u8")
        #expect(!night.book.open.contains { $0.finding.subject.unit == "u3" })
    }

    @Test func `a full book never lets go of what was told`() {
        var limits = AlertBook.Limits()
        limits.alerts = 4
        var night = Night(limits: limits)
        for index in 0..<40 {
            night.found(unit: "u\(index)", severity: index < 4 ? .notice : .critical)
        }
        night.tick()
        #expect(night.told.count == 4)
        #expect(night.book.counters.dropped == 36)
        night.pass(.hours(1))
        #expect(night.told.count { $0.hasPrefix("resolve") } == 4)
    }

    @Test func `what is kept is what changed, and newer figures every five minutes`() {
        var night = Night()
        night.found()
        night.tick()
        let first = night.book.takeChanged()
        #expect(first.map(\.state) == [.firing])
        var kept = 0
        night.pass(.minutes(20)) {
            $0.found()
            kept += $0.book.takeChanged().count
        }
        #expect(kept == 4)
        night.found(severity: .critical)
        let worse = night.book.takeChanged()
        #expect(worse.map(\.worst) == [.critical])
        night.pass(.minutes(3)) { $0.quiet() }
        let last = (1...2).map { _ in night.book.takeChanged().map(\.state) }
        #expect(last == [[.resolved], []])
    }

    @Test func `a finding that brings a novel is cut to a screen`() throws {
        var night = Night()
        let long = String(repeating: "é", count: 10_000)
        let finding = Finding(
            detector: "HeapGrowth", subject: .host, cause: long, severity: .warning, verdict: "leak",
            sentence: long,
            details: Array(repeating: long, count: 1000),
            evidence: Array(repeating: EvidenceField("a", .count(1)), count: 1000))
        _ = night.book.receive(.found(finding), from: "HeapGrowth", about: .host, at: night.now)
        let alert = try #require(night.book.open.first)
        var writer = StateWriter()
        alert.encode(into: &writer)
        #expect(writer.bytes.count < 24 << 10)
    }
}

@Suite("Whom an alert speaks of") struct WitnessTests {
    @Test func `one worker's quiet does not end what another confirms`() {
        var night = Night()
        night.pass(.hours(1)) {
            $0.found(pid: 1)
            $0.quiet(pid: 2)
        }
        #expect(night.told == ["open HeapGrowth checkout"])
    }

    @Test func `the figures of one worker stay in the lead, a worse one takes it`() {
        var night = Night()
        night.found(pid: 1, level: .mebi(1))
        night.found(pid: 2, level: .mebi(2))
        #expect(night.book.open.first?.finding.subject.process?.pid == 1)
        night.found(pid: 2, severity: .critical, level: .mebi(2))
        #expect(night.book.open.first?.finding.subject.process?.pid == 2)
    }

    @Test func `a restarted service continues its alert`() {
        var night = Night()
        night.found(pid: 1)
        night.tick()
        night.ended(pid: 1)
        night.pass(.hours(2)) { $0.tooEarly(pid: 2) }
        night.found(pid: 2)
        night.tick()
        #expect(night.told == ["open HeapGrowth checkout"])
        #expect(night.book.open.first?.id.hasSuffix("-1") == true)
        #expect(night.book.open.first?.finding.subject.process?.pid == 2)
    }

    @Test func `a next life that never gets old enough for a verdict ends it after six hours`() {
        var night = Night()
        night.found(pid: 1)
        night.tick()
        night.ended(pid: 1)
        night.pass(.hours(5.5)) { $0.tooEarly(pid: 2) }
        #expect(night.told == ["open HeapGrowth checkout"])
        night.pass(.hours(1)) { $0.tooEarly(pid: 2) }
        #expect(night.told == ["open HeapGrowth checkout", "resolve HeapGrowth checkout"])
    }

    @Test func `it says of whom it awaits an answer`() {
        var night = Night()
        night.found(pid: 1)
        night.tick()
        #expect(night.book.awaited.isEmpty)
        night.ended(pid: 1)
        #expect(night.book.awaited.map(\.detector) == ["HeapGrowth"])
        #expect(night.book.awaited.first?.subject == Subject(.process, name: "checkout", unit: "checkout.service"))
    }

    @Test func `a restarted service that is well ends it`() {
        var night = Night()
        night.found(pid: 1)
        night.tick()
        night.ended(pid: 1)
        night.pass(.minutes(30)) { $0.tooEarly(pid: 2) }
        night.pass(.minutes(20)) { $0.quiet(pid: 2) }
        #expect(night.told == ["open HeapGrowth checkout", "resolve HeapGrowth checkout"])
    }

    @Test func `lives too short for a verdict do not hold it open for ever`() {
        var night = Night()
        night.found(pid: 1)
        night.tick()
        night.ended(pid: 1)
        night.pass(.hours(7)) {
            $0.tooEarly(pid: 2)
            $0.quiet(pid: 3)
        }
        #expect(night.told == ["open HeapGrowth checkout", "resolve HeapGrowth checkout"])
    }

    @Test func `a service that is stopped for good ends it after the grace`() {
        var night = Night()
        night.found(pid: 1)
        night.tick()
        night.ended(pid: 1)
        night.pass(.minutes(16))
        #expect(night.told == ["open HeapGrowth checkout", "resolve HeapGrowth checkout"])
    }

    @Test func `a pool that names another culprit ends the first one's alert`() {
        var night = Night()
        let pool = Subject(.unit, name: "app.slice")
        night.found("DiskFill", "loader", pid: 1, about: pool)
        night.tick()
        night.pass(.minutes(5)) { $0.found("DiskFill", "dump", pid: 2, about: pool) }
        #expect(
            night.told == ["open DiskFill loader", "open DiskFill dump", "resolve DiskFill loader"])
        night.pass(.minutes(5)) { $0.quiet("DiskFill", about: pool) }
        #expect(night.told.last == "resolve DiskFill dump")
    }

    @Test func `two things that one detector finds of one subject in each round are two alerts, beside its quiet too`()
    {
        var night = Night(hold: .minutes(1))
        let mount = Subject(.mount, name: "/data")
        night.pass(.minutes(20)) {
            $0.found("DiskFill", "loader", pid: 1, cause: "fills", about: mount)
            $0.found("DiskFill", "loader", pid: 1, cause: "does not answer", about: mount)
        }
        #expect(night.told == ["open DiskFill loader", "open DiskFill loader"])
        night.pass(.minutes(20)) {
            $0.quiet("DiskFill", about: mount)
            $0.found("DiskFill", "loader", pid: 1, cause: "does not answer", about: mount)
        }
        #expect(night.told.count == 3)
        #expect(night.book.open.map(\.finding.cause) == ["does not answer"])
    }

    @Test func `more lives than it remembers still hold it open`() {
        var night = Night()
        night.pass(.hours(1)) { night in
            for pid in Int32(1)...100 { night.found(pid: pid) }
            for pid in Int32(1)...20 { night.quiet(pid: pid) }
        }
        #expect(night.told == ["open HeapGrowth checkout"])
    }
}

@Suite("Flapping") struct FlapTests {
    @Test func `each return doubles the quiet that is asked for`() {
        var night = Night()
        var quietUntilResolved: [Duration] = []
        for _ in 0..<5 {
            night.pass(.minutes(10)) { $0.found() }
            let begin = night.now
            while night.book.open.isEmpty == false { night.pass(.seconds(10)) { $0.quiet() } }
            quietUntilResolved.append(night.now - begin)
        }
        let minutes = quietUntilResolved.map { Int(($0.inSeconds / 60).rounded()) }
        #expect(minutes == [2, 4, 8, 16, 32])
        #expect(night.book.counters.flapped == 4)
    }

    @Test func `a minute on, a minute off, all night long is told a handful of times`() {
        var night = Night()
        for _ in 0..<480 {
            night.pass(.minutes(3)) { $0.found() }
            night.pass(.minutes(3)) { $0.quiet() }
        }
        #expect(night.told.count <= 4, "\(night.told.count) messages in 48 hours")
    }

    @Test func `it waits out its cool-down, unless it comes back worse`() {
        for (severity, after) in [(Severity.warning, 5), (.critical, 0)] {
            var night = Night()
            night.found()
            night.tick()
            night.pass(.minutes(3)) { $0.quiet() }
            #expect(night.told.count == 2)
            let begin = night.now
            while night.told.count == 2 {
                night.found(severity: severity)
                night.pass(.seconds(10))
            }
            #expect(Int((night.now - begin).inSeconds / 60) >= after - 1)
            #expect((night.now - begin).inSeconds <= Double(after * 60 + 10))
        }
    }

    @Test func `a later episode has the next number`() {
        var night = Night()
        for _ in 0..<3 {
            night.found()
            night.pass(.hours(3)) { $0.quiet() }
        }
        #expect(night.book.recent.map { $0.id.suffix(2) } == ["-3", "-2", "-1"])
        #expect(night.book.recent.allSatisfy { $0.flaps == 0 })
    }
}
