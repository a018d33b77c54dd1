/// Text in columns.
enum Columns {
    /// Pads each column to its widest cell: numbers to the right, the columns named in `left` to the left.
    static func aligned(_ rows: [[String]], left: Set<Int>) -> [String] {
        let count = rows.map(\.count).max() ?? 0
        let widths = (0..<count).map { column in rows.map { $0.count > column ? $0[column].count : 0 }.max() ?? 0 }
        return rows.map { row in
            var line = ""
            for (column, cell) in row.enumerated() {
                let padding = String(repeating: " ", count: widths[column] - cell.count)
                line += (column > 0 ? "  " : "") + (left.contains(column) ? cell + padding : padding + cell)
            }
            while line.last == " " { line.removeLast() }
            return line
        }
    }

    /// A number with a fixed count of decimals.
    static func decimal(_ value: Double, _ places: Int) -> String {
        guard value.isFinite else { return "-" }
        var scale = 1.0
        for _ in 0..<places { scale *= 10 }
        let scaled = Int64((value.magnitude * scale).rounded())
        let whole = scaled / Int64(scale)
        let sign = value < 0 && scaled > 0 ? "-" : ""
        if places == 0 { return "\(sign)\(whole)" }
        let part = String(scaled % Int64(scale))
        return "\(sign)\(whole)." + String(repeating: "0", count: places - part.count) + part
    }
}
