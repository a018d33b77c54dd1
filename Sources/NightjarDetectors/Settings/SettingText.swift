// Values as systemd writes them (systemd.syntax(7), systemd.time(7)): `90`, `2h 30min`, `512M`, `5%`, `yes`.
//
// Each reader answers nil for what it does not understand; the caller knows the key and says which value was wrong.

public import NightjarModel

/// Reads setting values in systemd's syntax. Nothing here allocates more than the text's own length.
public enum SettingText {
    /// `90` (seconds), `2h 30min`, `1.5d`, `250ms`, `infinity`: systemd.time(7)'s spans, never negative.
    public static func duration(_ text: String) -> Duration? {
        let trimmed = trim(text)
        if trimmed == "infinity" { return .nanoseconds(Int64.max) }
        var rest = trimmed[...]
        var total = 0.0
        guard !rest.isEmpty else { return nil }
        while !rest.isEmpty {
            guard let value = number(from: &rest) else { return nil }
            rest = rest.drop(while: \.isWhitespace)
            let unit = rest.prefix(while: \.isLetter)
            rest = rest.dropFirst(unit.count).drop(while: \.isWhitespace)
            guard let seconds = secondsPer(unit: unit) else { return nil }
            total += value * seconds
        }
        guard total.isFinite, total < 9e9 else { return nil }
        return .nanoseconds(Int64((total * 1e9).rounded()))
    }

    /// `4096`, `64K`, `1.5G`: powers of 1024, an optional trailing `B` or `iB`. A difference may not be written here.
    public static func bytes(_ text: String) -> Bytes? {
        var rest = trim(text)[...]
        guard let value = number(from: &rest) else { return nil }
        var unit = rest.drop(while: \.isWhitespace)
        if unit.hasSuffix("iB") { unit = unit.dropLast(2) } else if unit.hasSuffix("B") { unit = unit.dropLast() }
        let powers: [Substring: Double] = ["": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5]
        guard let power = powers[unit.uppercased()[...]] else { return nil }
        var count = value
        for _ in 0..<Int(power) { count *= 1024 }
        guard count < 9e18 else { return nil }
        return Bytes(Int64(count.rounded()))
    }

    /// A whole number, not negative.
    public static func count(_ text: String) -> Int64? {
        guard let value = Int64(trim(text)), value >= 0 else { return nil }
        return value
    }

    /// `5%` or `0.05`, between 0 and 1.
    public static func share(_ text: String) -> Double? {
        var rest = trim(text)[...]
        guard let value = number(from: &rest) else { return nil }
        let isPercent = rest.drop(while: \.isWhitespace) == "%"
        guard isPercent || rest.isEmpty else { return nil }
        let share = isPercent ? value / 100 : value
        return (0...1).contains(share) ? share : nil
    }

    /// `1 yes y true t on` and `0 no n false f off`, in any case: systemd's booleans.
    public static func flag(_ text: String) -> Bool? {
        switch trim(text).lowercased() {
        case "1", "yes", "y", "true", "t", "on": true
        case "0", "no", "n", "false", "f", "off": false
        default: nil
        }
    }

    private static func trim(_ text: String) -> String {
        let front = text.drop(while: \.isWhitespace)
        let end = front.lastIndex(where: { !$0.isWhitespace })
        return end.map { String(front[...$0]) } ?? ""
    }

    /// Digits with at most one point, from the front; leaves the rest.
    private static func number(from rest: inout Substring) -> Double? {
        let digits = rest.prefix(while: { $0.isASCII && ($0.isNumber || $0 == ".") })
        guard let first = digits.first, first != ".", digits.last != ".", let value = Double(digits) else { return nil }
        rest = rest.dropFirst(digits.count)
        return value
    }

    private static func secondsPer(unit: Substring) -> Double? {
        switch unit {
        case "us", "usec", "µs": 1e-6
        case "ms", "msec": 1e-3
        case "", "s", "sec", "second", "seconds": 1
        case "m", "min", "minute", "minutes": 60
        case "h", "hr", "hour", "hours": 3600
        case "d", "day", "days": 86_400
        case "w", "week", "weeks": 604_800
        case "M", "month", "months": 2_629_800
        case "y", "year", "years": 31_557_600
        default: nil
        }
    }
}
