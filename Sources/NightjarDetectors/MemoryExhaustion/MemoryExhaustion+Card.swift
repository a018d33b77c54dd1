public import NightjarModel

extension MemoryExhaustion {
    public static let card = DetectorCard(
        name: "MemoryExhaustion",
        messageID: "aa510560a9564f179016375a9803684e",
        catches: "a memory limit, of a cgroup or of the host, that will be reached within hours or minutes",
        needs: [.memoryLimit, .anonymousMemory],
        cost: "one read of memory.stat a sample and cgroup with a limit; about 1 KiB each, nothing a process",
        settings: [
            DetectorSetting(
                "WarnWithin", .duration(.hours(6)), help: "Warn when the limit will be reached within this time."),
            DetectorSetting(
                "CriticalWithin", .duration(.hours(1)),
                help: "Call it critical when the limit will be reached within this time."),
        ],
        saysOfMany: "memory limits will be reached within hours",
        fires: ["full-in-five-minutes", "full-in-half-an-hour", "full-in-four-hours"],
        staysQuiet: ["warm-up-to-four-fifths", "sawtooth-below-the-limit"],
        panels: [
            Panel(
                "Memory used of the limit (while an alert is open)",
                expression: "nightjar_memory_exhaustion_usage_ratio",
                legend: "{{process}} {{unit}}", unit: .percent),
            Panel(
                "Time until the limit (while an alert is open)", expression: "nightjar_memory_exhaustion_eta_seconds",
                legend: "{{process}} {{unit}}", unit: .seconds),
            Panel(
                "Memory of the host still available", expression: "nightjar_host_memory_available_bytes",
                legend: "available", unit: .bytes),
        ],
        metrics: [
            DetectorMetric("eta", .seconds, help: "Time until the memory limit at the present pace."),
            DetectorMetric("usage_ratio", .ratio, help: "Memory used of the limit that will be reached."),
            DetectorMetric("rate", .bytesPerSecond, help: "How fast the memory under the limit fills."),
        ],
        runbook: Runbooks.memoryExhaustion
    )
}
