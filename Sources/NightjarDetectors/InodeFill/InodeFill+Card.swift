public import NightjarModel

extension InodeFill {
    public static let card = DetectorCard(
        name: "InodeFill",
        messageID: "42d3590358c04d82a0a714c41089a747",
        catches: "file systems that run out of inodes: no file can be made though there is space",
        needs: [.inodes],
        cost: "nothing beside DiskFill's statvfs; 10 KiB a file system",
        settings: [
            DetectorSetting(
                "WarnWithin", .duration(.hours(24)),
                help: "A forecast of running out of inodes nearer than this is an alert."),
            DetectorSetting(
                "StaticFloor", .share(0.05),
                help: "Less free inodes than this share is an alert without any forecast."),
        ],
        saysOfMany: "file systems run out of inodes",
        fires: ["sessions-never-deleted", "no-inode-left"],
        staysQuiet: ["build-trees-come-and-go", "no-inodes-reported"],
        panels: [
            Panel(
                "Inodes in use", expression: "1 - nightjar_mount_inodes_free / (nightjar_mount_inodes > 0)",
                legend: "{{mount}}", unit: .percent),
            Panel(
                "Time until no inode is left", expression: "nightjar_inode_fill_eta_seconds", legend: "{{mount}}",
                unit: .seconds),
        ],
        runbook: Runbooks.inodeFill
    )
}
