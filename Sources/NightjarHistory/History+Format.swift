// What lies on disk: one SQLite file, `history.db`, beside it SQLite's own write-ahead log and its index.
//
//     history.db      application_id "Njar"   user_version 1   4 KiB pages, at most `Limits.fileSize`
//     ├── meta        key TEXT ─▶ value TEXT                        agent version, last shutdown, …
//     ├── states      key TEXT ─▶ bytes BLOB                        `HeapGrowth/checkout.service/…`, `alert/3f09a1c2`, …
//     ├── lives       subject TEXT ─▶ updated_at, bytes BLOB        a unit's earlier lives
//     ├── alerts      id TEXT ─▶ detector, subject, unit, severity, started_at, resolved_at (NULL = open), body BLOB
//     │               └── index by (resolved_at, started_at)
//     └── silences    id TEXT ─▶ until (NULL = by size), body BLOB
//     history.db-wal  commits that are not yet in the file; cut to 1 MiB after each checkpoint
//     history.db-shm  its index, shared with readers (`nightjar alerts` without an agent)
//     history.db.corrupt-1764128220   a file that could not be used, set aside; the newest two are kept
//
// Times are nanoseconds since 1970. Bodies are what StateCoding.swift of NightjarModel writes: versioned, and refused
// as a whole when damaged. Columns beside a body repeat what is searched for, nothing is only in them.
// A newer user_version is never written to: the file is set aside, whole.

enum Format {
    /// "Njar".
    static let applicationID: Int64 = 0x4E6A_6172
    static let version: Int64 = 1
    static let pageSize = 4096

    /// Small on purpose: the agent reads it once and writes little. Measured in HistoryWeight of Tests/Benchmarks.
    static let settings = [
        "PRAGMA page_size = 4096",
        "PRAGMA auto_vacuum = INCREMENTAL",
        "PRAGMA journal_mode = WAL",
        "PRAGMA synchronous = NORMAL",
        "PRAGMA cache_size = -64",
        "PRAGMA mmap_size = 0",
        "PRAGMA wal_autocheckpoint = 128",
        "PRAGMA journal_size_limit = 1048576",
        "PRAGMA temp_store = MEMORY",
    ]

    static let schema = [
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
        "CREATE TABLE states (key TEXT PRIMARY KEY, bytes BLOB NOT NULL)",
        "CREATE TABLE lives (subject TEXT PRIMARY KEY, updated_at INTEGER NOT NULL, bytes BLOB NOT NULL)",
        """
        CREATE TABLE alerts (id TEXT PRIMARY KEY, detector TEXT NOT NULL, subject TEXT NOT NULL, unit TEXT, \
        severity INTEGER NOT NULL, started_at INTEGER NOT NULL, resolved_at INTEGER, body BLOB NOT NULL)
        """,
        "CREATE INDEX alerts_by_time ON alerts (resolved_at, started_at)",
        "CREATE TABLE silences (id TEXT PRIMARY KEY, until INTEGER, body BLOB NOT NULL)",
        "PRAGMA application_id = \(applicationID)",
        "PRAGMA user_version = \(version)",
    ]
}
