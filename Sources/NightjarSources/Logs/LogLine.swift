// A log line, cut into what may stay in a template and what may not.
//
//     2026-11-26T04:37:05 DEBUG cache: miss for key=9f3a user="Ann" in 12ms
//     ╰── digits ───────╯                        ╰╯         ╰─╯     ╰──╯        masked
//
// Masked at once: every token with a digit, everything in quotes, values of key=value, whatever is longer than 32 bytes
// or not printable. What is left are words, and a word stays only if it is the same in line after line (TemplateMiner).
// Of a JSON line the message is taken, or the names of its keys where it has none.

/// Tokens of one line, without copying it.
struct LogLine {
    struct Token {
        var range: Range<Int>
        /// Only the part up to and with `=` is fixed.
        var fixedEnd: Int
        var isVariable: Bool
    }

    /// No more of a line is looked at.
    static let maximumBytes = 1024
    static let maximumTokens = 24

    private(set) var tokens: [Token] = []
    private(set) var level: LogLevel?
    /// True where the line is not text; it has no tokens then.
    private(set) var isBinary = false

    /// - Parameter bytes: one line, without its end; only the first `maximumBytes` are looked at.
    init(_ bytes: UnsafeBufferPointer<UInt8>) {
        let end = min(bytes.count, Self.maximumBytes)
        guard Self.isText(bytes, end) else {
            isBinary = true
            return
        }
        if let json = JSONMessage(bytes, end) {
            level = json.level
            cut(bytes, json.message)
        } else {
            cut(bytes, 0..<end)
        }
    }

    /// False where more than one byte in ten is a control character.
    private static func isText(_ bytes: UnsafeBufferPointer<UInt8>, _ end: Int) -> Bool {
        var odd = 0
        for position in 0..<end where bytes[position] < 0x20 && bytes[position] != 0x09 && bytes[position] != 0x1B {
            odd += 1
        }
        return odd * 10 <= end
    }

    private mutating func cut(_ bytes: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) {
        var position = range.lowerBound
        while position < range.upperBound, tokens.count < Self.maximumTokens {
            while position < range.upperBound, Self.isBlank(bytes[position]) { position += 1 }
            guard position < range.upperBound else { return }
            let start = position
            var quote: UInt8?
            while position < range.upperBound, quote != nil || !Self.isBlank(bytes[position]) {
                let byte = bytes[position]
                if quote == byte { quote = nil } else if quote == nil, byte == UInt8(ascii: "\"") { quote = byte }
                position += 1
            }
            tokens.append(token(bytes, start..<position))
        }
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0D }

    private mutating func token(_ bytes: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) -> Token {
        var isVariable = range.count > 32
        var fixedEnd = range.upperBound
        for position in range {
            let byte = bytes[position]
            if byte == UInt8(ascii: "="), position > range.lowerBound, !isVariable, fixedEnd == range.upperBound {
                fixedEnd = position + 1
            }
            if fixedEnd != range.upperBound, position >= fixedEnd { continue }
            let isDigit = (48...57).contains(byte)
            if isDigit || byte < 0x20 || byte == UInt8(ascii: "\"") || byte >= 0x80 { isVariable = true }
        }
        if level == nil { level = Self.level(bytes, range, fixedEnd) }
        return Token(range: range, fixedEnd: fixedEnd, isVariable: isVariable)
    }

    /// A level word in brackets or not, or `level=debug`.
    private static func level(_ bytes: UnsafeBufferPointer<UInt8>, _ range: Range<Int>, _ fixedEnd: Int) -> LogLevel? {
        let from = fixedEnd < range.upperBound ? fixedEnd : range.lowerBound
        if fixedEnd < range.upperBound, !isLevelKey(bytes, range.lowerBound..<(fixedEnd - 1)) { return nil }
        let isLetter: (UInt8) -> Bool = { (65...90).contains($0 & 0xDF) }
        var first = from
        var last = range.upperBound
        while first < last, !isLetter(bytes[first]) { first += 1 }
        while last > first, !isLetter(bytes[last - 1]) { last -= 1 }
        guard (3...9).contains(last - first), range.count - (last - first) <= 4 || fixedEnd < range.upperBound else {
            return nil
        }
        return LogLevel(word: Array(bytes[first..<last])[...])
    }

    static func isLevelKey(_ bytes: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) -> Bool {
        ["level", "lvl", "severity", "loglevel", "log.level"].contains { (key: StaticString) -> Bool in
            Self.equals(key, bytes, range, folding: 0x20)
        }
    }
}

extension LogLine {
    /// True where the bytes are `key`, after setting `folding`'s bits in them (0x20 makes letters small).
    static func equals(
        _ key: StaticString, _ bytes: UnsafeBufferPointer<UInt8>, _ range: Range<Int>, folding: UInt8
    ) -> Bool {
        guard key.utf8CodeUnitCount == range.count else { return false }
        for offset in 0..<range.count where key.utf8Start[offset] != bytes[range.lowerBound + offset] | folding {
            return false
        }
        return true
    }
}

/// The message and the level of a JSON line; nil where it is none.
struct JSONMessage {
    private(set) var message: Range<Int>
    private(set) var level: LogLevel?

    init?(_ bytes: UnsafeBufferPointer<UInt8>, _ end: Int) {
        guard end > 2, bytes[0] == UInt8(ascii: "{") else { return nil }
        message = 0..<0
        var position = 1
        while let key = Self.string(bytes, end, &position) {
            while position < end, bytes[position] == 0x20 || bytes[position] == UInt8(ascii: ":") { position += 1 }
            guard position < end else { break }
            if bytes[position] == UInt8(ascii: "\"") {
                guard let value = Self.string(bytes, end, &position) else {
                    // The line was cut in the middle of a value.
                    if Self.isMessageKey(bytes, key) { message = min(end, position + 1)..<end }
                    break
                }
                if Self.isMessageKey(bytes, key), message.isEmpty { message = value }
                if LogLine.isLevelKey(bytes, key) { level = LogLevel(word: Array(bytes[value])[...]) }
            } else {
                while position < end, bytes[position] != UInt8(ascii: ",") { position += 1 }
            }
        }
    }

    private static func isMessageKey(_ bytes: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) -> Bool {
        ["msg", "message", "event", "@message", "text"].contains { (key: StaticString) -> Bool in
            LogLine.equals(key, bytes, range, folding: 0)
        }
    }

    /// The inside of the next string in quotes, `position` behind it; nil where it does not end, `position` at its start.
    private static func string(_ bytes: UnsafeBufferPointer<UInt8>, _ end: Int, _ position: inout Int) -> Range<Int>? {
        while position < end, bytes[position] != UInt8(ascii: "\"") { position += 1 }
        guard position < end else { return nil }
        var inside = position + 1
        while inside < end, bytes[inside] != UInt8(ascii: "\"") {
            inside += bytes[inside] == UInt8(ascii: "\\") ? 2 : 1
        }
        guard inside < end else { return nil }
        defer { position = inside + 1 }
        return (position + 1)..<inside
    }
}
