import NightjarModel

/// What is not on disk: for a moment before each commit, and for as long as the disk refuses.
struct Unsaved {
    /// nil: the key is to be removed.
    var states: [String: [UInt8]?] = [:]
    var lives: [String: [UInt8]] = [:]
    var meta: [String: String] = [:]
    var alerts: [String: Alert] = [:]
    var silences: [Silence]?

    var isEmpty: Bool {
        states.isEmpty && lives.isEmpty && meta.isEmpty && alerts.isEmpty && silences == nil
    }

    var rows: Int { states.count + lives.count + meta.count + alerts.count + (silences?.count ?? 0) }

    /// Holds no more than `limit` alerts: the ones that ended first go. Answers how many went.
    mutating func boundAlerts(to limit: Int) -> Int {
        guard alerts.count > limit else { return 0 }
        let newest = Moment(nanoseconds: .max)
        let order = alerts.values.sorted {
            ($0.resolvedAt ?? newest, $0.startedAt) < ($1.resolvedAt ?? newest, $1.startedAt)
        }
        for alert in order.prefix(alerts.count - limit) { alerts[alert.id] = nil }
        return order.count - limit
    }

    /// Writes everything; the caller has begun a transaction.
    func write(to database: Database) throws(DatabaseError) {
        try writeStates(to: database)
        try writeAlerts(to: database)
        let life = try Database.Statement(
            """
            INSERT INTO lives VALUES (?, CAST(strftime('%s') AS INTEGER) * 1000000000, ?) \
            ON CONFLICT DO UPDATE SET bytes = excluded.bytes, updated_at = excluded.updated_at \
            WHERE bytes IS NOT excluded.bytes
            """, database)
        for (subject, bytes) in lives { try life.run([.text(subject), .blob(bytes)]) }
        let entry = try Database.Statement("INSERT OR REPLACE INTO meta VALUES (?, ?)", database)
        for (key, value) in meta { try entry.run([.text(key), .text(value)]) }
        guard let silences else { return }
        try database.run("DELETE FROM silences")
        let row = try Database.Statement("INSERT OR REPLACE INTO silences VALUES (?, ?, ?)", database)
        for silence in silences {
            var body = StateWriter()
            silence.encode(into: &body)
            try row.run([.text(silence.id), .optional(silence.until?.nanoseconds), .blob(body.bytes)])
        }
    }

    /// A row whose bytes are the same is read, and not written.
    private func writeStates(to database: Database) throws(DatabaseError) {
        let upsert = try Database.Statement(
            """
            INSERT INTO states VALUES (?, ?) ON CONFLICT DO UPDATE SET bytes = excluded.bytes \
            WHERE bytes IS NOT excluded.bytes
            """, database)
        let delete = try Database.Statement("DELETE FROM states WHERE key = ?", database)
        for (key, bytes) in states {
            if let bytes {
                try upsert.run([.text(key), .blob(bytes)])
            } else {
                try delete.run([.text(key)])
            }
        }
    }

    private func writeAlerts(to database: Database) throws(DatabaseError) {
        let upsert = try Database.Statement("INSERT OR REPLACE INTO alerts VALUES (?, ?, ?, ?, ?, ?, ?, ?)", database)
        for alert in alerts.values {
            var body = StateWriter()
            alert.encode(into: &body)
            try upsert.run([
                .text(alert.id), .text(alert.finding.detector), .text(alert.identity.subject),
                .optional(alert.finding.subject.unit), .integer(Int64(alert.worst.rawValue)),
                .integer(alert.startedAt.nanoseconds), .optional(alert.resolvedAt?.nanoseconds), .blob(body.bytes),
            ])
        }
    }
}
