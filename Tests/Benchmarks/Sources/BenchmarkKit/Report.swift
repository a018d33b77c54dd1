import Glibc

/// A benchmark's figures as a table, and as JSON where asked; its thresholds as an exit code.
///
/// Arguments of every benchmark: `--quick` (fewer rounds, for every change), `--json FILE` (append one object).
public final class Report {
    /// What a figure has to keep.
    public enum Threshold: Sendable {
        case atMost(Double)
        case atLeast(Double)

        func isKept(by value: Double) -> Bool {
            switch self {
            case .atMost(let limit): value <= limit
            case .atLeast(let limit): value >= limit
            }
        }

        var text: String {
            switch self {
            case .atMost(let limit): "≤ \(short(limit))"
            case .atLeast(let limit): "≥ \(short(limit))"
            }
        }
    }

    private struct Figure {
        var name: String
        var value: Double
        var unit: String
        var threshold: Threshold?
    }

    /// What is measured.
    public let subject: String
    private var figures: [Figure] = []

    /// No figures yet.
    public init(_ subject: String) { self.subject = subject }

    /// Adds a figure. One with a threshold decides about the exit code: give thresholds to ratios and counts alone, they
    /// hold on any machine.
    public func add(_ name: String, _ value: Double, _ unit: String, _ threshold: Threshold? = nil) {
        figures.append(Figure(name: name, value: value, unit: unit, threshold: threshold))
    }

    /// Adds the median of a series with its range, scaled: `scale` turns seconds into the unit.
    public func add(_ name: String, _ series: Series, scale: Double, _ unit: String) {
        add("\(name) (\(short(series.least * scale))–\(short(series.most * scale)))", series.median * scale, unit)
    }

    /// Prints everything and exits: 0 where every threshold is kept, 1 where not.
    public func finish() -> Never {
        print("\n\(subject)")
        let width = figures.map(\.name.count).max() ?? 0
        for figure in figures {
            let padding = String(repeating: " ", count: width - figure.name.count)
            let value = String(repeating: " ", count: max(0, 9 - short(figure.value).count)) + short(figure.value)
            var line = "  \(figure.name)\(padding) \(value) \(figure.unit)"
            if let threshold = figure.threshold {
                line += "   \(threshold.text)  \(threshold.isKept(by: figure.value) ? "kept" : "NOT KEPT")"
            }
            print(line)
        }
        if let file = Arguments.value(of: "--json") { append(to: file) }
        let kept = figures.allSatisfy { $0.threshold?.isKept(by: $0.value) ?? true }
        fflush(nil)
        exit(kept ? 0 : 1)
    }

    private func append(to file: String) {
        let rows = figures.map { figure in
            var row = #"{"name":"\#(figure.name)","value":\#(figure.value),"unit":"\#(figure.unit)""#
            if let threshold = figure.threshold {
                row += #","threshold":"\#(threshold.text)","kept":\#(threshold.isKept(by: figure.value))"#
            }
            return row + "}"
        }
        let line = #"{"subject":"\#(subject)","figures":[\#(rows.joined(separator: ","))]}"# + "\n"
        guard let output = fopen(file, "a") else { return print("cannot write \(file)") }
        fputs(line, output)
        fclose(output)
    }
}

/// What the command line said.
public enum Arguments {
    /// The short form was asked for.
    public static var isQuick: Bool { CommandLine.arguments.contains("--quick") }

    /// The word after a name; nil where it is missing.
    public static func value(of name: String) -> String? {
        guard let index = CommandLine.arguments.firstIndex(of: name), index + 1 < CommandLine.arguments.count else {
            return nil
        }
        return CommandLine.arguments[index + 1]
    }
}

/// Three digits that matter.
func short(_ value: Double) -> String {
    guard value.isFinite else { return "\(value)" }
    let digits = value.magnitude >= 100 ? 0 : value.magnitude >= 10 ? 1 : value.magnitude >= 1 ? 2 : 3
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    let rounded = (value * scale).rounded() / scale
    return digits == 0 ? "\(Int64(rounded))" : "\(rounded)"
}
