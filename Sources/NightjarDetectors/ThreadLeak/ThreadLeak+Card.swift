public import NightjarModel

extension ThreadLeak {
    public static let card = DetectorCard(
        name: "ThreadLeak",
        messageID: "d5b3bc583b0fe79a3c276ab958db6c30",
        catches: "threads that are started and never end, and the time until the tasks of their unit are used up",
        needs: [.threads],
        cost: "nothing beyond the sample; under 50 ns and 120 to 330 bytes a process",
        settings: [
            DetectorSetting(
                "MinimumAge", .duration(.hours(24)),
                help: "How long the count must have been watched before an even rise is called a leak."),
            DetectorSetting(
                "MinimumRise", .count(12), help: "Threads by which the floor must have risen to be called a leak."),
            DetectorSetting(
                "NearLimit", .share(0.75),
                help: "Share of the unit's tasks in use from which a rise over minutes is enough to warn."),
            DetectorSetting(
                "ForecastWithin", .duration(.hours(12)),
                help: "Warn, whatever the age, when the limit will be reached within this time."),
        ],
        holdFor: .zero,
        saysOfMany: "processes start threads that never end",
        fires: ["thread-a-request", "threads-until-tasksmax"],
        staysQuiet: ["thread-pool-that-settles", "worker-bursts", "threads-by-day"],
        panels: [
            Panel("Threads", expression: "nightjar_process_threads", legend: "{{process}} {{unit}}", unit: .count),
            Panel(
                "Tasks in use of the limit (while an alert is open)",
                expression: "nightjar_thread_leak_used / (nightjar_thread_leak_limit > 0)",
                legend: "{{process}} {{unit}}", unit: .percent),
            Panel(
                "Time until the limit (while an alert is open)", expression: "nightjar_thread_leak_eta_seconds",
                legend: "{{process}} {{unit}}", unit: .seconds),
        ],
        metrics: [
            DetectorMetric("used", .count, help: "Tasks in use under the limit that the leaking process lives under."),
            DetectorMetric("limit", .count, help: "Tasks allowed where the leaking process lives (pids.max)."),
            DetectorMetric("eta", .seconds, help: "Time until no more threads may start at the present pace."),
        ],
        runbook: Runbooks.threadLeak
    )
}
