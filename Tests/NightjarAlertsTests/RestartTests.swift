import NightjarAlerts
import NightjarModel
import NightjarTestKit
import Testing

@Suite("The agent restarts") struct RestartTests {
    @Test func `what was told is not told again`() {
        var night = Night()
        night.found()
        night.tick()
        night.restart(downtime: .minutes(30))
        night.pass(.minutes(5)) { $0.found() }
        #expect(night.told == ["open HeapGrowth checkout"])
    }

    @Test func `what vanished meanwhile ends after the grace, however long nobody looked`() {
        var night = Night()
        night.found(pid: 1)
        night.tick()
        night.restart(downtime: .hours(10))
        night.pass(.minutes(10))
        #expect(night.told == ["open HeapGrowth checkout"])
        night.pass(.minutes(10))
        #expect(night.told == ["open HeapGrowth checkout", "resolve HeapGrowth checkout"])
    }

    @Test func `what vanished while another worker lives on ends too`() {
        var night = Night()
        night.found(pid: 1)
        night.tick()
        night.restart(downtime: .hours(10))
        night.pass(.hours(1)) { $0.quiet(pid: 2) }
        #expect(night.told == ["open HeapGrowth checkout", "resolve HeapGrowth checkout"])
    }

    @Test func `pending goes on where it was, the time in which nobody looked does not count`() {
        var night = Night(hold: .minutes(10))
        night.pass(.minutes(6)) { $0.found() }
        night.restart(downtime: .hours(3))
        night.pass(.minutes(3)) { $0.found() }
        #expect(night.told.isEmpty)
        night.pass(.minutes(2)) { $0.found() }
        #expect(night.told == ["open HeapGrowth checkout"])
    }

    @Test func `episodes, flaps and the recent alerts are remembered`() {
        var night = Night()
        for _ in 0..<3 {
            night.pass(.minutes(6)) { $0.found() }
            night.pass(.minutes(20)) { $0.quiet() }
        }
        let before = night.book.recent
        night.restart()
        #expect(night.book.recent == before)
        #expect(before.first?.flaps == 2)
        night.pass(.minutes(6)) { $0.found() }
        #expect(night.book.open.first?.flaps == 3)
        #expect(night.book.open.first?.id.hasSuffix("-4") == true)
    }

    @Test func `a damaged record is counted and left out, the others are kept`() {
        var night = Night()
        night.found(unit: "a.service")
        night.found(unit: "b.service")
        night.tick()
        var records = night.book.snapshot(at: night.now)
        let victim = records.firstIndex { $0.key.hasPrefix("alert/") } ?? 0
        records[victim].bytes.removeLast(3)
        var book = AlertBook(rules: night.book.rules)
        book.restore(records, at: night.now)
        #expect(book.open.map(\.finding.subject.unit) == ["b.service"])
        #expect(book.counters.restoreErrors == 1)
    }

    @Test func `records changed at random are refused or harmless`() throws {
        var night = Night()
        night.book.add(try Silence(until: night.now + .hours(9), reason: "x", createdAt: night.now))
        for index in 0..<3 { night.found(unit: "u\(index)", pid: Int32(index)) }
        night.pass(.minutes(1))
        night.quiet(unit: "u1", pid: 1)
        night.pass(.hours(1)) { $0.found(unit: "u0", pid: 0) }
        let whole = night.book.snapshot(at: night.now)
        var random = SplitMix(seed: 5)
        for _ in 0..<2000 {
            var records = whole
            for _ in 0...random.below(4) {
                let record = random.below(records.count)
                records[record].bytes[random.below(records[record].bytes.count)] = UInt8(random.below(256))
            }
            var other = night
            other.book = AlertBook(rules: night.book.rules)
            other.book.restore(records, at: night.now)
            for _ in 0..<3 {
                other.found(unit: "u0", pid: 0)
                other.quiet(unit: "u2", pid: 2)
                other.pass(.minutes(20))
            }
            _ = other.book.snapshot(at: other.now)
        }
    }
}

