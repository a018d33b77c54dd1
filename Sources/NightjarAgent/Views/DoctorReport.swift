import CNightjarLinux
import Glibc
public import NightjarModel

/// What `nightjar doctor` prints: one check a line, worst first in its exit status.
public struct DoctorReport: Hashable, Sendable {
    /// How well a thing works; `bad` is what `nightjar doctor` ends with status 1 for.
    public enum Level: String, Hashable, Sendable {
        case good = "ok"
        /// Works, but something is not seen.
        case limited = "limited"
        case bad = "bad"
    }

    /// One thing that was looked at, and what was found, in a sentence.
    public struct Check: Hashable, Sendable {
        public var level: Level
        public var subject: String
        public var sentence: String

        public init(_ level: Level, _ subject: String, _ sentence: String) {
            self.level = level
            self.subject = subject
            self.sentence = sentence
        }
    }

    public var checks: [Check]

    public init(checks: [Check]) { self.checks = checks }

    /// Reads what `wire` writes; lines of another form are shown as they are.
    public init(wire: String) {
        checks = wire.split(separator: "\n").map { line in
            let columns = line.split(separator: "\t", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
            guard columns.count == 3, let level = Level(rawValue: columns[0]) else {
                return Check(.bad, "agent", String(line))
            }
            return Check(level, columns[1], columns[2])
        }
    }

    /// Level, subject, sentence, separated by tabs.
    public var wire: String {
        checks.map { "\($0.level.rawValue)\t\($0.subject)\t\($0.sentence)\n" }.joined()
    }

    public var needsAttention: Bool { checks.contains { $0.level == .bad } }

    /// A line a check, subjects in a column.
    public func text(colour: Bool) -> String {
        let width = checks.map(\.subject.count).max() ?? 0
        return checks.map { check in
            let level = check.level.rawValue + String(repeating: " ", count: 7 - check.level.rawValue.count)
            let subject = check.subject + String(repeating: " ", count: width - check.subject.count)
            let emphasis: TextTable.Emphasis =
                switch check.level {
                case .good: .none
                case .limited: .notice
                case .bad: .critical
                }
            return TextTable.paint("\(level)  \(subject)  \(check.sentence)", emphasis, colour) + "\n"
        }.joined()
    }

    public var json: JSON {
        .array(
            checks.map {
                .object([
                    ("level", .string($0.level.rawValue)), ("subject", .string($0.subject)),
                    ("sentence", .string($0.sentence)),
                ])
            })
    }

    /// What can be said without an agent: kernel, sibling programs, and the configuration, of which a live agent knows
    /// better.
    public static func local(hasAgent: Bool) -> DoctorReport {
        var name = utsname()
        uname(&name)
        let release = withUnsafeBytes(of: &name.release) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        var checks = [Check(.good, "version", "nightjar \(agentVersion), Linux \(release)")]
        if !hasAgent {
            let path = Paths().configFile
            checks += Config(path: path, mustExist: false).checks(fallback: path)
        }
        for program in ["nightjard", "nightjar-inspect", "nightjar-incident"] where Programs.locate(program) == nil {
            checks.append(
                Check(.limited, "programs", "no \(program) beside nightjar or on PATH; reinstall: packaging/install.sh")
            )
        }
        return DoctorReport(checks: checks)
    }
}

/// The version of agent and command line.
public let agentVersion = "0.1.0"
