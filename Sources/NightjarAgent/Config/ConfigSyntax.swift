// systemd's configuration syntax (systemd.syntax(7)): sections, `Key=Value`, comments with # or ;, a backslash that
// continues a line, drop-ins in NAME.conf.d/*.conf that are read after the file, in the order of their names.
// A section may carry a subject: `[Unit postgresql*.service]`.
//
// Nothing is dropped in silence: what cannot be read becomes a ConfigProblem with its file and line, and the rest of
// the file is still read, so that one run names every mistake.

/// A place in a configuration file.
public struct ConfigOrigin: Hashable, Sendable, CustomStringConvertible {
    public var file: String
    /// From 1; 0 is the file as a whole.
    public var line: Int

    public init(file: String, line: Int) {
        self.file = file
        self.line = line
    }

    public var description: String { line > 0 ? "\(file):\(line)" : file }
}

/// One thing that is wrong with a configuration: where, what, and what to do.
public struct ConfigProblem: Error, Hashable, Sendable, CustomStringConvertible {
    public var origin: ConfigOrigin
    public var detail: String

    public init(_ origin: ConfigOrigin, _ detail: String) {
        self.origin = origin
        self.detail = detail
    }

    public var description: String { "\(origin): \(detail)" }
}

/// One line `Key=Value`, with the section it stands in.
public struct ConfigAssignment: Hashable, Sendable {
    /// `Agent`, `Unit`.
    public var section: String
    /// What follows the section's name inside the brackets: `postgresql*.service`; empty where nothing does.
    public var subject: String
    public var key: String
    public var value: String
    public var origin: ConfigOrigin
}

/// A configuration file as its lines say it, before anyone asks whether the keys exist.
public struct ConfigSyntax: Sendable {
    /// Longer lines are refused: no setting needs them, and a file that is not text should not be echoed.
    public static let longestLine = 64 * 1024
    /// Larger files are refused.
    public static let largestFile = 4 * 1024 * 1024

    public var assignments: [ConfigAssignment] = []
    public var problems: [ConfigProblem] = []

    /// Reads one file's text. Cost: one pass; a few hundred bytes an assignment.
    public init(text: some StringProtocol, file: String) {
        var section = ""
        var subject = ""
        var isSectionKnown = false
        var pending = ""
        var pendingLine = 0
        var number = 0
        for raw in text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            number += 1
            let origin = ConfigOrigin(file: file, line: pending.isEmpty ? number : pendingLine)
            guard raw.count <= Self.longestLine else {
                problems.append(ConfigProblem(origin, "this line is longer than \(Self.longestLine) bytes; shorten it"))
                continue
            }
            var line = Self.trimmed(String(decoding: raw, as: UTF8.self))
            // Inside a continuation, comment lines are skipped, as in systemd.
            if line.hasPrefix("#") || line.hasPrefix(";") { continue }
            if !pending.isEmpty { line = pending + " " + line }
            if line.hasSuffix("\\") {
                if pending.isEmpty { pendingLine = number }
                pending = Self.trimmed(String(line.dropLast()))
                if pending.isEmpty { pending = " " }
                continue
            }
            pending = ""
            line = Self.trimmed(line)
            if line.isEmpty { continue }
            if line.hasPrefix("[") {
                isSectionKnown = readSection(line, origin, &section, &subject)
            } else if isSectionKnown {
                readAssignment(line, origin, section, subject)
            } else if section.isEmpty {
                problems.append(
                    ConfigProblem(origin, "'\(Self.shown(line))' stands before any [Section]; put it into one"))
            }
        }
        if !pending.isEmpty {
            problems.append(
                ConfigProblem(
                    ConfigOrigin(file: file, line: pendingLine), "the file ends inside a line that a \\ continues"))
        }
    }

    private mutating func readSection(
        _ line: String, _ origin: ConfigOrigin, _ section: inout String, _ subject: inout String
    ) -> Bool {
        section = line
        guard line.hasSuffix("]"), line.count > 2 else {
            problems.append(
                ConfigProblem(origin, "'\(Self.shown(line))' is no section; write [Name] or [Name subject]"))
            return false
        }
        let inside = Self.trimmed(String(line.dropFirst().dropLast()))
        let parts = inside.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: true)
        section = parts.first.map(String.init) ?? ""
        subject = parts.count > 1 ? Self.trimmed(String(parts[1])) : ""
        guard !section.isEmpty else {
            problems.append(ConfigProblem(origin, "a section without a name; write [Name]"))
            return false
        }
        return true
    }

    private mutating func readAssignment(
        _ line: String, _ origin: ConfigOrigin, _ section: String, _ subject: String
    ) {
        guard let equals = line.firstIndex(of: "=") else {
            problems.append(ConfigProblem(origin, "'\(Self.shown(line))' is no setting; write Key=Value"))
            return
        }
        let key = Self.trimmed(String(line[..<equals]))
        guard !key.isEmpty else {
            problems.append(ConfigProblem(origin, "a value without a key; write Key=Value"))
            return
        }
        assignments.append(
            ConfigAssignment(
                section: section, subject: subject, key: key,
                value: Self.trimmed(String(line[line.index(after: equals)...])), origin: origin))
    }

    /// At most 40 characters of what somebody wrote, for an error line.
    static func shown(_ text: String) -> String {
        let clean = String(text.prefix(40).map { $0.isASCII && ($0.asciiValue ?? 0) < 32 ? "?" : $0 })
        return text.count > 40 ? clean + "…" : clean
    }

    static func trimmed(_ text: String) -> String {
        let bytes = text.utf8
        let isBlank: (UInt8) -> Bool = { $0 == 32 || (9...13).contains($0) }
        guard let first = bytes.firstIndex(where: { !isBlank($0) }), let last = bytes.lastIndex(where: { !isBlank($0) })
        else { return "" }
        return String(decoding: bytes[first...last], as: UTF8.self)
    }

    /// Splits a value into words as systemd does: blanks separate, single or double quotes hold together.
    /// nil where a quote is never closed.
    public static func words(_ value: String) -> [String]? {
        var words: [String] = []
        var word = ""
        var isInWord = false
        var quote: Character?
        for character in value {
            if let open = quote {
                if character == open { quote = nil } else { word.append(character) }
            } else if character == "\"" || character == "'" {
                quote = character
                isInWord = true
            } else if character == " " || character == "\t" {
                if isInWord { words.append(word) }
                word = ""
                isInWord = false
            } else {
                word.append(character)
                isInWord = true
            }
        }
        if quote != nil { return nil }
        if isInWord { words.append(word) }
        return words
    }
}
