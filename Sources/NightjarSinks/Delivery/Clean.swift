// Names come from processes, files and logs, and anybody may name a process. Before a name reaches a terminal, a journal
// or a mail it is made harmless: control characters, escape sequences, line breaks and characters that turn the direction
// of writing are shown as what they are (`\x1b`, `\u202e`), never acted upon.

/// Text from outside, made safe to print.
public enum Clean {
    /// One line of at most `limit` bytes of UTF-8, cut between characters with `…`.
    public static func line(_ text: String, limit: Int = 1024) -> String {
        if text.utf8.count <= limit, text.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }) { return text }
        var out = ""
        for scalar in text.unicodeScalars {
            let shown = visible(scalar)
            guard out.utf8.count + shown.utf8.count <= limit - 3 else {
                return out + "…"
            }
            out += shown
        }
        return out
    }

    private static func visible(_ scalar: Unicode.Scalar) -> String {
        switch scalar.value {
        case 0..<0x20, 0x7F...0x9F: return "\\x" + hex(scalar.value, digits: 2)
        case 0x61C, 0x200B...0x200F, 0x2028...0x202E, 0x2060...0x206F, 0xFEFF, 0xFFF9...0xFFFB, 0xE0000...0xE0FFF:
            return "\\u" + hex(scalar.value, digits: 4)
        default: return String(Character(scalar))
        }
    }

    private static func hex(_ value: UInt32, digits: Int) -> String {
        let text = String(value, radix: 16)
        return String(repeating: "0", count: max(0, digits - text.count)) + text
    }
}
