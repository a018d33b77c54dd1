// What the agent remembers over its own restarts: detectors' state, alerts, silences, the earlier lives of units.
//
// Everything is first taken into memory (`Unsaved`), then written in one transaction, then forgotten there. When the
// disk refuses — full, read-only, gone — it simply stays in memory: reads answer from both, nothing above notices, and
// every later save tries again. That is said once when it begins and once when it ends.
//
//     save ──▶ unsaved ──commit──▶ history.db
//                 ╰───── reads ◀──────╯
//
// A file that is damaged, belongs to another program, or was written by a newer Nightjar is set aside with its name and
// a time, a new one is begun, and that is said. An alert that cannot be decoded is counted and left out.
//
// Calls may wait for the disk, so they belong on a thread of their own and never into a sampling round. What it says
// of itself (`condition`, `counters`, `takeNotices`) never waits, not even while a write hangs.

import CSQLite
import Glibc
public import NightjarModel
import Synchronization

/// The embedded store. Safe to call from any thread.
public final class History: Sendable {
    /// Every size that it may reach.
    public struct Limits: Hashable, Sendable {
        /// Size of the file at most; the oldest ended alerts give way, then it says that it is full.
        public var fileSize: Bytes = .mebi(64)
        /// Ended alerts kept, by number and by age; the lives of units not seen for as long go too.
        public var endedAlerts = 10_000
        public var retention: Duration = .days(90)
        /// Alerts held in memory while the disk refuses.
        public var unsavedAlerts = 1000
        /// While the disk refuses, it is asked again this often.
        public var retryEvery: Duration = .seconds(30)

        public init() {}
    }

    /// Where it writes at present.
    public enum Condition: Hashable, Sendable {
        case disk
        /// In memory only, and why.
        case memory(String)
    }

    /// What it did and could not do since it was opened.
    public struct Counters: Hashable, Sendable {
        public var commits: Int64 = 0
        /// Rows that a commit really changed.
        public var rowsWritten: Int64 = 0
        public var failures: Int64 = 0
        /// Files set aside.
        public var setAside: Int64 = 0
        /// Rows that could not be decoded, and alerts that found no room in memory.
        public var lost: Int64 = 0

        public init() {}
    }

    struct State {
        var database: Database?
        var unsaved = Unsaved()
        var condition = Condition.disk
        var counters = Counters()
        var notices: [String] = []
        var retryAt: Moment?
        var isClosed = false
    }

    let path: String
    let limits: Limits
    let isReadOnly: Bool
    private let state: Mutex<State>
    private let said = Mutex(Said())

    /// What can be asked while the disk hangs: a copy, as of the last call that came back.
    private struct Said {
        var condition = Condition.disk
        var counters = Counters()
        var notices: [String] = []
    }

    private init(_ path: String, limits: Limits, readOnly database: Database?) {
        self.path = path
        self.limits = limits
        isReadOnly = database != nil
        state = Mutex(State(database: database))
    }

    /// Opens or makes the store. Never fails: what cannot be opened is worked on in memory, and `takeNotices` says so.
    public static func open(_ path: String, limits: Limits = Limits()) -> History {
        let history = History(path, limits: limits, readOnly: nil)
        history.locked { history.connect(&$0) }
        return history
    }

    /// For reading beside a running agent, or without one. Changes nothing on disk.
    public static func openReadOnly(_ path: String) throws(HistoryError) -> History {
        History(path, limits: Limits(), readOnly: try openForReading(path))
    }

    /// What happened that a person should know, one line each; each is handed out once.
    public func takeNotices() -> [String] {
        said.withLock { said in
            defer { said.notices = [] }
            return said.notices
        }
    }

    /// Where it writes, and what it did, as of the last call that came back.
    public var condition: Condition { said.withLock { $0.condition } }
    public var counters: Counters { said.withLock { $0.counters } }

