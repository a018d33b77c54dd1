// An alert as a journal entry: the fields of the catalog's texts and of `journalctl NIGHTJAR_DETECTOR=HeapGrowth`.
//
//     MESSAGE             HeapGrowth firing: payments (pid 4242): live heap floor 96 → 132 MiB in 6 min, still rising
//     MESSAGE_ID          one a detector, from its card
//     PRIORITY            2 critical · 4 warning · 5 notice · 6 info; an end is 6, or 5 where it was critical
//     NIGHTJAR_ALERT      3f09a1c2-2          NIGHTJAR_DETECTOR   HeapGrowth
//     NIGHTJAR_STATE      firing|worse|resolved  NIGHTJAR_SEVERITY critical
//     NIGHTJAR_SUBJECT    process:payments.service/payments   NIGHTJAR_UNIT   NIGHTJAR_PID
//     NIGHTJAR_SENTENCE   the sentence alone   NIGHTJAR_NEXT      the next step
//     NIGHTJAR_EVIDENCE   one JSON object
//
// Values are one clean line each, so that journalctl prints them as text whatever a process calls itself.

public import NightjarModel

/// A journal entry as libsystemd takes it: `KEY=value` in bytes.
public struct JournalEntry: Hashable, Sendable {
    public private(set) var fields: [[UInt8]] = []

    /// MESSAGE_ID of "alerts were held back", which belongs to no detector.
    public static let heldBackID = "b7c2d45f1f2e4d0a9c5e8f6a3d1b7e42"
    /// MESSAGE_ID of a test message.
    public static let testID = "5e0a9b1c7d3f4862a1b4c8d9e2f70635"
    /// Bytes of evidence in one entry; more is cut to an object that says so.
    static let evidenceLimit = 48 << 10

    /// The entry of one piece of news. `messageID` is the card's; nil leaves the field out.
    public init(_ action: AlertAction, messageID: String?, identifier: String) {
        let alert = action.alert
        let finding = alert.finding
        add("MESSAGE", AlertText.line(action))
        if let messageID { add("MESSAGE_ID", messageID) }
        add("PRIORITY", "\(Self.priority(of: action))")
        add("SYSLOG_IDENTIFIER", identifier)
        add("NIGHTJAR_ALERT", alert.id)
        add("NIGHTJAR_DETECTOR", finding.detector)
        add("NIGHTJAR_STATE", action.word)
        add("NIGHTJAR_SEVERITY", finding.severity.word)
        add("NIGHTJAR_VERDICT", finding.verdict)
        add("NIGHTJAR_SUBJECT", finding.subject.identity)
        if let unit = finding.subject.unit { add("NIGHTJAR_UNIT", unit) }
        if let process = finding.subject.process { add("NIGHTJAR_PID", "\(process.pid)") }
        add("NIGHTJAR_SENTENCE", finding.sentence)
        add("NIGHTJAR_NEXT", finding.nextStep)
        if let contact = alert.contact { add("NIGHTJAR_CONTACT", contact) }
        addEvidence(of: finding)
    }

    /// A line of the sink's own.
    init(message: String, messageID: String, priority: Int, identifier: String, _ more: [(String, String)] = []) {
        add("MESSAGE", message)
        add("MESSAGE_ID", messageID)
        add("PRIORITY", "\(priority)")
        add("SYSLOG_IDENTIFIER", identifier)
        for (key, value) in more { add(key, value) }
    }

    mutating func add(_ key: String, _ value: String) {
        fields.append(Array("\(key)=\(Clean.line(value, limit: 4096))".utf8))
    }

    /// JSON escapes what is below a space itself, so it is taken as it is.
    private mutating func addEvidence(of finding: Finding) {
        var value = Array("NIGHTJAR_EVIDENCE=".utf8)
        let json = finding.evidenceJSON.text
        if json.utf8.count <= Self.evidenceLimit {
            value += json.utf8
        } else {
            value += JSON.object([("cut_bytes", .int(Int64(json.utf8.count)))]).text.utf8
        }
        fields.append(value)
    }

    static func priority(of action: AlertAction) -> Int {
        let alert = action.alert
        if case .resolve = action { return alert.worst == .critical ? 5 : 6 }
        switch alert.finding.severity {
        case .critical: return 2
        case .warning: return 4
        case .notice: return 5
        case .info: return 6
        }
    }
}
