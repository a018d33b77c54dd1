public import NightjarModel

extension PoolStarvation {
    public static let card = DetectorCard(
        name: "PoolStarvation",
        messageID: "0d3f9be4b1e94d8fb7c5a4a3a0d2b1c7",
        catches:
            "a cooperative pool whose threads are all taken by blocking calls or endless work, so that no task can begin",
        needs: [.poolLag],
        cost: "in the service: 20 empty tasks a second while it works, none while it rests",
        settings: [
            DetectorSetting("AtLeast", .duration(.seconds(1)), help: "Warn when no task could begin for this long."),
            DetectorSetting(
                "Critical", .duration(.seconds(10)), help: "Wake somebody when no task could begin for this long."),
        ],
        saysOfMany: "services have no thread left for their tasks",
        panels: [
            Panel(
                "Seconds without a free thread", expression: "rate(nightjar_pool_exhausted_seconds_total[1m])",
                legend: "{{service}}", unit: .percent)
        ],
        metrics: [DetectorMetric("exhausted", .seconds, help: "How long no task could begin.")],
        runbook: Runbooks.poolStarvation
    )
}
