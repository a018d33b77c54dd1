// A recorded history through the same detectors as the live agent: what replays is what runs.
//
// The clock is the trace's own: detectors see (t - first t) × speedup, findings are written in the trace's clock, and a
// finding's time is that of the sample that raised it, so nothing looks ahead.

public import NightjarModel

/// What a trace is a recording of.
public enum TraceKind: String, Hashable, Sendable, CaseIterable {
    case memory, disk, log, stall

    /// `kind=` in the head; where it is absent, the first word of the head and the columns tell.
    public init(of reader: TraceReader) throws(TraceError) {
        if let word = reader.head["kind"] {
            guard let kind = TraceKind(rawValue: word) else {
                throw TraceError(.unknownKind, trace: reader.name, "unknown kind '\(word)'")
            }
            self = kind
        } else if reader.head.format == "nightjar-stall" || reader.column("lag_us") != nil {
            self = .stall
        } else if reader.column("anon") != nil {
            self = .memory
        } else if reader.column("free") != nil {
            self = .disk
        } else if reader.column("bytes") != nil {
            self = .log
        } else {
            throw TraceError(
                .unknownKind, trace: reader.name,
                "cannot tell what it records by its columns '\(reader.columns.joined(separator: ","))'")
        }
    }
}

/// One finding of a replay: the members of its JSON object, in order.
public struct ReplayFinding: Hashable, Sendable {
    public var json: JSON

    public init(_ members: [(String, JSON)]) { json = .object(members) }

    /// Changes a member, or adds it at the end.
    public mutating func set(_ key: String, _ value: JSON) {
        guard case .object(var members) = json else { return }
        if let index = members.firstIndex(where: { $0.0 == key }) {
            members[index].1 = value
        } else {
            members.append((key, value))
        }
        json = .object(members)
    }

    /// A member's value.
    public subscript(key: String) -> JSON? {
        guard case .object(let members) = json else { return nil }
        return members.first { $0.0 == key }?.1
    }
}

/// What a replay found.
public struct ReplayResult: Hashable, Sendable {
    /// The trace's file name without suffix.
    public var trace: String
    public var kind: TraceKind
    public var speedup: Double
    /// In the order in which they were raised.
    public var findings: [ReplayFinding]

    /// `{"trace":…,"speedup":…,"findings":[…]}`.
    public var json: JSON {
        .object([
            ("trace", .string(trace)), ("speedup", .double(speedup)), ("findings", .array(findings.map(\.json))),
        ])
    }
}

/// Runs a trace through the detectors of its kind, with the defaults of the live agent.
///
/// - Parameters:
///   - bytes: the whole trace.
///   - name: its file name without suffix; findings and errors carry it.
/// - Throws: `TraceError`, one line that says what and where.
public func replay(trace bytes: [UInt8], name: String) throws(TraceError) -> ReplayResult {
    var reader = try TraceReader(bytes: bytes, name: name)
    let kind = try TraceKind(of: reader)
    let findings: [ReplayFinding]
    switch kind {
    case .memory: findings = try replayMemory(&reader)
    case .disk: findings = try replayDisk(&reader)
    case .log: findings = try replayLog(&reader)
    case .stall: findings = try replayStall(&reader)
    }
    return ReplayResult(trace: name, kind: kind, speedup: reader.head.speedup, findings: findings)
}

/// The clock of a replay: from the trace's own seconds to the moments that detectors see, never backwards.
public struct ReplayClock: Sendable {
    private var first: Double?
    private var last = -Double.infinity
    private let speedup: Double

    public init(speedup: Double) { self.speedup = speedup }

    /// The moment of a row; an error where the trace's clock goes back, or farther than a moment can say.
    public mutating func moment(of seconds: Double, in reader: TraceReader) throws(TraceError) -> Moment {
        let begin = first ?? seconds
        first = begin
        guard seconds >= last else { throw reader.malformed("time goes back from \(last) s to \(seconds) s") }
        last = seconds
        let virtual = (seconds - begin) * speedup
        guard virtual < 9e9 else { throw reader.malformed("\(seconds) s is too far from the first sample") }
        return Moment(seconds: virtual)
    }
}
