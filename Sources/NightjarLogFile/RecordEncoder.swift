internal import Logging

/// A record as one line, JSON or text. Everything that runs foreign code (descriptions, metadata providers) runs here,
/// before any lock is taken.
struct RecordEncoder {
    let format: LogFileConfiguration.Format
    let locationFrom: Logger.Level?
    let redacts: (@Sendable (Logger.MetadataValueAttributes) -> Bool)?

    /// What one handler adds to each of its lines, encoded once.
    final class Prefix: Sendable {
        /// The label and what follows it up to the message.
        let label: [UInt8]
        /// Encoded members of the handler's own metadata, by key, and all of them joined.
        let members: [(key: String, bytes: [UInt8])]
        let joined: [UInt8]

        init(label: [UInt8], members: [(key: String, bytes: [UInt8])], joined: [UInt8]) {
            self.label = label
            self.members = members
            self.joined = joined
        }
    }

    func encode(
        _ event: LogEvent, weight: UInt64, prefix: Prefix, provided: Logger.Metadata?, into line: inout LineBuilder
    ) {
        switch format {
        case .json: json(event, weight, prefix, provided, &line)
        case .text: text(event, weight, prefix, provided, &line)
        }
    }

    private func json(
        _ event: LogEvent, _ weight: UInt64, _ prefix: Prefix, _ provided: Logger.Metadata?, _ line: inout LineBuilder
    ) {
        line.raw("{\"time\":\"")
        line.time(LineTime())
        line.raw(RecordEncoder.jsonLevel(event.level))
        line.raw(prefix.label)
        line.escaped(event.message.description)
        let cutInMessage = line.isCut
        if !cutInMessage {
            line.byte(UInt8(ascii: "\""))
            extras(event, weight, &line)
            metadata(event, prefix, provided, &line)
        }
        if line.isCut {
            if cutInMessage { line.close("\"") }
            line.close(",\"cut\":true")
        }
        line.close("}\n")
    }

    private func extras(_ event: LogEvent, _ weight: UInt64, _ line: inout LineBuilder) {
        if weight != 1 {
            whole(&line) { line in
                line.raw(",\"weight\":")
                line.number(weight)
            }
        }
        if let error = event.error {
            whole(&line) { line in
                line.raw(",\"error\":{\"type\":\"")
                line.escaped(String(describing: type(of: error)))
                line.raw("\",\"message\":\"")
                line.escaped("\(error)")
                line.raw("\"}")
            }
        }
        if let from = locationFrom, event.level >= from {
            whole(&line) { line in
                line.raw(",\"file\":\"")
                line.escaped(event.file)
                line.raw("\",\"line\":")
                line.number(UInt64(event.line))
            }
        }
    }

    private func text(
        _ event: LogEvent, _ weight: UInt64, _ prefix: Prefix, _ provided: Logger.Metadata?, _ line: inout LineBuilder
    ) {
        line.time(LineTime())
        line.byte(32)
        line.plain(event.level.rawValue)
        line.byte(32)
        line.raw(prefix.label)
        line.escaped(event.message.description)
        if weight != 1 {
            line.raw(" weight=")
            line.number(weight)
        }
        if let error = event.error {
            whole(&line) { line in
                line.raw(" error=\"")
                line.escaped("\(error)")
                line.byte(UInt8(ascii: "\""))
            }
        }
        if let from = locationFrom, event.level >= from {
            whole(&line) { line in
                line.raw(" file=\"")
                line.escaped(event.file)
                line.byte(UInt8(ascii: ":"))
                line.number(UInt64(event.line))
                line.byte(UInt8(ascii: "\""))
            }
        }
        metadata(event, prefix, provided, &line)
        if line.isCut { line.close(" cut=true") }
        line.close("\n")
    }

    // The call's own metadata wins over the provider's, the provider's over the handler's: no key stands twice.
    private func metadata(
        _ event: LogEvent, _ prefix: Prefix, _ provided: Logger.Metadata?, _ line: inout LineBuilder
    ) {
        let own = event.metadata
        let isEmpty = (own?.isEmpty ?? true) && (provided?.isEmpty ?? true)
        if line.isCut || (isEmpty && prefix.joined.isEmpty) { return }
        let isJSON = format == .json
        let before = line.count
        if isJSON { line.raw(",\"metadata\":{") }
        if line.isCut { return line.rewind(to: before) }
        var isFirst = true
        if isEmpty {
            whole(&line) { $0.raw(prefix.joined) }
            isFirst = false
        } else {
            for (key, value) in own ?? [:] where !(value.isSampleWeight) {
                member(key, value, &isFirst, &line)
            }
            for (key, value) in provided ?? [:] where own?[key] == nil {
                member(key, value, &isFirst, &line)
            }
            for (key, bytes) in prefix.members where own?[key] == nil && provided?[key] == nil {
                whole(&line) { line in
                    if isJSON, !isFirst { line.byte(UInt8(ascii: ",")) }
                    line.raw(bytes)
                }
                isFirst = false
            }
        }
        guard isJSON else { return }
        if isFirst { line.rewind(to: before) } else { line.close("}") }
    }

