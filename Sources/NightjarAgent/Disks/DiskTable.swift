// `nightjar disk` as a person reads it: one line a file system, and below it who fills it.
//
//     MOUNT    SIZE     FREE          NOW          FULL IN   INODES
//     /        19 GiB   7.2 GiB 38 %  +1.2 MiB/s   6.1 h      12 %    filling
//       ├─ /var/log/app.log  +1.1 MiB/s, 4.2 GiB   checkout (checkout.service, pid 4242)
//       │    92 % debug: cache miss for key=<*> in <*>
//       ├─ /tmp/export.csv (deleted)  holds 800 MiB   python3 (pid 77)
//       ╰─ the journal  1.9 GiB   sudo journalctl --vacuum-size=500M

import NightjarModel
import NightjarSources

/// Draws the disks.
public enum DiskTable {
    /// - Parameter width: columns of the terminal; lines are cut there, never wrapped.
    public static func text(_ snapshot: DiskSnapshot, width: Int = 100) -> String {
        guard !snapshot.rows.isEmpty else { return "no file systems to watch\n" }
        let head = ["MOUNT", "SIZE", "FREE", "NOW", "FULL IN", "INODES", ""]
        let cells = snapshot.rows.map(cells)
        let grid = TextGrid(head: head, rows: cells)
        var lines = [grid.headLine]
        for (position, row) in snapshot.rows.enumerated() {
            lines.append(grid.lines[position])
            lines += tree(details(row, width: width - 5))
        }
        lines += snapshot.notes.map { "note: \($0)" }
        return lines.map { TextGrid.cut($0, width) }.joined(separator: "\n") + "\n"
    }

    private static func cells(_ row: DiskSnapshot.Row) -> [String] {
        var free = "?"
        if let available = row.available, let size = row.size, size > .zero {
            free = "\(available) \(DiskCulprit.percent(Double(available.count) / Double(size.count)))"
        }
        var inodes = ""
        if let all = row.inodes, let left = row.inodesFree, all > 0 {
            inodes = DiskCulprit.percent(Double(all - left) / Double(all))
        }
        return [
            row.mountPoint, row.size.map(\.description) ?? "?", free, pace(row.pace),
            row.timeToFull?.spoken ?? "-", inodes, state(row),
        ]
    }

    private static func pace(_ pace: Double) -> String {
        if pace.magnitude < 1024 { return "still" }
        return "\(pace > 0 ? "+" : "-")\(Bytes(Int64(min(pace.magnitude, 9e18))))/s"
    }

    private static func state(_ row: DiskSnapshot.Row) -> String {
        if let silent = row.silentFor { return "not answering for \(silent.spoken)" }
        if row.isReadOnly { return "read-only" }
        switch row.stage {
        case "full": return "full"
        case "burst": return "filling fast"
        case "forecast": return "filling"
        case "backstop": return "nearly full"
        default: return ""
        }
    }

    private static func details(_ row: DiskSnapshot.Row, width: Int) -> [[String]] {
        var out: [[String]] = []
        for file in row.growing.prefix(4) {
            let deleted = file.isDeleted ? " (deleted)" : ""
            let writer = file.writers.first?.label ?? "held open by nobody"
            var lines = fitting(
                "\(file.path)\(deleted)  +\(DiskCulprit.pace(file.growth, file.span)), \(file.size)", writer, width)
            if let template = file.template {
                let level = template.level.map { "\($0.word): " } ?? ""
                lines.append("  \(DiskCulprit.percent(template.share)) \(level)\(template.text)")
            }
            if file.debugShare >= 0.5 { lines.append("  a debug log was left on") }
            out.append(lines)
        }
        if let folder = row.folder { out.append(["\(folder.path)  grew by \(folder.growth) in \(folder.span.spoken)"]) }
        for file in row.deleted.prefix(4) {
            out.append(
                fitting("\(file.path) (deleted)  holds \(file.held)", file.holders.first?.label ?? "?", width))
        }
        for advice in row.advice.prefix(3) { out.append(["\(advice.what)  \(advice.bytes)   \(advice.command)"]) }
        return out
    }

    /// What and who on one line, or on two: who it is is never what a narrow terminal cuts away.
    private static func fitting(_ what: String, _ who: String, _ width: Int) -> [String] {
        what.count + 3 + who.count <= width ? ["\(what)   \(who)"] : [what, "  \(who)"]
    }

    /// Branches for the first line of each group, a trunk for the others.
    private static func tree(_ groups: [[String]]) -> [String] {
        var lines: [String] = []
        for (position, group) in groups.enumerated() {
            let isLast = position == groups.count - 1
            for (number, line) in group.enumerated() {
                let trunk = number == 0 ? (isLast ? "╰─ " : "├─ ") : (isLast ? "   " : "│  ")
                lines.append("  \(trunk)\(line)")
            }
        }
        return lines
    }
}

/// Cells in columns, two blanks apart, numbers as they come.
struct TextGrid {
    let headLine: String
    let lines: [String]

    init(head: [String], rows: [[String]]) {
        var widths = head.map(\.count)
        for row in rows { for (column, cell) in row.enumerated() { widths[column] = max(widths[column], cell.count) } }
        func line(_ cells: [String]) -> String {
            var out = ""
            for (column, cell) in cells.enumerated() {
                out += cell
                if column < cells.count - 1 { out += String(repeating: " ", count: widths[column] - cell.count + 2) }
            }
            while out.hasSuffix(" ") { out.removeLast() }
            return out
        }
        headLine = line(head)
        lines = rows.map(line)
    }

    /// Cut at `width` characters with an ellipsis; control characters are shown as `?`.
    static func cut(_ line: String, _ width: Int) -> String {
        let clean = String(
            line.map { $0.isNewline || ($0.asciiValue.map { $0 < 0x20 || $0 == 0x7F } ?? false) ? "?" : $0 })
        return clean.count > width && width > 1 ? clean.prefix(width - 1) + "…" : clean
    }
}
