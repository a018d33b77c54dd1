// An alert with its finding as bytes, for the history and for the alert book's snapshot (StateCoding.swift).

extension Alert {
    private static let version: UInt8 = 1

    /// Appends the whole alert.
    public func encode(into out: inout StateWriter) {
        out.write(Self.version)
        out.write(id)
        out.write(UInt8(AlertState.allCases.firstIndex(of: state) ?? 0))
        finding.encode(into: &out)
        out.write(startedAt)
        out.writeOptional(firedAt) { $0.write($1) }
        out.writeOptional(resolvedAt) { $0.write($1) }
        out.write(seenAt)
        out.writeOptional(mutedBy) { $0.write($1) }
        out.writeOptional(appliedSetting) { $0.write($1) }
        out.write(Int64(flaps))
        out.write(UInt8(worst.rawValue))
        out.writeOptional(contact) { $0.write($1) }
    }

    public init(from reader: inout StateReader) throws(StateDamaged) {
        guard try reader.byte() == Self.version else { throw StateDamaged() }
        id = try reader.string()
        let index = Int(try reader.byte())
        guard index < AlertState.allCases.count else { throw StateDamaged() }
        state = AlertState.allCases[index]
        finding = try Finding(from: &reader)
        startedAt = try reader.moment()
        firedAt = try reader.optional { (r) throws(StateDamaged) in try r.moment() }
        resolvedAt = try reader.optional { (r) throws(StateDamaged) in try r.moment() }
        seenAt = try reader.moment()
        mutedBy = try reader.optional { (r) throws(StateDamaged) in try r.string() }
        appliedSetting = try reader.optional { (r) throws(StateDamaged) in try r.string() }
        flaps = Int(try reader.int64())
        worst = try Severity(from: &reader)
        contact = try reader.optional { (r) throws(StateDamaged) in try r.string() }
    }
}

extension Severity {
    fileprivate init(from reader: inout StateReader) throws(StateDamaged) {
        guard let severity = Severity(rawValue: Int(try reader.byte())) else { throw StateDamaged() }
        self = severity
    }
}

extension Subject {
    /// Appends the whole subject.
    public func encode(into out: inout StateWriter) {
        out.write(UInt8(Kind.allCases.firstIndex(of: kind) ?? 0))
        out.write(name)
        out.writeOptional(unit) { $0.write($1) }
        out.writeOptional(process) { $0.write($1) }
    }

    public init(from reader: inout StateReader) throws(StateDamaged) {
        let index = Int(try reader.byte())
        guard index < Kind.allCases.count else { throw StateDamaged() }
        kind = Kind.allCases[index]
        name = try reader.string()
        unit = try reader.optional { (r) throws(StateDamaged) in try r.string() }
        process = try reader.optional { (r) throws(StateDamaged) in try r.processKey() }
    }
}

extension StateWriter {
    /// Pid and start time.
    public mutating func write(_ key: ProcessKey) {
        write(UInt32(bitPattern: key.pid))
        write(Int64(bitPattern: key.startTime))
    }
}

extension StateReader {
    /// Pid and start time.
    public mutating func processKey() throws(StateDamaged) -> ProcessKey {
        let pid = Int32(bitPattern: try uint32())
        return ProcessKey(pid: pid, startTime: UInt64(bitPattern: try int64()))
    }
}

extension Finding {
    /// Lines and fields read back of one finding at most; whoever writes them keeps far below.
    private static let itemLimit = 4096

    /// Appends the whole finding.
    public func encode(into out: inout StateWriter) {
        out.write(detector)
        subject.encode(into: &out)
        out.write(cause)
        out.write(UInt8(severity.rawValue))
        out.write(verdict)
        out.write(sentence)
        out.writeList(details) { $0.write($1) }
        out.writeList(evidence) { $1.encode(into: &$0) }
        out.write(nextStep)
    }

    public init(from reader: inout StateReader) throws(StateDamaged) {
        detector = try reader.string()
        subject = try Subject(from: &reader)
        cause = try reader.string()
        severity = try Severity(from: &reader)
        verdict = try reader.string()
        sentence = try reader.string()
        details = try reader.list(limit: Self.itemLimit) { (r) throws(StateDamaged) in try r.string() }
        evidence = try reader.list(limit: Self.itemLimit) { (r) throws(StateDamaged) in
            try EvidenceField(from: &r, depth: 0)
        }
        nextStep = try reader.string()
    }
}

extension EvidenceField {
    /// Lists of lists of fields: deeper than this is damage, not evidence.
    private static let deepest = 4
    private static let itemLimit = 4096

    func encode(into out: inout StateWriter) {
        out.write(name)
        switch value {
        case .bytes(let value):
            out.write(UInt8(0))
            out.write(value)
        case .bytesPerSecond(let value):
            out.write(UInt8(1))
            out.write(value)
        case .duration(let value):
            out.write(UInt8(2))
            out.write(value)
        case .count(let value):
            out.write(UInt8(3))
            out.write(value)
        case .ratio(let value):
            out.write(UInt8(4))
            out.write(value)
        case .text(let value):
            out.write(UInt8(5))
            out.write(value)
        case .list(let rows):
            out.write(UInt8(6))
            out.writeList(rows) { $0.writeList($1) { $1.encode(into: &$0) } }
        }
    }

    init(from reader: inout StateReader, depth: Int) throws(StateDamaged) {
        guard depth < Self.deepest else { throw StateDamaged() }
        name = try reader.string()
        switch try reader.byte() {
        case 0: value = .bytes(Bytes(try reader.int64()))
        case 1: value = .bytesPerSecond(try reader.double())
        case 2: value = .duration(try reader.duration())
        case 3: value = .count(try reader.int64())
        case 4: value = .ratio(try reader.double())
        case 5: value = .text(try reader.string())
        case 6:
            value = .list(
                try reader.list(limit: Self.itemLimit) { (r) throws(StateDamaged) in
                    try r.list(limit: Self.itemLimit) { (r) throws(StateDamaged) in
                        try EvidenceField(from: &r, depth: depth + 1)
                    }
                })
        default: throw StateDamaged()
        }
    }
}
