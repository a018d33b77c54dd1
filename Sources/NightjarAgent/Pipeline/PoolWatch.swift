import NightjarDetectors
import NightjarModel

// Pools of memory that processes draw from: control groups with a limit, and the host. Each has one MemoryExhaustion;
// who fills it is asked of the processes' own histories, and only when there is something to say.

struct PoolWatch {
    /// Limited groups beyond this are not forecast.
    static let limit = 1_024

    private var pools: [String: MemoryExhaustion] = [:]
    private var firing: [String: Subject] = [:]
    private static let hostKey = ""

    /// One reading of the group that sets a limit, or of the host (`path` empty).
    mutating func observe(
        group: CgroupSample, _ settings: DetectorSettings, contributors: (Duration) -> [MemoryExhaustion.Contributor]
    ) -> WatchAnswer? {
        guard group.memoryLimit != nil else { return nil }
        let key = group.limitedBy ?? group.path
        guard pools[key] != nil || pools.count < Self.limit else { return nil }
        let answer = pools[key, default: MemoryExhaustion()].observe(
            group, settings.memoryExhaustion, contributors: contributors)
        return report(answer, key, settings)
    }

    mutating func observe(
        host: HostSample, _ settings: DetectorSettings, contributors: (Duration) -> [MemoryExhaustion.Contributor]
    ) -> WatchAnswer? {
        let answer = pools[Self.hostKey, default: MemoryExhaustion()].observe(
            host, settings.memoryExhaustion, contributors: contributors)
        return report(answer, Self.hostKey, settings)
    }

    /// Only what is found, and the end of what was found before.
    private mutating func report(_ answer: Answer, _ key: String, _ settings: DetectorSettings) -> WatchAnswer? {
        let name = MemoryExhaustion.card.name
        guard settings.isOn(name) else { return nil }
        if case .found(let finding) = answer {
            firing[key] = finding.subject
            return WatchAnswer(detector: name, subject: finding.subject, answer: .found(settings.capped(finding)))
        }
        guard let subject = firing.removeValue(forKey: key) else { return nil }
        return WatchAnswer(detector: name, subject: subject, answer: .quiet)
    }

    /// Groups that are gone take their forecasts with them; their alerts end by the book's own grace.
    mutating func keep(only paths: Set<String>) {
        for key in pools.keys where key != Self.hostKey && !paths.contains(key) {
            pools[key] = nil
            firing[key] = nil
        }
    }

    // MARK: Over a restart of the agent

    func states() -> [(key: String, bytes: [UInt8])] {
        pools.map { key, pool in
            var bytes: [UInt8] = []
            pool.encode(into: &bytes)
            return ("pool/\(key)", bytes)
        }
    }

    mutating func restore(_ states: [(key: String, bytes: [UInt8])]) {
        for state in states where state.key.hasPrefix("pool/") {
            var reader = ByteReader(state.bytes)
            if let pool = MemoryExhaustion(decoding: &reader) { pools[String(state.key.dropFirst(5))] = pool }
        }
    }
}
