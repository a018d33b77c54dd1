public import NightjarModel

extension LogFlood {
    public static let card = DetectorCard(
        name: "LogFlood",
        messageID: "3a03b13558044b8ebde89830aac7fc57",
        catches: "logs that write many times their usual volume, the message that floods, and debug logs left on",
        needs: [.logVolume],
        cost: "one stat a file and round, 4 KiB sampled where it grows; a sample of the journal; 1.1 KiB a source",
        settings: [
            DetectorSetting(
                "Ratio", .count(3), help: "How many times the usual volume of this hour is a flood at the least."),
            DetectorSetting(
                "MinimumPace", .bytes(.kibi(4)),
                help: "Floods of less than this a second are recorded, not warned of."),
            DetectorSetting(
                "AdoptAfter", .duration(.days(3)), help: "After this long the new volume counts as the usual one."),
        ],
        saysOfMany: "logs write many times their usual volume",
        fires: ["debug-left-on", "debug-left-on-beside-a-nightly-job"],
        staysQuiet: ["ten-minute-spikes", "nightly-job", "logs-grow-with-traffic", "weekend-and-workday"],
        panels: [
            Panel(
                "Log volume, the largest sources", expression: "rate(nightjar_log_bytes_total[5m])",
                legend: "{{source}}", unit: .bytesPerSecond),
            Panel(
                "Times the usual volume of this hour", expression: "nightjar_log_flood_ratio", legend: "{{source}}",
                unit: .count),
        ],
        runbook: Runbooks.logFlood
    )
}

extension LogFlood.Settings {
    /// From the card's settings.
    public init(_ values: SettingValues) {
        self.init()
        ratio = Double(values.count("Ratio"))
        minimumPace = Double(values.bytes("MinimumPace").count)
        adoptAfter = values.duration("AdoptAfter")
    }
}
