// The block that a tired person reads:
//
//     HeapGrowth  payments (pid 4242)  firing 4 min  (warning, 3f09a1c2-1)
//       live heap floor 96 → 132 MiB in 6 min, still rising; limit 512 MiB in about 63 min
//       ├─ JSONValue                +21 MiB  58 % of the rise   first seen 14:02
//       ├─ [UInt8]                   +9 MiB
//       ╰─ Dictionary<String, Any>   +4 MiB
//       nightjar explain HeapGrowth
//
// Nothing in it is wider than the terminal: sentences break between words, rows of figures are cut with `…`; where one
// alert is asked for, they break too, so that the whole evidence is there.

import Glibc
public import NightjarModel

/// An alert drawn for a terminal, a mail or a log, plain or in colour.
public struct TerminalBlock: Hashable, Sendable {
    public var width: Int
    public var colour: Bool
    /// Whether a row of evidence that is too long goes on in the next line instead of being cut.
    public var isWhole: Bool

    /// Below 30 columns nothing sensible fits; such a width is taken as 30.
    public init(width: Int = 80, colour: Bool = false, isWhole: Bool = false) {
        self.width = max(width, 30)
        self.colour = colour
        self.isWhole = isWhole
    }

    /// The whole block, each line with its line break.
    public func text(_ alert: Alert, at now: Moment) -> String {
        let finding = alert.finding
        var lines = head(alert, at: now)
        lines += wrapped(Clean.line(finding.sentence, limit: 2048), indent: 2)
        for (index, detail) in finding.details.enumerated() {
            lines += branch(Clean.line(detail), isLast: index == finding.details.count - 1)
        }
        for note in notes(alert) { lines += wrapped(note, indent: 2).map(dim) }
        lines += wrapped(Clean.line(finding.nextStep), indent: 2)
        return lines.map { $0 + "\n" }.joined()
    }

    /// A head that is too long for one line gives up the unit; in a narrow terminal the state stands on a line of its own.
    private func head(_ alert: Alert, at now: Moment) -> [String] {
        let finding = alert.finding
        let state = Self.state(alert, at: now)
        let tail = "(\(finding.severity.word), \(alert.id))"
        var shorter = finding.subject
        shorter.unit = nil
        let labels = [finding.subject.shortLabel, shorter.label].map { Clean.line($0) }
        let detector = cut(Clean.line(finding.detector), to: width)
        let name = strong(detector, finding.severity)
        let beside = width - Self.columns(detector) - state.count - tail.count - 6
        if let label = labels.first(where: { Self.columns($0) <= beside }) ?? (beside >= 20 ? labels[1] : nil) {
            return ["\(name)  \(cut(label, to: beside))  \(state)  \(dim(tail))"]
        }
        let room = width - Self.columns(detector) - 2
        let label = labels.first { Self.columns($0) <= room } ?? cut(labels[1], to: room)
        return [room > 2 ? "\(name)  \(label)" : name] + wrapped("\(state) \(tail)", indent: 2)
    }

    static func state(_ alert: Alert, at now: Moment) -> String {
        switch alert.state {
        case .pending: return "pending \(max(.zero, now - alert.startedAt).spoken)"
        case .firing: return "firing \(max(.zero, now - (alert.firedAt ?? alert.startedAt)).spoken)"
        case .resolved:
            let end = alert.resolvedAt ?? alert.seenAt
            return "resolved after \(max(.zero, end - (alert.firedAt ?? alert.startedAt)).spoken)"
        }
    }

    /// One row of evidence.
    private func branch(_ detail: String, isLast: Bool) -> [String] {
        let fork = "  " + dim(isLast ? "╰─ " : "├─ ")
        guard isWhole, Self.columns(detail) > width - 5 else { return [fork + cut(detail, to: width - 5)] }
        let trunk = "  " + dim(isLast ? "   " : "│  ")
        return wrapped(detail, indent: 5).enumerated().map { index, line in
            (index == 0 ? fork : trunk) + line.dropFirst(5)
        }
    }

    private func notes(_ alert: Alert) -> [String] {
        var notes: [String] = []
        if let mutedBy = alert.mutedBy { notes.append("not told: \(Clean.line(mutedBy))") }
        if let setting = alert.appliedSetting { notes.append("setting: \(Clean.line(setting))") }
        if let contact = alert.contact { notes.append("contact: \(Clean.line(contact))") }
        if alert.flaps > 0 { notes.append("came back \(alert.flaps) \(alert.flaps == 1 ? "time" : "times")") }
        return notes
    }
}

// MARK: - Width

extension TerminalBlock {
    private func wrapped(_ text: String, indent: Int) -> [String] {
        let room = width - indent
        let margin = String(repeating: " ", count: indent)
        var lines: [String] = []
        var line = ""
        for word in text.split(separator: " ", omittingEmptySubsequences: true) {
            let word = cut(String(word), to: room)
            if line.isEmpty {
                line = word
            } else if Self.columns(line) + 1 + Self.columns(word) <= room {
                line += " " + word
            } else {
                lines.append(margin + line)
                line = word
            }
        }
        if !line.isEmpty { lines.append(margin + line) }
        return lines
    }

    private func cut(_ text: String, to room: Int) -> String {
        guard Self.columns(text) > room else { return text }
        var out = ""
        var used = 0
        for character in text {
            let columns = Self.columns(String(character))
            guard used + columns <= room - 1 else { break }
            out.append(character)
            used += columns
        }
        return out + "…"
    }

    /// Columns that a terminal gives the text: two for wide East Asian characters and emoji, none for marks.
    static func columns(_ text: String) -> Int {
        text.unicodeScalars.reduce(0) { sum, scalar in
            switch scalar.value {
            case 0x300...0x36F, 0x200D, 0xFE00...0xFE0F: sum
            case 0x1100...0x115F, 0x2E80...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF00...0xFF60,
                0x1F300...0x1FAFF, 0x20000...0x3FFFD:
                sum + 2
            default: sum + 1
            }
        }
    }
}

// MARK: - Colour

extension TerminalBlock {
    private func strong(_ text: String, _ severity: Severity) -> String {
        let code =
            switch severity {
            case .critical: "1;31"
            case .warning: "1;33"
            case .notice: "1;36"
            case .info: "1"
            }
        return colour ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
    }

    private func dim(_ text: String) -> String { colour ? "\u{1B}[2m\(text)\u{1B}[0m" : text }

    /// True for a terminal that did not ask for plain text (NO_COLOR, TERM=dumb).
    public static func wantsColour(descriptor: Int32) -> Bool {
        guard isatty(descriptor) == 1 else { return false }
        if let no = getenv("NO_COLOR"), no.pointee != 0 { return false }
        return getenv("TERM").map { String(cString: $0) != "dumb" } ?? false
    }

    /// Columns of the terminal, else COLUMNS, else 80.
    public static func width(of descriptor: Int32) -> Int {
        var size = winsize()
        if ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 { return Int(size.ws_col) }
        return getenv("COLUMNS").flatMap { Int(String(cString: $0)) } ?? 80
    }
}
