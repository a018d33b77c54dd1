public import NightjarModel

extension DiskFill {
    public static let card = DetectorCard(
        name: "DiskFill",
        messageID: "c3713487c0944dbf914a62e8d1d78535",
        catches: "file systems that will be full within a day, are filling now, or are full, and who fills them",
        needs: [.diskSpace],
        cost: "one statvfs a file system and round, on a thread of its own; 10 KiB a file system",
        settings: [
            DetectorSetting(
                "WarnWithin", .duration(.hours(24)), help: "A forecast of a full disk nearer than this is an alert."),
            DetectorSetting(
                "StaticFloor", .share(0.05),
                help: "Less free space than this share of the size is an alert without any forecast."),
            DetectorSetting(
                "StaticFloorAtMost", .bytes(.gibi(50)),
                help: "The static floor asks for no more free space than this, however large the disk."),
        ],
        saysOfMany: "file systems fill up",
        fires: [
            "debug-log-left-on", "steady-fill", "fills-by-day", "rotation-that-keeps-a-rest", "burst-that-never-ends",
            "already-full",
        ],
        staysQuiet: [
            "package-update-burst", "nightly-batch", "idle-disk", "rotation-saw-tooth", "settles-below-full",
            "copies-now-and-then",
        ],
        panels: [
            Panel(
                "Space in use", expression: "1 - nightjar_mount_available_bytes / nightjar_mount_size_bytes",
                legend: "{{mount}}", unit: .percent),
            Panel("Time until full", expression: "nightjar_disk_fill_eta_seconds", legend: "{{mount}}", unit: .seconds),
        ],
        runbook: Runbooks.diskFill
    )
}