    /// One call at a time; what it changed is said afterwards.
    func locked<T>(_ body: (inout State) -> T) -> T {
        state.withLock { state in
            defer {
                said.withLock { said in
                    said.condition = state.condition
                    said.counters = state.counters
                    said.notices += state.notices
                }
                state.notices = []
            }
            return body(&state)
        }
    }

    /// Size of the database file and its log; nil where there is none.
    public var size: Bytes? {
        let sizes = [path, path + "-wal"].compactMap(Self.fileSize)
        return sizes.isEmpty ? nil : sizes.reduce(.zero, +)
    }

    /// Writes what is left and lets go of the file. Later saves stay in memory.
    public func close() {
        locked { state in
            if !isReadOnly {
                flush(&state, force: true)
                try? state.database?.run("PRAGMA wal_checkpoint(TRUNCATE)")
            }
            state.database = nil
            state.isClosed = true
        }
    }
}

// MARK: - Writing

extension History {
    /// Adds to what is unsaved, then tries to write all of it.
    func write(_ change: (inout Unsaved) -> Void) {
        locked { state in
            change(&state.unsaved)
            state.counters.lost += Int64(state.unsaved.boundAlerts(to: limits.unsavedAlerts))
            flush(&state)
        }
    }

    private func flush(_ state: inout State, force: Bool = false) {
        guard !state.unsaved.isEmpty, !state.isClosed, !isReadOnly else { return }
        if !force, let retryAt = state.retryAt, Self.monotonic() < retryAt { return }
        if state.database == nil { connect(&state) }
        guard state.database != nil else { return }
        do throws(DatabaseError) {
            try commit(&state)
        } catch {
            recover(from: error, &state)
        }
    }

    private func commit(_ state: inout State) throws(DatabaseError) {
        guard let database = state.database else { return }
        let before = database.changes
        let unsaved = state.unsaved
        try database.transaction { () throws(DatabaseError) in try unsaved.write(to: database) }
        state.counters.commits += 1
        state.counters.rowsWritten += database.changes - before
        state.unsaved = Unsaved()
        state.retryAt = nil
        if case .memory = state.condition {
            state.condition = .disk
            state.notices.append("history is on disk again: '\(path)', \(unsaved.rows) rows written")
        }
    }

    /// Damaged: a new file. Full: older alerts give way. Anything else, or in vain: on in memory.
    private func recover(from error: DatabaseError, _ state: inout State) {
        state.counters.failures += 1
        do throws(DatabaseError) {
            if error.isCorruption {
                setAside("corrupt", because: error.text, &state)
                connect(&state)
                try commit(&state)
            } else if error.isFull, try makeRoom(&state) {
                try commit(&state)
            } else {
                goOnInMemory(because: error.text, &state)
            }
        } catch {
            goOnInMemory(because: error.text, &state)
        }
    }

    func goOnInMemory(because reason: String, _ state: inout State) {
        state.retryAt = Self.monotonic() + limits.retryEvery
        if case .memory = state.condition { return }
        state.condition = .memory(reason)
        state.notices.append("cannot write history '\(path)': \(reason), going on in memory")
    }

    /// Half of the ended alerts go, where the file itself is at its limit. False where it is the disk that is full.
    private func makeRoom(_ state: inout State) throws(DatabaseError) -> Bool {
        guard let database = state.database, let pages = try database.integer("PRAGMA page_count"),
            let free = try database.integer("PRAGMA freelist_count"),
            (pages - free) * Int64(Format.pageSize) * 8 > limits.fileSize.count * 7
        else { return false }
        try database.run(
            """
            DELETE FROM alerts WHERE id IN (SELECT id FROM alerts WHERE resolved_at IS NOT NULL ORDER BY resolved_at \
            LIMIT (SELECT count(*) / 2 + 1 FROM alerts WHERE resolved_at IS NOT NULL))
            """)
        state.notices.append(
            "history '\(path)' reached \(limits.fileSize): the older half of the ended alerts was removed")
        return true
    }

    /// The steady clock, for retries only.
    private static func monotonic() -> Moment {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        return Moment(nanoseconds: Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec))
    }
}
