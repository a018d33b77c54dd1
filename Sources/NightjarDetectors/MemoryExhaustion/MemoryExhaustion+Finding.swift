// What the operator reads: `memory of checkout.service 412 of 512 MiB, +38 MiB a minute: full in about 2.6 min`.

public import NightjarModel

extension MemoryExhaustion {
    /// What an operator may change.
    public struct Settings: Hashable, Sendable {
        /// How long before the end a warning is given.
        public var warning: Duration
        /// And a critical one.
        public var critical: Duration

        public init(warning: Duration = .hours(6), critical: Duration = .hours(1)) {
            self.warning = warning
            self.critical = critical
        }

        /// From the configuration.
        public init(_ values: SettingValues) {
            self.init(warning: values.duration("WarnWithin"), critical: values.duration("CriticalWithin"))
        }
    }

    func finding(_ forecast: Forecast, pool: Pool, _ settings: Settings, _ all: [Contributor]) -> Finding {
        Finding(
            detector: "MemoryExhaustion", subject: culprit ?? pool.subject,
            severity: forecast.eta <= settings.critical ? .critical : .warning, verdict: "exhaustion",
            sentence: sentence(forecast, pool), details: details(all), evidence: evidence(forecast, pool, all))
    }

    private func sentence(_ forecast: Forecast, _ pool: Pool) -> String {
        "memory of \(pool.name) \(Bytes.pair(forecast.usage, "of", forecast.limit)), "
            + "+\(Self.pace(forecast.bytesPerSecond)): full in about \(forecast.eta.spoken)"
    }

    /// `38 MiB a minute`, `1.2 GiB an hour`: the unit in which it is at least a few MiB.
    static func pace(_ bytesPerSecond: Double) -> String {
        let minute = Bytes(Int64((bytesPerSecond * 60).rounded()))
        if minute >= .mebi(4) { return "\(minute) a minute" }
        return "\(Bytes(Int64((bytesPerSecond * 3600).rounded()))) an hour"
    }

    /// The three largest, the one that is named first.
    private func details(_ all: [Contributor]) -> [String] {
        largest(all).map { one in
            let rise = one.rise.map { $0 > .zero ? ", +\($0)" : "" } ?? ""
            return "\(one.subject.label) holds \(one.held)\(rise)"
        }
    }

    private func largest(_ all: [Contributor]) -> [Contributor] {
        let sorted = all.sorted { $0.held > $1.held }
        let named = sorted.filter { $0.subject == culprit }
        return Array((named + sorted.filter { $0.subject != culprit }).prefix(3))
    }

    private func evidence(_ forecast: Forecast, _ pool: Pool, _ all: [Contributor]) -> [EvidenceField] {
        [
            EvidenceField("pool", .text(pool.name)),
            EvidenceField("usage", .bytes(forecast.usage)),
            EvidenceField("limit", .bytes(forecast.limit)),
            EvidenceField("usage_ratio", .ratio(Double(forecast.usage.count) / Double(max(forecast.limit.count, 1)))),
            EvidenceField("rate", .bytesPerSecond(forecast.bytesPerSecond)),
            EvidenceField("eta", .duration(forecast.eta)),
            EvidenceField("span", .duration(forecast.span)),
            EvidenceField(
                "contributors",
                .list(
                    largest(all).map { one in
                        [
                            EvidenceField("subject", .text(one.subject.identity)),
                            EvidenceField("held", .bytes(one.held)),
                        ] + (one.rise.map { [EvidenceField("rise", .bytes($0))] } ?? [])
                    })),
        ]
    }
}