    private func member(
        _ key: String, _ value: Logger.MetadataValue, _ isFirst: inout Bool, _ line: inout LineBuilder
    ) {
        let first = isFirst
        whole(&line) { line in
            if format == .json, !first { line.byte(UInt8(ascii: ",")) }
            encodeMember(key, value, &line)
        }
        if line.count > 0 { isFirst = false }
    }

    /// Written in full, or not at all where the line is cut.
    private func whole(_ line: inout LineBuilder, _ body: (inout LineBuilder) -> Void) {
        guard !line.isCut else { return }
        let mark = line.count
        body(&line)
        if line.isCut { line.rewind(to: mark) }
    }

    /// `"key":value`, or ` key=value` in text.
    func encodeMember(_ key: String, _ value: Logger.MetadataValue, _ line: inout LineBuilder) {
        if format == .json {
            line.byte(UInt8(ascii: "\""))
            line.escaped(key)
            line.raw("\":")
            encode(value, &line)
        } else {
            line.byte(32)
            line.escaped(key)
            line.byte(UInt8(ascii: "="))
            encode(value, &line)
        }
    }

    private func encode(_ value: Logger.MetadataValue, _ line: inout LineBuilder) {
        switch value {
        case .string(let text): quoted(text, &line)
        case .stringConvertible(let box): encode(box, value, &line)
        case .array(let items):
            line.byte(UInt8(ascii: "["))
            for (index, item) in items.enumerated() {
                if index > 0 { line.byte(UInt8(ascii: ",")) }
                encode(item, &line)
            }
            line.byte(UInt8(ascii: "]"))
        case .dictionary(let members):
            line.byte(UInt8(ascii: "{"))
            for (index, member) in members.sorted(by: { $0.key < $1.key }).enumerated() {
                if index > 0 { line.byte(UInt8(ascii: ",")) }
                quoted(member.key, &line)
                line.byte(UInt8(ascii: ":"))
                encode(member.value, &line)
            }
            line.byte(UInt8(ascii: "}"))
        }
    }

    // Numbers stay numbers, so that whoever reads the log can compare them.
    private func encode(
        _ box: any CustomStringConvertible & Sendable, _ value: Logger.MetadataValue, _ line: inout LineBuilder
    ) {
        let kind = type(of: box)
        if kind == Int.self || kind == UInt64.self || kind == Int64.self || kind == UInt.self || kind == Int32.self
            || kind == UInt32.self || kind == Bool.self
        {
            line.plain(box.description)
        } else if kind == Double.self {
            let number = box.description
            if number.utf8.contains(where: { $0 == UInt8(ascii: "n") }) {
                quoted(number, &line)
            } else {
                line.plain(number)
            }
        } else if let redacts, redacts(value.attributes) {
            line.raw("\"<redacted>\"")
        } else {
            quoted(box.description, &line)
        }
    }

    private func quoted(_ text: String, _ line: inout LineBuilder) {
        line.byte(UInt8(ascii: "\""))
        line.escaped(text)
        line.byte(UInt8(ascii: "\""))
    }

    static func jsonLevel(_ level: Logger.Level) -> StaticString {
        switch level {
        case .trace: "\",\"level\":\"trace\",\"label\":\""
        case .debug: "\",\"level\":\"debug\",\"label\":\""
        case .info: "\",\"level\":\"info\",\"label\":\""
        case .notice: "\",\"level\":\"notice\",\"label\":\""
        case .warning: "\",\"level\":\"warning\",\"label\":\""
        case .error: "\",\"level\":\"error\",\"label\":\""
        case .critical: "\",\"level\":\"critical\",\"label\":\""
        }
    }
}

extension RecordEncoder {
    /// A handler's label and metadata, encoded once for all of its lines. Labels are cut at 128 bytes.
    func prefix(label: String, metadata: Logger.Metadata) -> Prefix {
        let start = encoded(capacity: 1_024) { line in
            line.escaped(String(decoding: label.utf8.prefix(128), as: UTF8.self))
            line.raw(format == .json ? "\",\"message\":\"" : ": ")
        }
        var members: [(key: String, bytes: [UInt8])] = []
        var joined: [UInt8] = []
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
            let bytes = encoded(capacity: 4_096) { encodeMember(key, value, &$0) }
            guard !bytes.isEmpty else { continue }
            if format == .json, !joined.isEmpty { joined.append(UInt8(ascii: ",")) }
            joined += bytes
            members.append((key, bytes))
        }
        return Prefix(label: start, members: members, joined: joined)
    }

    /// Empty where it does not fit.
    private func encoded(capacity: Int, _ body: (inout LineBuilder) -> Void) -> [UInt8] {
        withUnsafeTemporaryAllocation(byteCount: capacity, alignment: 8) { memory in
            var line = LineBuilder(memory)
            body(&line)
            return line.isCut ? [] : Array(line.bytes)
        }
    }
}
