// What `nightjar logs`, `/api/v1/logs` and the metrics show of the logs.

import NightjarDetectors
public import NightjarModel
public import NightjarSources

/// The logs at one moment, the loudest first.
public struct LogSnapshot: Hashable, Sendable {
    /// One source.
    public struct Row: Hashable, Sendable {
        /// A path, or a unit of the journal.
        public var source: String
        public var isFile: Bool
        /// Bytes a second now.
        public var pace: Double
        public var lastHour: Bytes
        public var lastDay: Bytes
        public var size: Bytes?
        /// Bytes since it is watched: a counter.
        public var total: Double
        /// Times the usual of this hour; nil in the first two days.
        public var ratio: Double?
        public var isFlood: Bool
        public var writer: NamedProcess?
        public var templates: [LogTemplate]
        public var debugShare: Double
        public var suppressed: Int64
    }

    public var time: Moment
    public var rows: [Row]
    /// What all sources wrote since they are watched, those not listed included.
    public var total: Double
    /// What could not be seen, in whole lines.
    public var notes: [String]
}

extension LogWatch {
    /// What is known now, at most `limit` sources; asks nothing.
    public func snapshot(limit: Int = 50) -> LogSnapshot {
        let rows = sources.map { name, source in
            LogSnapshot.Row(
                source: name, isFile: source.isFile, pace: source.pace, lastHour: source.bytes(hours: 1),
                lastDay: source.bytes(hours: 24), size: source.size, total: source.total,
                ratio: source.flood.state.ratio, isFlood: source.flood.state.isFlood, writer: source.detail?.writer,
                templates: source.detail?.templates ?? [], debugShare: source.detail?.debugShare ?? 0,
                suppressed: source.suppressed)
        }
        var notes = lastRound?.notes ?? []
        if let stuckFor { notes.append("reading logs has hung for \(stuckFor.spoken)") }
        if dropped > 0 { notes.append("\(dropped) readings of sources over the limit of \(Self.maximumSources)") }
        let sorted = rows.sorted {
            ($0.isFlood ? 1 : 0, $0.pace, $0.lastDay.count, $1.source)
                > ($1.isFlood ? 1 : 0, $1.pace, $1.lastDay.count, $0.source)
        }
        return LogSnapshot(
            time: now, rows: Array(sorted.prefix(limit)), total: rows.reduce(0) { $0 + $1.total }, notes: notes)
    }
}

extension LogSnapshot {
    /// The whole snapshot as one JSON object.
    public var json: JSON {
        .object([
            ("time_s", .double(time.seconds)), ("logs", .array(rows.map(\.json))),
            ("notes", .array(notes.map(JSON.string))),
        ])
    }

    /// For `/metrics`: two series for each of the 20 loudest sources, the rest summed as `other`.
    public var metrics: [(name: String, labels: [(String, String)], value: Double)] {
        var out: [(name: String, labels: [(String, String)], value: Double)] = []
        var shown = 0.0
        for row in rows.prefix(20) {
            out.append(("nightjar_log_bytes_total", [("source", row.source)], row.total))
            shown += row.total
        }
        if total > shown { out.append(("nightjar_log_bytes_total", [("source", "other")], total - shown)) }
        for row in rows.prefix(20) {
            if let ratio = row.ratio { out.append(("nightjar_log_flood_ratio", [("source", row.source)], ratio)) }
        }
        return out
    }
}

extension LogSnapshot.Row {
    var json: JSON {
        .object([
            ("source", .string(source)), ("kind", .string(isFile ? "file" : "journal")),
            ("pace_bytes_per_second", .double(pace.rounded())), ("last_hour_bytes", .int(lastHour.count)),
            ("last_day_bytes", .int(lastDay.count)), ("size_bytes", .optional(size?.count)),
            ("total_bytes", .double(total.rounded())), ("ratio", .optional(ratio.map { ($0 * 10).rounded() / 10 })),
            ("flood", .bool(isFlood)), ("writer", writer?.json ?? .null),
            ("templates", .array(templates.map(\.json))),
            ("debug_share", .double((debugShare * 1000).rounded() / 1000)),
            ("suppressed", .int(suppressed)),
        ])
    }
}
