/// A value that can be written as JSON. Writing only: what Nightjar reads as JSON is read by the one who needs it.
public indirect enum JSON: Hashable, Sendable {
    case null
    case bool(Bool)
    case int(Int64)
    case double(Double)
    case string(String)
    case array([JSON])
    /// Keys keep their order, so that output is stable and golden.
    case object([(String, JSON)])

    public static func == (a: JSON, b: JSON) -> Bool { a.text == b.text }
    public func hash(into hasher: inout Hasher) { hasher.combine(text) }

    /// The value, or null.
    public static func optional(_ value: Double?) -> JSON { value.map(JSON.double) ?? .null }
    public static func optional(_ value: String?) -> JSON { value.map(JSON.string) ?? .null }
    public static func optional(_ value: Int64?) -> JSON { value.map(JSON.int) ?? .null }

    /// On one line, without spaces.
    public var text: String {
        var out: [UInt8] = []
        write(to: &out)
        return String(decoding: out, as: UTF8.self)
    }

    /// Appends the text, on one line.
    public func write(to out: inout [UInt8]) {
        switch self {
        case .null: out += "null".utf8
        case .bool(let value): out += (value ? "true" : "false").utf8
        case .int(let value): out += "\(value)".utf8
        case .double(let value): JSON.write(value, to: &out)
        case .string(let value): JSON.write(value, to: &out)
        case .array(let items):
            out.append(UInt8(ascii: "["))
            for (index, item) in items.enumerated() {
                if index > 0 { out.append(UInt8(ascii: ",")) }
                item.write(to: &out)
            }
            out.append(UInt8(ascii: "]"))
        case .object(let members):
            out.append(UInt8(ascii: "{"))
            for (index, member) in members.enumerated() {
                if index > 0 { out.append(UInt8(ascii: ",")) }
                JSON.write(member.0, to: &out)
                out.append(UInt8(ascii: ":"))
                member.1.write(to: &out)
            }
            out.append(UInt8(ascii: "}"))
        }
    }

    /// Whole numbers without a fraction; what JSON cannot say (infinity, not a number) as null.
    private static func write(_ value: Double, to out: inout [UInt8]) {
        guard value.isFinite else {
            out += "null".utf8
            return
        }
        if value == value.rounded(), value.magnitude < 1e15 {
            out += "\(Int64(value))".utf8
        } else {
            out += "\(value)".utf8
        }
    }

    private static func write(_ value: String, to out: inout [UInt8]) {
        let hex = Array("0123456789abcdef".utf8)
        out.append(UInt8(ascii: "\""))
        for byte in value.utf8 {
            switch byte {
            case UInt8(ascii: "\""): out += [UInt8(ascii: "\\"), byte]
            case UInt8(ascii: "\\"): out += [byte, byte]
            case UInt8(ascii: "\n"): out += "\\n".utf8
            case UInt8(ascii: "\t"): out += "\\t".utf8
            case UInt8(ascii: "\r"): out += "\\r".utf8
            case 0..<0x20, 0x7F: out += "\\u00".utf8 + [hex[Int(byte >> 4)], hex[Int(byte & 15)]]
            default: out.append(byte)
            }
        }
        out.append(UInt8(ascii: "\""))
    }
}

extension EvidenceField {
    public var json: JSON {
        switch value {
        case .bytes(let value): .int(value.count)
        case .bytesPerSecond(let value): .double(value)
        case .duration(let value): .double(value.inSeconds)
        case .count(let value): .int(value)
        case .ratio(let value): .double(value)
        case .text(let value): .string(value)
        case .list(let rows): .array(rows.map { .object($0.map { ($0.nameWithUnit, $0.json) }) })
        }
    }
}

extension Finding {
    /// The evidence as one JSON object: NIGHTJAR_EVIDENCE, `/api/v1/alerts`.
    public var evidenceJSON: JSON { .object(evidence.map { ($0.nameWithUnit, $0.json) }) }
}
