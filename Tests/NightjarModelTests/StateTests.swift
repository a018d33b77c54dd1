import NightjarModel
import NightjarTestKit
import Testing

@Suite("State coding") struct StateTests {
    static let alert = Alert(
        id: "3f09a1c2-2", state: .firing,
        finding: Finding(
            detector: "HeapGrowth",
            subject: Subject(
                .process, name: "checkout", unit: "checkout.service", process: ProcessKey(pid: 42, startTime: 7)),
            cause: "leak", severity: .warning, verdict: "leak", sentence: "live heap floor 96 → 132 MiB in 6 min",
            details: ["JSONValue  +21 MiB"],
            evidence: [
                EvidenceField("to", .bytes(.mebi(132))), EvidenceField("rate", .bytesPerSecond(1e5)),
                EvidenceField("span", .duration(.minutes(6))), EvidenceField("ups", .count(6)),
                EvidenceField("tau", .ratio(0.9)), EvidenceField("kind", .text("a\u{0}b")),
                EvidenceField("types", .list([[EvidenceField("name", .text("X")), EvidenceField("n", .count(1))]])),
            ]),
        startedAt: Moment(seconds: 1), firedAt: Moment(seconds: 2), seenAt: Moment(seconds: 3), mutedBy: "s-1",
        appliedSetting: "HeapLimit", flaps: 3, worst: .critical, contact: "ops@example.org")

    static func bytes(_ alert: Alert) -> [UInt8] {
        var writer = StateWriter()
        alert.encode(into: &writer)
        return writer.bytes
    }

    @Test func `an alert comes back as it was written`() throws {
        var reader = StateReader(Self.bytes(Self.alert))
        #expect(try Alert(from: &reader) == Self.alert)
        #expect(reader.isAtEnd)
    }

    @Test func `an alert that was cut anywhere is damaged, not half read`() {
        let whole = Self.bytes(Self.alert)
        for length in 0..<whole.count {
            var reader = StateReader(Array(whole[..<length]))
            #expect(throws: StateDamaged.self) { try Alert(from: &reader) }
        }
    }

    @Test func `bytes that were changed never crash the reader`() {
        var random = SplitMix(seed: 11)
        let whole = Self.bytes(Self.alert)
        for _ in 0..<20_000 {
            var bytes = whole
            for _ in 0...Int(random.next() % 4) {
                bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
            }
            var reader = StateReader(bytes)
            _ = try? Alert(from: &reader)
        }
    }

    @Test func `a silence comes back as it was written`() throws {
        let silence = try Silence(
            detector: Glob("Heap*"), unit: Glob("cache.service"), until: nil, bound: .gibi(2), reason: "fills at noon",
            by: "anna", createdAt: Moment(seconds: 9))
        var writer = StateWriter()
        silence.encode(into: &writer)
        var reader = StateReader(writer.bytes)
        #expect(try Silence(from: &reader) == silence)
    }
}

@Suite("Silence") struct SilenceTests {
    let now = Moment(seconds: 100)

    func finding(_ level: Bytes?, unit: String? = "cache.service") -> Finding {
        Finding(
            detector: "HeapGrowth", subject: Subject(.process, name: "cache", unit: unit), severity: .warning,
            verdict: "leak", sentence: "grows",
            evidence: [EvidenceField("limit", .bytes(.gibi(64)))]
                + (level.map { [EvidenceField("to", .bytes($0))] } ?? [])
        )
    }

    @Test func `it hides what it matches until its end`() throws {
        let silence = try Silence(unit: Glob("cache*"), until: now + .hours(1), reason: "known", createdAt: now)
        #expect(silence.hides(finding(.mebi(1)), at: now))
        #expect(!silence.hides(finding(.mebi(1)), at: now + .hours(1)))
        #expect(!silence.hides(finding(.mebi(1), unit: "other.service"), at: now))
        #expect(!silence.hides(finding(.mebi(1), unit: nil), at: now))
    }

    @Test func `one with a bound hides up to the bound, and never what has no size`() throws {
        let silence = try Silence(until: nil, bound: .gibi(2), reason: "no leak", createdAt: now)
        #expect(silence.hides(finding(.gibi(2)), at: now + .days(900)))
        #expect(!silence.hides(finding(.gibi(2) + Bytes(1)), at: now))
        var sizeless = finding(nil)
        sizeless.evidence = []
        #expect(!silence.hides(sizeless, at: now))
    }

    @Test func `a subject may be named by its identity or its bare name`() throws {
        for pattern in ["cache", "process:cache.service/*"] {
            let silence = try Silence(subject: Glob(pattern), until: now + .hours(1), reason: "", createdAt: now)
            #expect(silence.hides(finding(nil), at: now))
        }
    }

    @Test func `one without an end, over already, or of no size is refused with a reason`() {
        #expect(throws: SilenceError.endless) { try Silence(until: nil, reason: "", createdAt: now) }
        #expect(throws: SilenceError.alreadyOver) { try Silence(until: now, reason: "", createdAt: now) }
        #expect(throws: SilenceError.emptyBound) { try Silence(until: nil, bound: .zero, reason: "", createdAt: now) }
    }
}
