import NightjarSources

/// What a watch swallowed and counted: for `nightjar_errors_total{room,code}`.
public struct WatchError: Hashable, Sendable {
    /// `disks` or `logs`.
    public var room: String
    /// `unreadable`, `refused`, `malformed`.
    public var code: String
    public var count: Int
}

extension DiskWatch {
    /// Counted since the start.
    public var errors: [WatchError] {
        [
            WatchError(room: "disks", code: "unreadable", count: reader.failures),
            WatchError(room: "disks", code: "malformed", count: reader.table.malformed),
            WatchError(room: "disks", code: "refused", count: looks.refused + walks.refused),
        ].filter { $0.count > 0 }
    }
}

extension LogWatch {
    /// Counted since the start.
    public var errors: [WatchError] {
        [
            WatchError(room: "logs", code: "unreadable", count: lastRound?.failures ?? 0),
            WatchError(room: "logs", code: "refused", count: dropped),
        ].filter { $0.count > 0 }
    }
}
