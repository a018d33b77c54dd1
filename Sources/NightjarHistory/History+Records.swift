// What is kept, and how it is asked for. Reads answer from disk and from what is still unsaved, as if they were one.

public import NightjarModel
import Synchronization

extension History {
    // MARK: Detectors' state, and the alert book's

    /// Saves in one transaction; rows whose bytes did not change are not written.
    public func save(states: [(key: String, bytes: [UInt8])], removing keys: [String] = []) {
        write { unsaved in
            for key in keys { unsaved.states.updateValue(nil, forKey: key) }
            for (key, bytes) in states { unsaved.states.updateValue(bytes, forKey: key) }
        }
    }

    /// Saves these, and removes every other key that begins with one of `prefixes`.
    public func replaceStates(prefixes: [String], _ states: [(key: String, bytes: [UInt8])]) {
        let kept = Set(states.map(\.key))
        let stale = prefixes.flatMap { stateKeys(prefix: $0) }.filter { !kept.contains($0) }
        save(states: states, removing: stale)
    }

    /// All states whose key begins with `prefix`, ordered by key.
    public func loadStates(prefix: String = "") -> [(key: String, bytes: [UInt8])] {
        read { database, unsaved throws(DatabaseError) in
            var found: [String: [UInt8]] = [:]
            try database?.query("SELECT key, bytes FROM states WHERE substr(key, 1, ?) = ?", Self.prefixed(prefix)) {
                found[$0.text(0)] = $0.blob(1)
                return true
            }
            for (key, bytes) in unsaved.states where key.hasPrefix(prefix) { found[key] = bytes }
            return found.sorted { $0.key < $1.key }.map { (key: $0.key, bytes: $0.value) }
        } ?? []
    }

    private func stateKeys(prefix: String) -> [String] {
        read { database, unsaved throws(DatabaseError) in
            var found = Set(unsaved.states.keys.filter { $0.hasPrefix(prefix) })
            try database?.query("SELECT key FROM states WHERE substr(key, 1, ?) = ?", Self.prefixed(prefix)) {
                found.insert($0.text(0))
                return true
            }
            return Array(found)
        } ?? []
    }

    private static func prefixed(_ prefix: String) -> [Database.Value] {
        [.integer(Int64(prefix.unicodeScalars.count)), .text(prefix)]
    }

    // MARK: Alerts

    /// Takes firing and resolved alerts; pending ones are the alert book's own.
    public func saveAlerts(_ alerts: [Alert]) {
        let told = alerts.filter { $0.state != .pending }
        guard !told.isEmpty else { return }
        write { unsaved in for alert in told { unsaved.alerts[alert.id] = alert } }
    }

    /// Open alerts, and those that ended at or after `since`: open ones first, then the latest end first.
    public func alerts(since: Moment, limit: Int = 500) -> [Alert] {
        let open = Moment(nanoseconds: .max)
        return loadAlerts("WHERE resolved_at IS NULL OR resolved_at >= ?", [.integer(since.nanoseconds)], limit)
            .filter { $0.resolvedAt.map { $0 >= since } ?? true }
            .sorted { ($0.resolvedAt ?? open, $0.startedAt, $0.id) > ($1.resolvedAt ?? open, $1.startedAt, $1.id) }
            .prefix(limit).map(\.self)
    }

    /// By its whole id, or by its eight digits: the latest episode.
    public func alert(id: String) -> Alert? {
        loadAlerts("WHERE id = ? OR substr(id, 1, ?) = ?", [.text(id)] + Self.prefixed(id + "-"), 10_000)
            .filter { $0.id == id || $0.id.hasPrefix(id + "-") }
            .max { ($0.startedAt, $0.id) < ($1.startedAt, $1.id) }
    }

    /// Ends alerts of which the book no longer knows (its records were lost), so that none stays open for ever.
    public func endAlerts(exceptFor known: Set<String>, at now: Moment) {
        let open = loadAlerts("WHERE resolved_at IS NULL", [], 10_000)
        saveAlerts(
            open.filter { $0.state == .firing && !known.contains($0.id) }.map { alert in
                var alert = alert
                alert.state = .resolved
                alert.resolvedAt = now
                return alert
            })
    }

