public import NightjarModel

extension DescriptorLeak {
    public static let card = DetectorCard(
        name: "DescriptorLeak",
        messageID: "aaf955f4ea99acbd2f86d7912eda7d53",
        catches:
            "sockets, files and pipes that are opened and never closed, and the time until RLIMIT_NOFILE",
        needs: [.descriptors],
        cost: "one stat of /proc/PID/fd a sample; under 50 ns and 120 to 330 bytes a process",
        settings: [
            DetectorSetting(
                "MinimumAge", .duration(.hours(24)),
                help: "How long the count must have been watched before an even rise is called a leak."),
            DetectorSetting(
                "MinimumRise", .count(24), help: "Descriptors by which the floor must have risen to be called a leak."),
            DetectorSetting(
                "NearLimit", .share(0.75),
                help: "Share of RLIMIT_NOFILE in use from which a rise over minutes is enough to warn."),
            DetectorSetting(
                "ForecastWithin", .duration(.hours(12)),
                help: "Warn, whatever the age, when the limit will be reached within this time."),
        ],
        holdFor: .zero,
        saysOfMany: "processes open descriptors that they never close",
        fires: ["sockets-never-closed", "descriptors-gone-in-minutes", "late-descriptor-leak", "two-files-an-hour"],
        staysQuiet: ["pool-that-settles", "connections-by-day", "accept-burst", "two-deploys", "descriptors-at-rest"],
        panels: [
            Panel(
                "Descriptors in use of the limit",
                expression: "nightjar_process_open_fds / (nightjar_process_max_fds > 0)",
                legend: "{{process}} {{unit}}", unit: .percent),
            Panel(
                "Descriptors in use", expression: "nightjar_process_open_fds", legend: "{{process}} {{unit}}",
                unit: .count),
            Panel(
                "Time until the limit (while an alert is open)", expression: "nightjar_descriptor_leak_eta_seconds",
                legend: "{{process}} {{unit}}", unit: .seconds),
        ],
        metrics: [
            DetectorMetric("used", .count, help: "Descriptors in use by the process that leaks them."),
            DetectorMetric("limit", .count, help: "Soft RLIMIT_NOFILE of the process that leaks descriptors."),
            DetectorMetric("eta", .seconds, help: "Time until the descriptor limit at the present pace."),
        ],
        runbook: Runbooks.descriptorLeak
    )
}
