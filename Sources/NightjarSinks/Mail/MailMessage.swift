// A mail as RFC 5322 wants it, from parts that may come from anywhere.
//
// Header values are cleaned to one line, so a name with a line break cannot add a header; what is not ASCII becomes an
// RFC 2047 encoded word; lines fold below 78 columns. The body is quoted-printable, so that no relay has to change it.
// Message-ID and In-Reply-To are made from the alert's id: a mail program shows an alert's beginning and end as a thread.

public import NightjarModel

/// One message, whole.
public struct MailMessage: Hashable, Sendable {
    public var from: String
    public var to: [String]
    public var subject: String
    public var date: Moment
    public var messageID: String
    public var inReplyTo: String?
    public var body: String

    public init(
        from: String, to: [String], subject: String, date: Moment, messageID: String, inReplyTo: String? = nil,
        body: String
    ) {
        self.from = from
        self.to = to
        self.subject = subject
        self.date = date
        self.messageID = messageID
        self.inReplyTo = inReplyTo
        self.body = body
    }

    /// With line breaks as `\n`, as sendmail takes it.
    public var text: String {
        var lines = [
            Self.header("From", from), Self.header("To", to.joined(separator: ", ")),
            Self.header("Subject", subject), Self.header("Date", Self.date(date)),
            Self.header("Message-ID", "<\(messageID)>"),
        ]
        if let inReplyTo {
            lines.append(Self.header("In-Reply-To", "<\(inReplyTo)>"))
            lines.append(Self.header("References", "<\(inReplyTo)>"))
        }
        lines += [
            "MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8",
            "Content-Transfer-Encoding: quoted-printable", "Auto-Submitted: auto-generated", "X-Mailer: Nightjar", "",
        ]
        return lines.joined(separator: "\n") + "\n" + Self.quotedPrintable(body)
    }

    /// An address that may go into a header and an argument list: no spaces, no control characters, no leading dash.
    public static func isAddress(_ text: String) -> Bool {
        let parts = text.split(separator: "@", omittingEmptySubsequences: false)
        guard text.utf8.count <= 254, !text.hasPrefix("-"), parts.count <= 2, parts.allSatisfy({ !$0.isEmpty }) else {
            return false
        }
        let refused = Set("<>()[],;:\\\"' \t".utf8)
        return text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && !refused.contains($0) }
    }
}

// MARK: - Headers

extension MailMessage {
    static func header(_ name: String, _ value: String) -> String {
        let clean = Clean.line(value, limit: 900)
        guard clean.utf8.allSatisfy({ $0 < 0x7F }) else { return "\(name): " + encodedWords(clean) }
        var lines: [String] = []
        var line = "\(name):"
        for word in clean.split(separator: " ") {
            if line.utf8.count + 1 + word.utf8.count > 76, line != "\(name):" {
                lines.append(line)
                line = " \(word)"
            } else {
                line += " \(word)"
            }
        }
        return (lines + [line]).joined(separator: "\n")
    }

    /// RFC 2047, base64, at most 75 columns a word, cut between characters.
    private static func encodedWords(_ text: String) -> String {
        var words: [[UInt8]] = [[]]
        for character in text {
            if words[words.count - 1].count + character.utf8.count > 42 { words.append([]) }
            words[words.count - 1] += Array(character.utf8)
        }
        return words.map { "=?utf-8?B?\(base64($0))?=" }.joined(separator: "\n ")
    }

    private static func base64(_ bytes: [UInt8]) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
        var out = ""
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            let padded = Array(group) + [UInt8](repeating: 0, count: 3 - group.count)
            let value = Int(padded[0]) << 16 | Int(padded[1]) << 8 | Int(padded[2])
            for place in 0..<4 {
                out.append(place <= group.count ? alphabet[(value >> (18 - 6 * place)) & 63] : "=")
            }
        }
        return out
    }

    /// `Thu, 26 Nov 2026 04:37:05 +0000`.
    static func date(_ moment: Moment) -> String {
        let seconds = moment.nanoseconds / 1_000_000_000
        let days = seconds >= 0 ? seconds / 86_400 : (seconds - 86_399) / 86_400
        let rest = seconds - days * 86_400
        let (year, month, day) = civil(days)
        let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][Int(((days % 7) + 7) % 7)]
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        func two(_ value: Int64) -> String { value < 10 ? "0\(value)" : "\(value)" }
        return "\(weekday), \(day) \(months[month - 1]) \(year) "
            + "\(two(rest / 3600)):\(two(rest / 60 % 60)):\(two(rest % 60)) +0000"
    }

    /// Days since 1970 → year, month, day; in eras of 400 years that begin in March, where leap days come last.
    private static func civil(_ days: Int64) -> (year: Int64, month: Int, day: Int64) {
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let marchMonth = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * marchMonth + 2) / 5 + 1
        let month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), Int(month), day)
    }
}

// MARK: - Body

extension MailMessage {
    /// RFC 2045: lines of at most 76 columns, soft breaks where a line is longer.
    static func quotedPrintable(_ text: String) -> String {
        let hex = Array("0123456789ABCDEF")
        var out = ""
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            let bytes = Array(line.utf8)
            var column = 0
            for (index, byte) in bytes.enumerated() {
                let isLast = index == bytes.count - 1
                let isPlain = (byte >= 0x21 && byte <= 0x7E && byte != UInt8(ascii: "=")) || (byte == 0x20 && !isLast)
                // A dot alone on a line would end the message for an old sendmail; "From " would be marked by a mailbox.
                let isRisky = column == 0 && (byte == UInt8(ascii: ".") || byte == UInt8(ascii: "F"))
                let piece =
                    isPlain && !isRisky
                    ? String(Unicode.Scalar(byte)) : "=\(hex[Int(byte >> 4)])\(hex[Int(byte & 15)])"
                if column + piece.utf8.count > 75 {
                    out += "=\n"
                    column = 0
                }
                out += piece
                column += piece.utf8.count
            }
            out += "\n"
        }
        out.removeLast()
        return out
    }
}
