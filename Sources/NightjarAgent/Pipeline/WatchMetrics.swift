import NightjarSinks

/// Series of file systems, logs and probes as families, each with its sentence of help.
enum WatchMetrics {
    private static let help: [String: String] = [
        "nightjar_mount_size_bytes": "Size of the file system.",
        "nightjar_mount_available_bytes": "What an ordinary user may still write to the file system.",
        "nightjar_mount_inodes": "Inodes of the file system.",
        "nightjar_mount_inodes_free": "Inodes that are left.",
        "nightjar_mount_answers": "0 while the file system does not answer in time.",
        "nightjar_disk_fill_eta_seconds": "Time until the file system is full; absent where nothing points there.",
        "nightjar_inode_fill_eta_seconds": "Time until the inodes are used up; absent where nothing points there.",
        "nightjar_log_bytes_total": "Bytes written to the log since the agent began to watch it.",
        "nightjar_log_flood_ratio": "How many times its usual volume the log writes now.",
        "nightjar_loop_lag_seconds": "How late work on the loop began, by quantile over the last minute.",
        "nightjar_loop_stalls_total": "Stalls of the loop.",
        "nightjar_loop_blocked_seconds_total": "Time in which the application held the loop up.",
        "nightjar_loop_starved_seconds_total": "Time in which the loop waited for a processor.",
        "nightjar_pool_lag_seconds": "How late a task on the cooperative pool began, by quantile.",
        "nightjar_pool_exhausted_seconds_total": "Time in which every thread of the pool was taken.",
        "nightjar_probe_loops": "Loops that the service's probe watches.",
        "nightjar_probe_reports_suppressed_total": "Stalls beyond the report budget.",
    ]

    static func families(_ rows: [(name: String, labels: [(String, String)], value: Double)]) -> [MetricFamily] {
        var order: [String] = []
        var series: [String: [MetricFamily.Series]] = [:]
        for row in rows {
            if series[row.name] == nil { order.append(row.name) }
            series[row.name, default: []].append(.init(row.value, labels: row.labels))
        }
        return order.map { name in
            MetricFamily(
                name, name.hasSuffix("_total") ? .counter : .gauge, help: help[name] ?? "See nightjar explain.",
                series[name] ?? [])
        }
    }
}
