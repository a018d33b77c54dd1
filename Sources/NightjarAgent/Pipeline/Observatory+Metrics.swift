import NightjarModel
import NightjarSinks
import NightjarSources

extension Observatory {
    /// At most so many units are named; those nearest their limit first.
    private static let unitsNamed = 10

    /// Units with a memory limit, or whose processes were killed for memory.
    var groupMetrics: [MetricFamily] {
        let shown = groupSamples.sorted { fill($0) > fill($1) }.prefix(Self.unitsNamed)
        guard !shown.isEmpty else { return [] }
        func family(
            _ name: String, _ kind: MetricFamily.Kind, _ help: String, _ value: (CgroupSample) -> Double?
        ) -> MetricFamily {
            MetricFamily(
                name, kind, help: help,
                shown.compactMap { group in
                    value(group).map { .init($0, labels: [("unit", group.unit ?? group.path)]) }
                })
        }
        return [
            family("nightjar_unit_memory_current_bytes", .gauge, "Memory that counts against the unit's limit.") {
                $0.memoryCurrent.map { Double($0.count) }
            },
            family("nightjar_unit_memory_limit_bytes", .gauge, "The lowest memory limit above the unit.") {
                $0.memoryLimit.map { Double($0.count) }
            },
            family("nightjar_unit_oom_kills_total", .counter, "Processes of the unit killed for memory.") {
                $0.oomKills.map(Double.init)
            },
        ].filter { !$0.series.isEmpty }
    }

    /// How full, 0…1; those that lost a process come first.
    private func fill(_ group: CgroupSample) -> Double {
        if let kills = group.oomKills, kills > 0 { return 2 }
        guard let limit = group.memoryLimit, let current = group.memoryCurrent, limit > .zero else { return 0 }
        return Double(current.count) / Double(limit.count)
    }
}
