public import NightjarModel

extension LoopStall {
    public static let card = DetectorCard(
        name: "LoopStall",
        messageID: "6c8b3b64f27d4b3d9a61a1f6c2ce9d05",
        catches: "event loops, main queues and actors that their own service holds up, with the function that does it",
        needs: [.loopLag],
        cost:
            "in the service: 50 to 100 looks a second, 2 ms of CPU a second for 8 idle loops; in the agent one page a second",
        settings: [
            DetectorSetting(
                "BlockedPerMinute", .duration(.milliseconds(600)),
                help:
                    "Warn when lags above 20 ms add up to this much in a minute, without time spent waiting for a processor."
            ),
            DetectorSetting(
                "Hang", .duration(.seconds(2)), help: "A single stall of this length is critical, also while it lasts."),
        ],
        saysOfMany: "loops are held up by their own service",
        fires: ["json", "small", "creep", "hang"],
        staysQuiet: ["none", "gc", "cron", "at-rest"],
        panels: [
            Panel(
                "Share of time in which loops are held up",
                expression: "rate(nightjar_loop_blocked_seconds_total[1m])", legend: "{{service}} {{loop}}",
                unit: .percent),
            Panel(
                "Lag of a job, 99 %", expression: "nightjar_loop_lag_seconds{quantile=\"0.99\"}",
                legend: "{{service}} {{loop}}", unit: .seconds),
        ],
        metrics: [
            DetectorMetric("blocked", .seconds, help: "How long the loop was held up in the last minute."),
            DetectorMetric("longest", .seconds, help: "The longest stall of the loop in the last minute."),
        ],
        runbook: Runbooks.loopStall
    )
}
