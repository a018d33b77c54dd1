public import NightjarModel

extension OutOfMemoryKill {
    public static let card = DetectorCard(
        name: "OutOfMemoryKill",
        messageID: "1e67097f56de1ca248a1dc098eaa4ec4",
        catches: "processes that the kernel killed for want of memory: which, how large, and at whose limit",
        needs: [.oomEvents, .memoryLimit],
        cost: "two counters a round; a copy of each process that ends",
        settings: [
            DetectorSetting(
                "Lasts", .duration(.hours(1)), help: "How long an alert stays open after the last kill."),
            DetectorSetting(
                "Repeated", .count(3), help: "So many kills of one subject within that time are critical."),
        ],
        holdFor: .zero,
        saysOfMany: "services lost a process to the kernel's out-of-memory killer",
        fires: ["killed-at-its-limit", "killed-for-the-host", "cgroup-gone-with-its-counter"],
        staysQuiet: ["large-batch-ends", "counter-starts-again"],
        panels: [
            Panel(
                "Kills on this host", expression: "increase(nightjar_host_oom_kills_total[1h])", legend: "host",
                unit: .count),
            Panel(
                "Kills by unit", expression: "increase(nightjar_unit_oom_kills_total[1h])", legend: "{{unit}}",
                unit: .count),
            Panel(
                "Unit memory of its limit",
                expression: "nightjar_unit_memory_current_bytes / (nightjar_unit_memory_limit_bytes > 0)",
                legend: "{{unit}}", unit: .percent),
        ],
        metrics: [
            DetectorMetric("kills", .count, help: "Kills of this subject while the alert is open."),
            DetectorMetric("size", .bytes, help: "Memory of the killed process at its last reading."),
        ],
        runbook: Runbooks.outOfMemoryKill
    )
}