@Suite("Whatever happens in a night") struct PropertyTests {
    /// One random thing that an agent may tell its book.
    enum Event {
        case found(Int, Int32, Severity, cause: String)
        case quiet(Int, Int32)
        case tooEarly(Int, Int32)
        case ended(Int32)
        case silence(minutes: Double)
        case wait(seconds: Double)
    }

    static let detectors = ["HeapGrowth", "MemoryExhaustion", "OutOfMemoryKill", "CPUSpin"]

    static func story(seed: UInt64, length: Int) -> [Event] {
        var random = SplitMix(seed: seed)
        return (0..<length).map { _ in
            let pid = Int32(1 + random.below(4))
            switch random.below(20) {
            case 0..<7:
                return .found(
                    random.below(4), pid, Severity.allCases[random.below(4)],
                    cause: random.below(4) == 0 ? "x" : "")
            case 7..<11: return .quiet(random.below(4), pid)
            case 11..<13: return .tooEarly(random.below(4), pid)
            case 13: return .ended(pid)
            case 14: return .silence(minutes: Double(1 + random.below(60)))
            default: return .wait(seconds: Double(1 + random.below(random.below(8) == 0 ? 6000 : 90)))
            }
        }
    }

    static func play(_ event: Event, in night: inout Night) throws {
        // Two pids share one service, so that workers and units are both met.
        func name(_ pid: Int32) -> String { pid <= 2 ? "web" : "db" }
        switch event {
        case .found(let detector, let pid, let severity, let cause):
            night.found(
                detectors[detector], name(pid), unit: "shop.service", pid: pid, cause: cause,
                severity: severity,
                level: .mebi(Int64(pid)))
        case .quiet(let detector, let pid):
            night.quiet(detectors[detector], name(pid), unit: "shop.service", pid: pid)
        case .tooEarly(let detector, let pid): night.tooEarly(detectors[detector], name(pid), pid: pid)
        case .ended(let pid): night.ended(pid: pid)
        case .silence(let minutes):
            night.book.add(
                try Silence(
                    subject: Glob("w*"), until: night.now + .minutes(minutes), reason: "",
                    createdAt: night.now))
        case .wait(let seconds):
            night.now = night.now + .seconds(seconds)
            night.tick()
        }
    }

    @Test(arguments: UInt64(1)...40)
    func
        `open and resolve alternate for each identity, and nothing is left open when all fall silent`(
            seed: UInt64
        ) throws
    {
        var night = Night(hold: .seconds(30))
        for event in Self.story(seed: seed, length: 600) { try Self.play(event, in: &night) }
        night.pass(.hours(8))
        #expect(night.book.open.isEmpty)
        var isOpen: Set<AlertIdentity> = []
        var ids: Set<String> = []
        for action in night.actions {
            switch action {
            case .open(let alert):
                #expect(isOpen.insert(alert.identity).inserted, "opened twice: \(alert.id)")
                #expect(ids.insert(alert.id).inserted, "id used twice: \(alert.id)")
                #expect(alert.mutedBy == nil && alert.state == .firing)
            case .update(let alert):
                #expect(isOpen.contains(alert.identity), "update of what is not open")
            case .resolve(let alert):
                #expect(isOpen.remove(alert.identity) != nil, "resolved, but not open: \(alert.id)")
                #expect(alert.state == .resolved && ids.contains(alert.id))
            }
        }
        #expect(isOpen.isEmpty, "orphans: \(isOpen.map(\.text))")
        #expect(night.actions.count > 10)
    }

    @Test(arguments: UInt64(1)...20)
    func `restarts at any point tell what no restart would have told`(seed: UInt64) throws {
        var steady = Night(hold: .seconds(30))
        var shaken = steady
        var random = SplitMix(seed: seed &* 977)
        for event in Self.story(seed: seed, length: 500) {
            try Self.play(event, in: &steady)
            try Self.play(event, in: &shaken)
            if random.below(3) == 0 { shaken.restart() }
            let isSame = shaken.actions.count == steady.actions.count && shaken.book.open == steady.book.open
            try #require(isSame, "after \(steady.told.count) messages: \(event)")
        }
        #expect(shaken.actions == steady.actions)
        #expect(shaken.book.recent.map(\.id) == steady.book.recent.map(\.id))
        #expect(!steady.actions.isEmpty)
    }
}
