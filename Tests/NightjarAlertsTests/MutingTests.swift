import NightjarAlerts
import NightjarModel
import Testing

@Suite("What is not told") struct MutingTests {
    @Test func `a silence hides until it ends, and then the alert speaks`() throws {
        var night = Night()
        night.book.add(
            try Silence(
                unit: Glob("check*"), until: night.now + .hours(1), reason: "release", createdAt: night.now)
        )
        night.pass(.minutes(55)) { $0.found() }
        #expect(night.told.isEmpty)
        #expect(night.book.open.first?.mutedBy?.hasPrefix("s-") == true)
        night.pass(.minutes(10)) { $0.found() }
        #expect(night.told == ["open HeapGrowth checkout"])
        #expect(night.book.open.first?.mutedBy == nil)
        #expect(night.book.silences.isEmpty)
    }

    @Test func `what ends under a silence is never told at all`() throws {
        var night = Night()
        night.book.add(try Silence(until: night.now + .hours(1), reason: "", createdAt: night.now))
        night.pass(.minutes(10)) { $0.found() }
        night.pass(.hours(2)) { $0.quiet() }
        #expect(night.told.isEmpty)
        #expect(night.book.recent.count == 1)
    }

    @Test func `who was told of the beginning is told of the end, silence or not`() throws {
        var night = Night()
        night.found()
        night.tick()
        night.book.add(try Silence(until: night.now + .hours(9), reason: "known", createdAt: night.now))
        night.found(severity: .critical)
        night.tick()
        night.pass(.minutes(10)) { $0.quiet() }
        #expect(night.told == ["open HeapGrowth checkout", "resolve HeapGrowth checkout"])
    }

    @Test func `no leak is believed up to the size that was said`() throws {
        var night = Night()
        night.book.add(
            try Silence(
                unit: Glob("checkout.service"), until: nil, bound: .gibi(2), reason: "cache",
                createdAt: night.now))
        night.pass(.days(1)) { $0.found(level: .gibi(2)) }
        #expect(night.told.isEmpty)
        night.restart()
        night.pass(.minutes(1)) { $0.found(level: .gibi(2)) }
        #expect(night.told.isEmpty)
        night.found(level: .gibi(2) + .mebi(1))
        night.tick()
        #expect(night.told == ["open HeapGrowth checkout"])
    }

    @Test func `a silence taken away lets the alert speak`() throws {
        var night = Night()
        let silence = try Silence(until: night.now + .hours(9), reason: "", createdAt: night.now)
        night.book.add(silence)
        night.found()
        night.tick()
        let removed = (1...2).map { _ in night.book.removeSilence(silence.id) }
        #expect(removed == [true, false])
        night.tick()
        #expect(night.told == ["open HeapGrowth checkout"])
    }

    @Test func `exhaustion hides the growth it grew from, told in one round or not`() {
        var night = Night()
        night.pass(.minutes(10)) {
            $0.found("HeapGrowth")
            $0.found("MemoryExhaustion", severity: .critical)
        }
        #expect(night.told == ["open MemoryExhaustion checkout"])
        #expect(
            night.book.open.first { $0.finding.detector == "HeapGrowth" }?.mutedBy?.hasPrefix(
                "MemoryExhaustion|") == true)
    }

    @Test func `growth speaks again when exhaustion is over and it still grows`() {
        var night = Night()
        night.pass(.minutes(10)) {
            $0.found("HeapGrowth")
            $0.found("MemoryExhaustion")
        }
        night.pass(.minutes(10)) {
            $0.found("HeapGrowth")
            $0.quiet("MemoryExhaustion")
        }
        #expect(
            night.told == [
                "open MemoryExhaustion checkout", "resolve MemoryExhaustion checkout",
                "open HeapGrowth checkout",
            ])
    }

    @Test func `growth that ended with exhaustion is never told`() {
        var night = Night()
        night.pass(.minutes(10)) {
            $0.found("HeapGrowth")
            $0.found("MemoryExhaustion")
        }
        night.ended(pid: 1)
        night.pass(.minutes(30)) { $0.quiet("MemoryExhaustion", pid: 2) }
        #expect(night.told == ["open MemoryExhaustion checkout", "resolve MemoryExhaustion checkout"])
    }

    @Test func `exhaustion of another unit hides nothing`() {
        var night = Night()
        night.found("MemoryExhaustion", "db", unit: "db.service")
        night.found("HeapGrowth")
        night.tick()
        #expect(night.told == ["open MemoryExhaustion db", "open HeapGrowth checkout"])
    }

    @Test func `a silenced exhaustion hides no growth, else nobody would hear of either`() throws {
        var night = Night()
        night.book.add(
            try Silence(
                detector: Glob("MemoryExhaustion"), until: night.now + .hours(9), reason: "",
                createdAt: night.now))
        night.found("MemoryExhaustion")
        night.found("HeapGrowth")
        night.tick()
        #expect(night.told == ["open HeapGrowth checkout"])
    }

    @Test func `no alert hides itself over a circle of others`() {
        func hidden(by detector: String, depth: Int = 0) -> [String] {
            guard depth < 20 else { return ["circle"] }
            return Inhibition.standard.filter { $0.by == detector }.flatMap {
                [$0.hides] + hidden(by: $0.hides, depth: depth + 1)
            }
        }
        for rule in Inhibition.standard { #expect(!hidden(by: rule.by).contains("circle")) }
    }

    @Test func `a cap from the configuration holds, and the alert says which setting it was`() throws {
        let place = "Severity at /etc/nightjar/nightjar.conf:12"
        var night = Night(overrides: [
            AlertOverride(
                unit: Glob("check*"), severityCap: .critical, contact: "shop", place: "earlier"),
            AlertOverride(unit: Glob("checkout.service"), severityCap: .notice, place: place),
            AlertOverride(unit: Glob("other"), severityCap: .info, place: "elsewhere"),
        ])
        night.found(severity: .critical)
        night.tick()
        let alert = try #require(night.book.open.first)
        #expect(alert.finding.severity == .notice)
        #expect(alert.appliedSetting == place)
        #expect(alert.contact == "shop")
    }
}
