/// "Don't tell me of this": over what it lies, until when, and why. It hides announcements, never the alert itself.
///
/// It ends in one of two ways, and must have at least one: at a time, or at a size. The second is how "this is no leak"
/// is remembered for a unit: `bound` says how much it may hold, and beyond it the alert speaks again.
public struct Silence: Hashable, Sendable {
    /// Short and typed by people: `s-3f09a1c2`.
    public var id: String
    public var detector: Glob
    /// Matched against the subject's identity and against its bare name.
    public var subject: Glob
    /// Matched against the subject's unit; a subject outside any unit has the empty one.
    public var unit: Glob
    public var until: Moment?
    public var bound: Bytes?
    public var reason: String
    /// Who asked for it: a user's name.
    public var by: String
    public var createdAt: Moment

    public init(
        detector: Glob = .any, subject: Glob = .any, unit: Glob = .any, until: Moment?, bound: Bytes? = nil,
        reason: String, by: String = "", createdAt: Moment
    ) throws(SilenceError) {
        guard until != nil || bound != nil else { throw .endless }
        if let until, until <= createdAt { throw .alreadyOver }
        if let bound, bound <= .zero { throw .emptyBound }
        self.detector = detector
        self.subject = subject
        self.unit = unit
        self.until = until
        self.bound = bound
        self.reason = reason
        self.by = by
        self.createdAt = createdAt
        let seed = "\(detector)|\(subject)|\(unit)|\(createdAt.nanoseconds)"
        id = "s-" + AlertIdentity.hexDigits(of: seed)
    }

    /// True while its time lasts.
    public func lasts(at now: Moment) -> Bool { until.map { now < $0 } ?? true }

    /// True where it lies over this finding just now.
    public func hides(_ finding: Finding, at now: Moment) -> Bool {
        guard lasts(at: now), detector.matches(finding.detector), unit.matches(finding.subject.unit ?? "") else {
            return false
        }
        guard subject.matches(finding.subject.name) || subject.matches(finding.subject.identity) else { return false }
        guard let bound else { return true }
        return finding.level.map { $0 <= bound } ?? false
    }
}

/// Why a silence is refused, in words for the person who asked.
public enum SilenceError: Error, Hashable, Sendable, CustomStringConvertible {
    case endless, alreadyOver, emptyBound

    public var description: String {
        switch self {
        case .endless: "a silence needs an end: a time (--for 2h) or a size (--up-to 2G)"
        case .alreadyOver: "the silence would already be over"
        case .emptyBound: "the size up to which it is no leak must be above zero"
        }
    }
}

extension Finding {
    /// What a bound is compared with: the evidence called `level`, else the names below in this order, else the
    /// largest size that is no limit.
    public var level: Bytes? {
        let sizes = evidence.compactMap { field in
            if case .bytes(let bytes) = field.value { (field.name, bytes) } else { nil as (String, Bytes)? }
        }
        for name in ["level", "to", "in_use", "live", "anonymous", "usage", "size"] {
            if let found = sizes.first(where: { $0.0 == name }) { return found.1 }
        }
        return sizes.filter { $0.0 != "limit" && $0.0 != "total" }.map(\.1).max()
    }
}

extension AlertIdentity {
    /// `HeapGrowth|process:checkout.service/checkout|`, without pids; what ids are made from.
    public var text: String { "\(detector)|\(subject)|\(cause)" }

    /// Eight hex digits, the same on every host and in every version: FNV-1a, 64 bits folded to 32.
    public static func hexDigits(of text: String) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        let digits = String(UInt32(truncatingIfNeeded: hash ^ (hash >> 32)), radix: 16)
        return String(repeating: "0", count: 8 - digits.count) + digits
    }
}

extension Silence {
    private static let version: UInt8 = 1

    /// Appends the whole silence.
    public func encode(into out: inout StateWriter) {
        out.write(Self.version)
        for text in [id, detector.pattern, subject.pattern, unit.pattern, reason, by] { out.write(text) }
        out.writeOptional(until) { $0.write($1) }
        out.writeOptional(bound) { $0.write($1) }
        out.write(createdAt)
    }

    public init(from reader: inout StateReader) throws(StateDamaged) {
        guard try reader.byte() == Self.version else { throw StateDamaged() }
        id = try reader.string()
        detector = Glob(try reader.string())
        subject = Glob(try reader.string())
        unit = Glob(try reader.string())
        reason = try reader.string()
        by = try reader.string()
        until = try reader.optional { (r) throws(StateDamaged) in try r.moment() }
        bound = try reader.optional { (r) throws(StateDamaged) in Bytes(try r.int64()) }
        createdAt = try reader.moment()
        guard until != nil || bound != nil else { throw StateDamaged() }
    }
}
