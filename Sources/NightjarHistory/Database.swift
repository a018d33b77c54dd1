import CSQLite

/// What SQLite said, kept whole: the agent decides by the code and prints the text.
struct DatabaseError: Error, Hashable {
    var code: Int32
    var text: String

    /// The file itself is not, or no longer, a database.
    var isCorruption: Bool { code & 0xFF == SQLITE_CORRUPT || code & 0xFF == SQLITE_NOTADB }
    var isFull: Bool { code & 0xFF == SQLITE_FULL }
}

/// One connection. Not for two threads at once: its owner holds a lock.
final class Database: @unchecked Sendable {
    private var connection: OpaquePointer?

    /// `flags` as of `sqlite3_open_v2`; `busyMilliseconds` is the longest wait for another connection's lock.
    init(_ path: String, flags: Int32, busyMilliseconds: Int32 = 1000) throws(DatabaseError) {
        let code = sqlite3_open_v2(path, &connection, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nil)
        guard code == SQLITE_OK else {
            let error = failure(code)
            sqlite3_close_v2(connection)
            connection = nil
            throw error
        }
        sqlite3_busy_timeout(connection, busyMilliseconds)
    }

    deinit { sqlite3_close_v2(connection) }

    func run(_ sql: String) throws(DatabaseError) {
        let code = sqlite3_exec(connection, sql, nil, nil, nil)
        guard code == SQLITE_OK else { throw failure(code) }
    }

    /// All in one transaction: everything of `body`, or nothing.
    func transaction(_ body: () throws(DatabaseError) -> Void) throws(DatabaseError) {
        try run("BEGIN IMMEDIATE")
        do throws(DatabaseError) {
            try body()
            try run("COMMIT")
        } catch {
            // A failed COMMIT may have rolled back by itself; then this one has nothing to do.
            try? run("ROLLBACK")
            throw error
        }
    }

    /// Rows of a query, one at a time; stops where `body` answers false.
    func query(
        _ sql: String, _ values: [Value] = [], _ body: (Row) -> Bool
    ) throws(DatabaseError) {
        let statement = try Statement(sql, self)
        try statement.bind(values)
        while try statement.step() {
            guard body(Row(statement: statement.handle)) else { return }
        }
    }

    func integer(_ sql: String) throws(DatabaseError) -> Int64? {
        var found: Int64?
        try query(sql) { row in
            found = row.integer(0)
            return false
        }
        return found
    }

    /// Rows that inserts, updates and deletes really changed since the connection was opened.
    var changes: Int64 { sqlite3_total_changes64(connection) }

    fileprivate func failure(_ code: Int32) -> DatabaseError {
        let text = connection.map { String(cString: sqlite3_errmsg($0)) } ?? String(cString: sqlite3_errstr(code))
        return DatabaseError(code: code, text: text)
    }

    fileprivate func prepare(_ sql: String) throws(DatabaseError) -> OpaquePointer? {
        var statement: OpaquePointer?
        let code = sqlite3_prepare_v2(connection, sql, -1, &statement, nil)
        guard code == SQLITE_OK else { throw failure(code) }
        return statement
    }

    /// What goes into a statement.
    enum Value {
        case null, integer(Int64), text(String), blob([UInt8])

        static func optional(_ value: Int64?) -> Value { value.map(Value.integer) ?? .null }
        static func optional(_ value: String?) -> Value { value.map(Value.text) ?? .null }
    }

    /// The row at which a query stands.
    struct Row {
        fileprivate let statement: OpaquePointer?

        func integer(_ column: Int32) -> Int64? {
            sqlite3_column_type(statement, column) == SQLITE_NULL ? nil : sqlite3_column_int64(statement, column)
        }

        func text(_ column: Int32) -> String {
            // With its length, since names from outside may hold a zero byte.
            let bytes = sqlite3_column_text(statement, column)
            let count = Int(sqlite3_column_bytes(statement, column))
            return String(decoding: UnsafeBufferPointer(start: bytes, count: bytes == nil ? 0 : count), as: UTF8.self)
        }

        func blob(_ column: Int32) -> [UInt8] {
            let bytes = sqlite3_column_blob(statement, column)
            let count = Int(sqlite3_column_bytes(statement, column))
            return Array(UnsafeRawBufferPointer(start: bytes, count: bytes == nil ? 0 : count))
        }
    }

    /// One prepared statement, run over and over with other values.
    final class Statement {
        fileprivate let handle: OpaquePointer?
        private let database: Database

        init(_ sql: String, _ database: Database) throws(DatabaseError) {
            self.database = database
            handle = try database.prepare(sql)
        }

        deinit { sqlite3_finalize(handle) }

        func run(_ values: [Value]) throws(DatabaseError) {
            try bind(values)
            defer { sqlite3_reset(handle) }
            _ = try step()
        }

        fileprivate func bind(_ values: [Value]) throws(DatabaseError) {
            for (index, value) in values.enumerated() {
                let code = bind(value, at: Int32(index + 1))
                guard code == SQLITE_OK else { throw database.failure(code) }
            }
        }

        private func bind(_ value: Value, at position: Int32) -> Int32 {
            // SQLITE_TRANSIENT, which the importer cannot see: SQLite copies before the call returns.
            let copied = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
            switch value {
            case .null: return sqlite3_bind_null(handle, position)
            case .integer(let value): return sqlite3_bind_int64(handle, position, value)
            case .text(var value):
                guard !value.isEmpty else { return sqlite3_bind_text(handle, position, "", 0, copied) }
                return value.withUTF8 {
                    $0.withMemoryRebound(to: CChar.self) {
                        sqlite3_bind_text(handle, position, $0.baseAddress, Int32($0.count), copied)
                    }
                }
            case .blob(let bytes):
                guard !bytes.isEmpty else { return sqlite3_bind_zeroblob(handle, position, 0) }
                return bytes.withUnsafeBytes {
                    sqlite3_bind_blob(handle, position, $0.baseAddress, Int32($0.count), copied)
                }
            }
        }

        /// True while there is a row.
        fileprivate func step() throws(DatabaseError) -> Bool {
            switch sqlite3_step(handle) {
            case SQLITE_ROW: return true
            case SQLITE_DONE: return false
            case let code: throw database.failure(code)
            }
        }
    }
}
