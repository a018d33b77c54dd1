/// A history as text: `64 +1x30` is 64, then 30 readings, each one higher.
///
/// Words, separated by blanks: a number starts at that value; `+1x30` and `-2x5` go on from the last value by steps;
/// `=x10` stays for ten readings; `~3x8` swings up and down by 3, eight times. Numbers may have a fraction.
public struct History: Sendable, ExpressibleByStringLiteral {
    /// The readings.
    public let values: [Double]

    /// The same, from a literal.
    public init(stringLiteral text: String) { self.init(text) }

    /// Refuses words that it does not know.
    public init(_ text: String) {
        var values: [Double] = []
        for word in text.split(separator: " ") { Self.append(word, to: &values) }
        self.values = values
    }

    private static func append(_ word: Substring, to values: inout [Double]) {
        let parts = word.split(separator: "x", omittingEmptySubsequences: false)
        guard let first = word.first, "+-=~".contains(first) else {
            guard parts.count == 1, let value = Double(word) else { return refuse(word) }
            values.append(value)
            return
        }
        guard parts.count <= 2, let start = values.last, let times = parts.count == 2 ? Int(parts[1]) : 1 else {
            return refuse(word)
        }
        let step = parts[0].dropFirst().isEmpty ? 0 : Double(parts[0].dropFirst())
        guard let step else { return refuse(word) }
        for index in 1...max(1, times) {
            switch first {
            case "+": values.append(start + step * Double(index))
            case "-": values.append(start - step * Double(index))
            case "~": values.append(index % 2 == 1 ? start + step : start)
            default: values.append(start)
            }
        }
    }

    private static func refuse(_ word: Substring) { preconditionFailure("no word of a history: '\(word)'") }
}
