import Glibc
import Logging
import NightjarLogFile

// What the agent says of itself: one line where a decision to go on is made. It goes to standard error with the priority
// prefix that journald understands (sd-daemon(3)), and to its own log file through NightjarLogFile, which cannot fill
// the disk.

/// The agent's own voice.
public final class OwnLog {
    private let file: LogFile?
    private let logger: Logger?
    private let hasJournal: Bool
    private let level: Logger.Level

    /// `directory` nil: standard error alone.
    public init(directory: String?, level: String, maxBytes: Int64) {
        self.level = Logger.Level(rawValue: level) ?? .info
        hasJournal = getenv("JOURNAL_STREAM") != nil
        guard let directory, Paths.makeFolder(directory, mode: 0o750), access(directory, W_OK) == 0 else {
            file = nil
            logger = nil
            return
        }
        let chosen = self.level
        let file = LogFile("\(directory)/nightjard.log") { settings in
            settings.level = chosen
            settings.retention.totalBytes = Int(maxBytes)
            settings.rotation.bytes = max(64 * 1024, Int(maxBytes) / 8)
            settings.notices = .standardError
        }
        self.file = file
        logger = Logger(label: "nightjard") { file.handler(label: $0) }
    }

    /// One line, in the words of a person; what is below the configured level costs the comparison.
    public func debug(_ line: @autoclosure () -> String) { say(.debug, line()) }
    public func info(_ line: String) { say(.info, line) }
    public func notice(_ line: String) { say(.notice, line) }
    public func warning(_ line: String) { say(.warning, line) }
    public func error(_ line: String) { say(.error, line) }

    /// Writes what is buffered; at the end of the agent.
    public func finish() { file?.close(within: .seconds(2)) }

    private func say(_ level: Logger.Level, _ line: @autoclosure () -> String) {
        guard level >= self.level else { return }
        let line = line()
        logger?.log(level: level, "\(line)")
        let prefix = hasJournal ? "<\(Self.priority(level))>" : "nightjard: "
        var bytes = Array("\(prefix)\(line)\n".utf8)
        // One write a line: whole lines even where several processes share the descriptor. A full pipe loses the line.
        _ = write(2, &bytes, bytes.count)
    }

    private static func priority(_ level: Logger.Level) -> Int {
        switch level {
        case .trace, .debug: 7
        case .info: 6
        case .notice: 5
        case .warning: 4
        case .error: 3
        case .critical: 2
        }
    }
}
