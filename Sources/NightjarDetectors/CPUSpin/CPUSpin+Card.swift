public import NightjarModel

extension CPUSpin {
    public static let card = DetectorCard(
        name: "CPUSpin",
        messageID: "a35d843d034aa89773cd8ae6d70968f3",
        catches: "a thread that turns in circles: one core more than the process ever used, flat, without a rest",
        needs: [.cpuTime],
        cost: "nothing beyond the sample; under 50 ns and 72 bytes a process",
        settings: [
            DetectorSetting(
                "AtLeast", .duration(.minutes(30)), help: "How long the core must have been busy without a rest."),
            DetectorSetting(
                "WarnAfter", .duration(.hours(4)), help: "After how long the notice becomes a warning."),
            DetectorSetting(
                "History", .duration(.hours(1)),
                help: "How long the process must have been watched in calmer times to be compared with itself."),
        ],
        holdFor: .zero,
        saysOfMany: "processes use a whole core without a rest, and did not before",
        fires: ["hot-key", "endless-retry", "spin-beside-load"],
        staysQuiet: ["build", "nightly-batch", "busy-server", "niced-worker", "jit-warm-up", "calm-service"],
        panels: [
            Panel(
                "Cores in use", expression: "rate(nightjar_process_cpu_seconds_total[5m])",
                legend: "{{process}} {{unit}}", unit: .count),
            Panel(
                "Busy without a rest (while an alert is open)", expression: "nightjar_cpu_spin_pinned_seconds",
                legend: "{{process}} {{unit}}", unit: .seconds),
        ],
        metrics: [
            DetectorMetric("cores", .ratio, help: "Cores in use over the stretch without a rest."),
            DetectorMetric("usual_cores", .ratio, help: "Mean cores in use in the ordinary minutes before."),
            DetectorMetric("pinned", .seconds, help: "How long a whole core has been busy without a rest."),
        ],
        runbook: Runbooks.cpuSpin
    )
}
