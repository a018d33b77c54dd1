// `nightjar logs` as a person reads it: the loudest sources, and below each the message that makes most of it.
//
//     NOW          HOUR      DAY       × USUAL  SOURCE
//     1.1 MiB/s    3.9 GiB   4.2 GiB   24       /var/log/app.log   flood   checkout (checkout.service, pid 4242)
//       ╰─ 92 % debug: cache miss for key=<*> in <*>   first seen 2.1 h ago
//     212 B/s      760 KiB   18 MiB    1.1      sshd.service (journal)

import NightjarModel
import NightjarSources

/// Draws the logs.
public enum LogTable {
    /// - Parameters:
    ///   - width: columns of the terminal; lines are cut there, never wrapped.
    ///   - limit: so many sources are drawn; the others are counted.
    public static func text(_ snapshot: LogSnapshot, width: Int = 100, limit: Int = 20) -> String {
        let rows = snapshot.rows.filter { $0.total > 0 }.prefix(limit)
        var lines: [String] = []
        if rows.isEmpty {
            lines.append("no log has written anything yet: neither a file that is watched nor a unit of the journal")
        } else {
            let grid = TextGrid(head: ["NOW", "HOUR", "DAY", "× USUAL", "SOURCE"], rows: rows.map(cells))
            lines.append(grid.headLine)
            for (position, row) in rows.enumerated() {
                let line = grid.lines[position]
                lines.append(line)
                // Who writes it is never what a narrow terminal cuts away.
                let cutsWriter = line.count > width && row.writer != nil
                lines += tree(templates(row, at: snapshot.time) + (cutsWriter ? [writer(row)] : []))
            }
        }
        let silent = snapshot.rows.count - rows.count
        if silent > 0 { lines.append("\(silent) more sources, quieter or silent") }
        lines += snapshot.notes.map { "note: \($0)" }
        return lines.map { TextGrid.cut($0, width) }.joined(separator: "\n") + "\n"
    }

    private static func cells(_ row: LogSnapshot.Row) -> [String] {
        var source = row.isFile ? row.source : "\(row.source) (journal)"
        if row.isFlood { source += "   flood" }
        if let writer = row.writer { source += "   \(writer.label)" }
        let ratio = row.ratio.map { $0 >= 9.95 ? "\(Int64(min($0, 1e9).rounded()))" : "\(($0 * 10).rounded() / 10)" }
        return [
            "\(Bytes(Int64(min(row.pace, 9e18))))/s", row.lastHour.description, row.lastDay.description, ratio ?? "-",
            source,
        ]
    }

    private static func templates(_ row: LogSnapshot.Row, at time: Moment) -> [String] {
        // Quiet sources need no explanation.
        guard row.isFlood || row.pace >= 1024 else { return [] }
        var lines = row.templates.filter { $0.share >= 0.2 }.prefix(2).map { template in
            let level = template.level.map { "\($0.word): " } ?? ""
            return "\(DiskCulprit.percent(template.share)) \(level)\(template.text)"
                + "   first seen \((time - template.firstSeen).spoken) ago"
        }
        if row.debugShare >= 0.5 { lines.append("mostly of level debug: was a debug log left on?") }
        if row.suppressed > 0 { lines.append("journald held back \(row.suppressed) more entries") }
        return lines
    }

    private static func writer(_ row: LogSnapshot.Row) -> String { "written by \(row.writer?.label ?? "nobody")" }

    private static func tree(_ lines: [String]) -> [String] {
        lines.enumerated().map { position, line in "  \(position == lines.count - 1 ? "╰─" : "├─") \(line)" }
    }
}
