// Tables as people like to read them: columns as wide as they must be, figures to the right, one column that takes
// what is left of the line, nothing ever wraps.

/// A table of text.
public struct TextTable: Sendable {
    /// Words to the left, figures to the right.
    public enum Alignment: Sendable {
        case left, right
    }

    /// A column's head and how its cells stand.
    public struct Column: Sendable {
        public var title: String
        public var alignment: Alignment
        /// The column that is cut first where the line is too short.
        public var isFlexible: Bool

        public init(_ title: String, _ alignment: Alignment = .left, isFlexible: Bool = false) {
            self.title = title
            self.alignment = alignment
            self.isFlexible = isFlexible
        }
    }

    /// How a row is drawn: ordinary, or with ANSI colours where the reader's terminal has them.
    public enum Emphasis: Sendable {
        case none, faint, notice, warning, critical
    }

    public var columns: [Column]
    private var rows: [(cells: [String], emphasis: Emphasis)] = []

    public init(_ columns: [Column]) { self.columns = columns }

    /// Appends a row: a cell for each column, in their order.
    public mutating func add(_ cells: [String], _ emphasis: Emphasis = .none) {
        precondition(cells.count == columns.count, "a row has as many cells as the table has columns")
        rows.append((cells, emphasis))
    }

    public var isEmpty: Bool { rows.isEmpty }

    /// The table's lines, head first, none longer than `width` characters (colour codes not counted).
    public func text(width: Int, colour: Bool) -> String {
        var widths = columns.map { $0.title.count }
        for row in rows {
            for (index, cell) in row.cells.enumerated() { widths[index] = max(widths[index], cell.count) }
        }
        shrink(&widths, to: width)
        var text = Self.paint(line(columns.map(\.title), widths), .faint, colour) + "\n"
        for row in rows { text += Self.paint(line(row.cells, widths), row.emphasis, colour) + "\n" }
        return text
    }

    /// Takes from the widest flexible column, character by character, until the line fits or nothing gives way.
    private func shrink(_ widths: inout [Int], to width: Int) {
        var excess = widths.reduce(0, +) + 2 * (widths.count - 1) - max(width, 20)
        while excess > 0 {
            let flexible = columns.indices.filter { columns[$0].isFlexible && widths[$0] > 8 }
            guard let widest = flexible.max(by: { widths[$0] < widths[$1] }) else { return }
            widths[widest] -= 1
            excess -= 1
        }
    }

    private func line(_ cells: [String], _ widths: [Int]) -> String {
        var line = ""
        for (index, cell) in cells.enumerated() {
            let cut = Self.cut(cell, to: widths[index])
            let padding = String(repeating: " ", count: widths[index] - cut.count)
            if index > 0 { line += "  " }
            line += columns[index].alignment == .left ? cut + padding : padding + cut
        }
        while line.last == " " { line.removeLast() }
        return line
    }

    /// At most `width` characters, the last an ellipsis where something was cut; control characters as `?`.
    public static func cut(_ text: String, to width: Int) -> String {
        let clean =
            text.unicodeScalars.contains { $0.value < 32 || $0.value == 127 }
            ? String(text.unicodeScalars.map { $0.value < 32 || $0.value == 127 ? "?" : Character($0) }) : text
        return clean.count <= width ? clean : String(clean.prefix(max(0, width - 1))) + "…"
    }

    static func paint(_ line: String, _ emphasis: Emphasis, _ colour: Bool) -> String {
        guard colour else { return line }
        switch emphasis {
        case .none: return line
        case .faint: return "\u{1B}[2m\(line)\u{1B}[0m"
        case .notice: return "\u{1B}[36m\(line)\u{1B}[0m"
        case .warning: return "\u{1B}[33m\(line)\u{1B}[0m"
        case .critical: return "\u{1B}[31;1m\(line)\u{1B}[0m"
        }
    }
}
