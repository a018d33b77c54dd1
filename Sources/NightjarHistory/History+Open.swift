// Opening: is there a file, is it ours, is it whole? What cannot be used is set aside, never deleted and never written to.

import CSQLite
import Glibc
import NightjarModel

/// Why a store cannot be read: a code, the file, what the system said.
public struct HistoryError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Unreadable, no history of ours, written by a newer agent, or damaged.
    public enum Code: String, Hashable, Sendable {
        case unreadable, foreign, newer, corrupt
    }

    public var code: Code
    public var path: String
    public var detail: String

    /// One line: what, where, and what to do.
    public var description: String {
        switch code {
        case .unreadable: "cannot read history '\(path)': \(detail)"
        case .foreign: "'\(path)' is no history of Nightjar: \(detail)"
        case .newer: "history '\(path)' was written by a newer Nightjar: \(detail)"
        case .corrupt: "history '\(path)' is damaged: \(detail); the agent sets it aside when it starts"
        }
    }
}

extension History {
    /// Opens the file for writing, or begins a new one where that is not possible; else the state is "in memory".
    func connect(_ state: inout State) {
        for _ in 0..<2 {
            do throws(HistoryError) {
                state.database = try Self.openForWriting(path, limits)
                return
            } catch {
                state.database = nil
                guard error.code != .unreadable else { return goOnInMemory(because: error.detail, &state) }
                setAside(error.code.rawValue, because: error.detail, &state)
            }
        }
        goOnInMemory(because: "a new file cannot be begun", &state)
    }

    private static func openForWriting(_ path: String, _ limits: Limits) throws(HistoryError) -> Database {
        try mapped(path) { () throws(DatabaseError) in
            let isNew = (fileSize(path)?.count ?? 0) == 0
            let database = try Database(path, flags: SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)
            if !isNew { try check(database) }
            for setting in Format.settings { try database.run(setting) }
            try database.run("PRAGMA max_page_count = \(limits.fileSize.count / Int64(Format.pageSize))")
            if isNew {
                chmod(path, 0o640)
                try database.transaction { () throws(DatabaseError) in
                    for statement in Format.schema { try database.run(statement) }
                }
            }
            return database
        }
    }

    /// Beside a live agent the log is read too; in a folder that one may not write to, the file alone.
    static func openForReading(_ path: String) throws(HistoryError) -> Database {
        guard fileSize(path) != nil else {
            throw HistoryError(code: .unreadable, path: path, detail: String(cString: strerror(errno)))
        }
        do throws(HistoryError) {
            return try mapped(path) { () throws(DatabaseError) in
                let database = try Database(path, flags: SQLITE_OPEN_READONLY)
                try check(database)
                return database
            }
        } catch  where error.code == .unreadable {
            return try mapped(path) { () throws(DatabaseError) in
                let uri = "file:\(escaped(path))?immutable=1"
                let database = try Database(uri, flags: SQLITE_OPEN_READONLY | SQLITE_OPEN_URI)
                try check(database)
                return database
            }
        }
    }

    /// Ours, not newer, and whole. Reads the file once: 20 ms for 64 MiB in the page cache.
    private static func check(_ database: Database) throws(DatabaseError) {
        let id = try database.integer("PRAGMA application_id") ?? 0
        guard id == Format.applicationID else {
            throw DatabaseError(code: foreignCode, text: "its application_id is \(id)")
        }
        let version = try database.integer("PRAGMA user_version") ?? 0
        guard version <= Format.version else {
            throw DatabaseError(code: newerCode, text: "its format is \(version), this one knows \(Format.version)")
        }
        var verdict = "no answer"
        try database.query("PRAGMA quick_check(1)") { row in
            verdict = row.text(0)
            return false
        }
        guard verdict == "ok" else { throw DatabaseError(code: SQLITE_CORRUPT, text: verdict) }
    }

    private static var foreignCode: Int32 { -1 }
    private static var newerCode: Int32 { -2 }

    private static func mapped<T>(
        _ path: String, _ body: () throws(DatabaseError) -> T
    ) throws(HistoryError) -> T {
        do throws(DatabaseError) {
            return try body()
        } catch {
            let code: HistoryError.Code =
                switch error.code {
                case foreignCode: .foreign
                case newerCode: .newer
                default: error.isCorruption ? .corrupt : .unreadable
                }
            throw HistoryError(code: code, path: path, detail: error.text)
        }
    }

    /// Moves the file and its log out of the way, keeps the newest two of such, and says so.
    func setAside(_ why: String, because detail: String, _ state: inout State) {
        state.database = nil
        let aside = Self.freeName("\(path).\(why)-\(time(nil))")
        var said = "set aside as '\(aside)'"
        if rename(path, aside) != 0 {
            said = "could not be set aside (\(String(cString: strerror(errno))))"
        }
        for suffix in ["-wal", "-shm"] { rename(path + suffix, aside + suffix) }
        state.counters.setAside += 1
        state.notices.append("history '\(path)' is unusable (\(why): \(detail)), \(said), beginning anew")
        removeOldestAside()
    }

    private static func freeName(_ name: String) -> String {
        guard fileSize(name) != nil else { return name }
        return (1...1000).lazy.map { "\(name).\($0)" }.first { fileSize($0) == nil } ?? name
    }

    private func removeOldestAside() {
        let cut = path.lastIndex(of: "/")
        let folder = cut.map { String(path[...$0]) } ?? "./"
        let name = cut.map { String(path[path.index(after: $0)...]) } ?? path
        let aside = Self.names(in: folder).filter { candidate in
            ["corrupt", "foreign", "newer"].contains { candidate.hasPrefix("\(name).\($0)-") }
                && !candidate.hasSuffix("-wal") && !candidate.hasSuffix("-shm")
        }
        let byAge = aside.sorted { Self.modified(folder + $0) < Self.modified(folder + $1) }
        for old in byAge.dropLast(2) {
            for suffix in ["", "-wal", "-shm"] { unlink(folder + old + suffix) }
        }
    }

    private static func names(in folder: String) -> [String] {
        guard let directory = opendir(folder) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            names.append(
                withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) })
        }
        return names
    }

    private static func modified(_ path: String) -> Int64 {
        var status = stat()
        return stat(path, &status) == 0
            ? Int64(status.st_mtim.tv_sec) * 1_000_000_000 + Int64(status.st_mtim.tv_nsec) : 0
    }

    static func fileSize(_ path: String) -> Bytes? {
        var status = stat()
        return stat(path, &status) == 0 ? Bytes(Int64(status.st_size)) : nil
    }

    /// A path inside a `file:` URI.
    private static func escaped(_ path: String) -> String {
        let digits = Array("0123456789ABCDEF")
        return path.utf8.reduce(into: "") { out, byte in
            switch byte {
            case UInt8(ascii: "%"), UInt8(ascii: "?"), UInt8(ascii: "#"):
                out += "%\(digits[Int(byte >> 4)])\(digits[Int(byte & 15)])"
            default: out.unicodeScalars.append(Unicode.Scalar(byte))
            }
        }
    }
}
