public import NightjarModel

extension LoopStarved {
    public static let card = DetectorCard(
        name: "LoopStarved",
        messageID: "b2f0f7a1f0c44a0e8d8a2a3c0f5f7e16",
        catches: "loops that are ready to run while the host, or their own CPU quota, has no processor for them",
        needs: [.loopLag],
        cost: "nothing beside LoopStall",
        settings: [
            DetectorSetting(
                "StarvedPerMinute", .duration(.seconds(6)),
                help: "Speak up when a loop has waited this long for a processor in a minute, in delays above 20 ms.")
        ],
        holdFor: .seconds(60),
        saysOfMany: "loops wait for a processor",
        fires: ["json"],
        staysQuiet: ["at-rest"],
        panels: [
            Panel(
                "Share of time in which loops wait for a processor",
                expression: "rate(nightjar_loop_starved_seconds_total[1m])", legend: "{{service}} {{loop}}",
                unit: .percent)
        ],
        metrics: [
            DetectorMetric("starved", .seconds, help: "How long the loop waited for a processor in the last minute.")
        ],
        runbook: Runbooks.loopStarved
    )
}
