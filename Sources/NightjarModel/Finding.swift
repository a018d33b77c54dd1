/// How much a finding wants of its reader. The order is the order of urgency.
public enum Severity: Int, Hashable, Comparable, Sendable, CaseIterable {
    /// Worth recording, asks for nothing.
    case info
    /// Look at it this week.
    case notice
    /// Look at it today.
    case warning
    /// Somebody should be woken.
    case critical

    @inlinable public static func < (a: Severity, b: Severity) -> Bool { a.rawValue < b.rawValue }

    /// The word used in config, JSON and labels.
    public var word: String {
        switch self {
        case .info: "info"
        case .notice: "notice"
        case .warning: "warning"
        case .critical: "critical"
        }
    }

    public init?(word: String) {
        guard let found = Severity.allCases.first(where: { $0.word == word }) else { return nil }
        self = found
    }
}

/// One piece of evidence, with its unit in its type. In JSON the unit stands at the end of the name.
public struct EvidenceField: Hashable, Sendable {
    /// A figure with its unit, a text, or rows of further evidence.
    public enum Value: Hashable, Sendable {
        case bytes(Bytes)
        case bytesPerSecond(Double)
        case duration(Duration)
        case count(Int64)
        case ratio(Double)
        case text(String)
        case list([[EvidenceField]])
    }

    /// `floor_from`, `rise`, `tau`: snake case, no unit; the text formats add it.
    public var name: String
    public var value: Value

    public init(_ name: String, _ value: Value) {
        self.name = name
        self.value = value
    }

    /// The name as text formats print it: with its unit at the end.
    public var nameWithUnit: String {
        switch value {
        case .bytes: "\(name)_bytes"
        case .bytesPerSecond: "\(name)_bytes_per_second"
        case .duration: "\(name)_seconds"
        case .count, .ratio, .text, .list: name
        }
    }
}

/// What a detector found: who, what, how bad, with the evidence and the next step.
public struct Finding: Hashable, Sendable {
    /// The detector's name, as on its card: `HeapGrowth`.
    public var detector: String
    public var subject: Subject
    /// Part of the identity where one subject can fail in several ways: `leak`, a message template; no pids, no numbers.
    public var cause: String
    public var severity: Severity
    /// The detector's own word for what it saw: `leak`, `growing`, `cache filling`, `fragmentation`, …
    public var verdict: String
    /// One sentence, with figures, units and spans, no full stop: `live heap floor 96 → 132 MiB in 6 min, still rising`.
    public var sentence: String
    /// Further lines for people, most important first, drawn as a tree under the sentence.
    public var details: [String]
    public var evidence: [EvidenceField]
    /// What to do next: a command or an action, one line.
    public var nextStep: String

    public init(
        detector: String, subject: Subject, cause: String = "", severity: Severity, verdict: String, sentence: String,
        details: [String] = [], evidence: [EvidenceField] = [], nextStep: String = ""
    ) {
        self.detector = detector
        self.subject = subject
        self.cause = cause
        self.severity = severity
        self.verdict = verdict
        self.sentence = sentence
        self.details = details
        self.evidence = evidence
        self.nextStep = nextStep.isEmpty ? "nightjar explain \(detector)" : nextStep
    }

    /// Detector + subject + cause, without pids and addresses.
    public var identity: AlertIdentity { AlertIdentity(detector: detector, subject: subject.identity, cause: cause) }
}

/// What makes two alerts the same alert, over restarts of the service and of the agent.
public struct AlertIdentity: Hashable, Sendable {
    public var detector: String
    public var subject: String
    public var cause: String

    public init(detector: String, subject: String, cause: String) {
        self.detector = detector
        self.subject = subject
        self.cause = cause
    }
}

/// A detector's answer to one sample. "Not yet" is never confused with "fine".
public enum Answer: Hashable, Sendable {
    case quiet
    case tooEarly
    case found(Finding)
}