    private func loadAlerts(_ condition: String, _ values: [Database.Value], _ limit: Int) -> [Alert] {
        let query = "SELECT id, body FROM alerts \(condition) ORDER BY coalesce(resolved_at, 1 << 62) DESC LIMIT ?"
        var damaged = 0
        let found: [Alert]? = read { database, unsaved throws(DatabaseError) in
            var found = unsaved.alerts
            try database?.query(query, values + [.integer(Int64(limit))]) { row in
                guard found[row.text(0)] == nil else { return true }
                var reader = StateReader(row.blob(1))
                if let alert = try? Alert(from: &reader) { found[alert.id] = alert } else { damaged += 1 }
                return true
            }
            return Array(found.values)
        }
        if damaged > 0 { locked { $0.counters.lost += Int64(damaged) } }
        return found ?? []
    }

    // MARK: Silences, lives, and the rest

    /// Replaces all silences.
    public func saveSilences(_ silences: [Silence]) {
        write { $0.silences = silences }
    }

    /// All silences that were last saved.
    public func silences() -> [Silence] {
        read { database, unsaved throws(DatabaseError) in
            if let silences = unsaved.silences { return silences }
            var found: [Silence] = []
            try database?.query("SELECT body FROM silences ORDER BY id") { row in
                var reader = StateReader(row.blob(0))
                if let silence = try? Silence(from: &reader) { found.append(silence) }
                return true
            }
            return found
        } ?? []
    }

    /// A unit's earlier lives, as their detector encodes them, by the identity of the subject.
    public func saveLives(_ lives: [(subject: String, bytes: [UInt8])]) {
        guard !lives.isEmpty else { return }
        write { unsaved in for life in lives { unsaved.lives[life.subject] = life.bytes } }
    }

    /// All lives, by the identity of their subject.
    public func loadLives() -> [(subject: String, bytes: [UInt8])] {
        read { database, unsaved throws(DatabaseError) in
            var found = unsaved.lives
            try database?.query("SELECT subject, bytes FROM lives") { row in
                let subject = row.text(0)
                if found[subject] == nil { found[subject] = row.blob(1) }
                return true
            }
            return found.sorted { $0.key < $1.key }.map { (subject: $0.key, bytes: $0.value) }
        } ?? []
    }

    /// Small facts about the agent itself: its version, when it last stopped.
    public func set(_ key: String, _ value: String) {
        write { $0.meta[key] = value }
    }

    /// A small fact, or nil where it was never set.
    public func get(_ key: String) -> String? {
        let found: String?? = read { database, unsaved throws(DatabaseError) in
            if let value = unsaved.meta[key] { return value }
            var found: String?
            try database?.query("SELECT value FROM meta WHERE key = ?", [.text(key)]) { row in
                found = row.text(0)
                return false
            }
            return found
        }
        return found ?? nil
    }

    /// Retention: ended alerts by age and number, lives of units long gone. Gives freed pages back. Once an hour is enough.
    public func prune(at now: Moment) {
        let oldest = (now - limits.retention).nanoseconds
        let prunings = [
            "DELETE FROM alerts WHERE resolved_at < \(oldest)",
            """
            DELETE FROM alerts WHERE id IN (SELECT id FROM alerts WHERE resolved_at IS NOT NULL \
            ORDER BY resolved_at DESC LIMIT -1 OFFSET \(limits.endedAlerts))
            """,
            "DELETE FROM lives WHERE updated_at < \(oldest)",
            "PRAGMA incremental_vacuum",
        ]
        _ = read { database, _ throws(DatabaseError) in
            guard let database, !isReadOnly else { return }
            for pruning in prunings { try database.run(pruning) }
        }
    }

    /// One access under the lock. A damaged file is set aside, and the answer comes from what is left.
    private func read<T>(_ body: (Database?, Unsaved) throws(DatabaseError) -> T) -> T? {
        locked { state in
            do throws(DatabaseError) {
                return try body(state.database, state.unsaved)
            } catch {
                state.counters.failures += 1
                if error.isCorruption, !isReadOnly {
                    setAside("corrupt", because: error.text, &state)
                    connect(&state)
                }
                return try? body(nil, state.unsaved)
            }
        }
    }
}
