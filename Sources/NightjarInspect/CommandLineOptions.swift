// The inspector's command line: small, because it is mostly typed by the agent and by `nightjar`, which pass it through.

/// What the inspector is asked to do.
public struct InspectCommand: Hashable, Sendable {
    /// What is asked for.
    public enum Verb: String, Hashable, Sendable, CaseIterable { case heap, leaks, why, census }

    public var verb: Verb
    public var pid: Int32
    /// For `why`: the type.
    public var type = ""
    public var json = false
    public var exact = false
    /// How the target is held still for what must be exact.
    public var snapshot = SnapshotWay.auto
    public var difference: Duration?
    public var grouping = Census.Grouping.type
    public var top = 30
    /// Columns of the terminal that a table is for; nil where lines may be as long as they are.
    public var width: Int?
    public var interval = Duration.seconds(20)
    public var censuses = 3
    /// Refuse to look at another process that has this pid by now: clock ticks after boot.
    public var startTime: UInt64?
    public var procRoot = "/proc"
    public var budget = Budget()

    public static let usage = """
        usage: nightjar-inspect heap PID [--diff SECONDS] [--by type|module|size] [--exact] [--top N] [--format table|json]
               nightjar-inspect leaks PID [--format table|json]
               (leaks and heap --exact: [--snapshot auto|fork|stop])
               nightjar-inspect why PID TYPE [--format table|json]
               nightjar-inspect census PID [--interval SECONDS] [--count N]
               limits: --memory-limit BYTES  --time-limit SECONDS  --bytes-limit BYTES  --pause-limit SECONDS  --proc DIRECTORY
        exit code: 0 ok, 1 something is unreachable (leaks), 2 usage, 3 cannot

        """

    /// Parses the words after the program's name; nil where they make no sense.
    public init?(_ words: [String]) {
        guard words.count >= 2, let verb = Verb(rawValue: words[0]), let pid = Int32(words[1]), pid > 0 else {
            return nil
        }
        self.verb = verb
        self.pid = pid
        var rest = words.dropFirst(2)
        if verb == .why {
            guard let type = rest.popFirst(), !type.isEmpty else { return nil }
            self.type = type
        }
        while let word = rest.popFirst() {
            if word == "--exact" {
                exact = true
            } else if word == "--json" {
                json = true
            } else {
                guard let value = rest.popFirst(), take(word, value) else { return nil }
            }
        }
    }

    private mutating func take(_ option: String, _ value: String) -> Bool {
        switch option {
        case "--format":
            json = value == "json"
            return json || value == "table"
        case "--by": return set(&grouping, Census.Grouping(rawValue: value))
        case "--snapshot": return set(&snapshot, SnapshotWay(rawValue: value))
        case "--top": return set(&top, Int(value).flatMap { $0 > 0 ? $0 : nil })
        case "--width": return set(&width, Int(value).flatMap { $0 >= 20 ? $0 : nil })
        case "--diff": return set(&difference, Self.seconds(value))
        case "--interval": return set(&interval, Self.seconds(value))
        case "--count": return set(&censuses, Int(value).flatMap { (2...10).contains($0) ? $0 : nil })
        case "--start-time": return set(&startTime, UInt64(value))
        case "--proc": return set(&procRoot, value)
        case "--memory-limit": return set(&budget.memory, UInt64(value))
        case "--time-limit": return set(&budget.seconds, Self.seconds(value)?.seconds)
        case "--pause-limit": return set(&budget.pause, Self.seconds(value)?.seconds)
        case "--bytes-limit": return set(&budget.bytesRead, UInt64(value))
        default: return false
        }
    }

    private func set<Value>(_ place: inout Value, _ value: Value?) -> Bool {
        guard let value else { return false }
        place = value
        return true
    }

    /// `30`, `30s`, `2.5`, `5min`.
    static func seconds(_ text: String) -> Duration? {
        let digits = text.prefix { $0.isNumber || $0 == "." }
        let factors = ["": 1.0, "s": 1, "ms": 0.001, "min": 60, "m": 60, "h": 3600]
        guard let number = Double(digits), let factor = factors[String(text.dropFirst(digits.count))], number >= 0,
            number * factor <= 86_400
        else { return nil }
        return .seconds(number * factor)
    }
}
