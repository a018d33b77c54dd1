internal import CNightjarLogFile
import Synchronization

/// Something about the log itself that its owner should hear of, outside the log.
public struct LogNotice: Sendable, Hashable {
    /// What happened, as a word that machines can filter by.
    public enum Kind: String, Sendable, Hashable, CaseIterable {
        /// The disk is full and own files cannot make room.
        case diskFull = "disk_full"
        /// Writing fails for another reason.
        case unwritable
        /// Free space fell below the floor: only errors are written.
        case belowFloor = "below_floor"
        /// It can be written again.
        case recovered
        /// Records begin to be left out; says of which kind and how many.
        case leavingOut = "leaving_out"
        /// Error lines were lost.
        case errorsLost = "errors_lost"
        /// The library for compression is not installed.
        case compressionMissing = "compression_missing"
        /// A temporary level began or ended.
        case levelOverride = "level_override"
    }

    public var kind: Kind
    public var path: String
    /// One sentence with figures, without a full stop.
    public var text: String

    /// syslog's priority: 3 error, 4 warning, 5 notice.
    public var priority: Int {
        switch kind {
        case .diskFull, .unwritable, .errorsLost: 3
        case .belowFloor, .leavingOut, .compressionMissing: 4
        case .recovered, .levelOverride: 5
        }
    }
}

/// Says each kind of notice at most once a minute and never waits: what is told about a full disk must not fill anything.
final class NoticeTeller: Sendable {
    private let target: LogFileConfiguration.Notices
    private let journal: String
    private let lastTold = Guarded<[LogNotice.Kind: UInt64]>([:])
    let suppressed = Atomic<UInt64>(0)

    static let interval: UInt64 = 60_000_000_000

    init(_ target: LogFileConfiguration.Notices, journal: String = "/run/systemd/journal/socket") {
        self.target = target
        self.journal = journal
    }

    func tell(_ notice: LogNotice) {
        let now = Clock.monotonic()
        let isDue = lastTold.withLock { told in
            if let last = told[notice.kind], now - last < NoticeTeller.interval { return false }
            told[notice.kind] = now
            return true
        }
        guard isDue else {
            suppressed.wrappingAdd(1, ordering: .relaxed)
            return
        }
        switch target {
        case .silent: return
        case .call(let listener): listener(notice)
        case .standardError: standardError(notice)
        case .automatic: if !toJournal(notice) { standardError(notice) }
        }
    }

    private func standardError(_ notice: LogNotice) {
        let line = Array("nightjar log \(notice.path): \(notice.text)\n".utf8)
        nj_log_standard_error(line, line.count)
    }

    // journald's native protocol: one datagram of KEY=value lines.
    func toJournal(_ notice: LogNotice) -> Bool {
        let path = notice.path.replacing("\n", with: " ")
        let text = notice.text.replacing("\n", with: " ")
        let entry = Array(
            """
            MESSAGE=\(path): \(text)
            PRIORITY=\(notice.priority)
            SYSLOG_IDENTIFIER=nightjar-log
            NIGHTJAR_LOG_NOTICE=\(notice.kind.rawValue)
            NIGHTJAR_LOG_PATH=\(path)

            """.utf8)
        return nj_log_datagram(journal, entry, entry.count) == 0
    }
}

extension String {
    fileprivate func replacing(_ old: Character, with new: Character) -> String {
        contains(old) ? String(map { $0 == old ? new : $0 }) : self
    }
}
