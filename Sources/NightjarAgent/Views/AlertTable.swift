import NightjarModel
import NightjarSinks

/// `nightjar alerts`: one line an alert, or blocks where there are few.
enum AlertTable {
    /// Few alerts are drawn whole, as the operator reads them; many as a table.
    private static let blocksUpTo = 3

    static func text(open: [Alert], closed: [Alert], isAll: Bool, width: Int, colour: Bool, now: Moment) -> String {
        let shown = isAll ? open : open.filter { $0.mutedBy == nil && $0.state == .firing }
        var text = ""
        if shown.isEmpty {
            text += "nothing fires\n"
        } else if shown.count <= blocksUpTo {
            let block = TerminalBlock(width: width, colour: colour)
            text += shown.map { block.text($0, at: now) }.joined(separator: "\n")
        } else {
            text += table(shown, width: width, colour: colour, now: now)
        }
        let hidden = open.count - shown.count
        if !isAll, hidden > 0 { text += "\(hidden) more pending or silenced: nightjar alerts --all\n" }
        if isAll, !closed.isEmpty {
            text += "\nover:\n" + table(closed, width: width, colour: colour, now: now)
        }
        return text
    }

    private static func table(_ alerts: [Alert], width: Int, colour: Bool, now: Moment) -> String {
        var table = TextTable([
            .init("ID"), .init("STATE"), .init("SEVERITY"), .init("DETECTOR"), .init("WHO", isFlexible: true),
            .init("SINCE", .right), .init("SAYS", isFlexible: true),
        ])
        for alert in alerts {
            let since = alert.resolvedAt ?? alert.firedAt ?? alert.startedAt
            table.add(
                [
                    alert.id, alert.mutedBy == nil ? alert.state.rawValue : "muted", alert.finding.severity.word,
                    alert.finding.detector, alert.finding.subject.label, (now - since).spoken, alert.finding.sentence,
                ], alert.state == .firing ? ProcessTable.emphasis(alert.finding.severity) : .faint)
        }
        return table.text(width: width, colour: colour)
    }

    /// What `nightjar show` adds to the block: state, times, setting, how to silence.
    static func page(_ alert: Alert, width: Int, colour: Bool, now: Moment) -> String {
        var text = TerminalBlock(width: width, colour: colour, isWhole: true).text(alert, at: now)
        var lines: [(String, String)] = [
            ("id", alert.id), ("state", alert.state.rawValue), ("began", "\((now - alert.startedAt).spoken) ago"),
            ("confirmed", "\((now - alert.seenAt).spoken) ago"),
        ]
        if let resolved = alert.resolvedAt { lines.append(("over", "\((now - resolved).spoken) ago")) }
        if alert.flaps > 0 { lines.append(("flapped", "\(alert.flaps) times")) }
        if let muted = alert.mutedBy { lines.append(("muted by", muted)) }
        if let contact = alert.contact { lines.append(("contact", contact)) }
        lines.append(("setting", alert.appliedSetting ?? "defaults of [\(alert.finding.detector)]"))
        for field in alert.finding.evidence {
            guard let value = Self.text(of: field) else { continue }
            lines.append((field.name.split(separator: "_").joined(separator: " "), value))
        }
        lines.append(("quiet it", "nightjar silence \(alert.id) --for 4h --because \"…\""))
        let indent = lines.map(\.0.count).max() ?? 0
        for (name, value) in lines {
            text += "  \(name)\(String(repeating: " ", count: indent - name.count))  \(value)\n"
        }
        return text
    }

    private static func text(of field: EvidenceField) -> String? {
        switch field.value {
        case .bytes(let value): value.description
        case .bytesPerSecond(let value): "\(Bytes(Int64(value)))/s"
        case .duration(let value): value.spoken
        case .count(let value): "\(value)"
        case .ratio(let value): "\((value * 1000).rounded() / 1000)"
        case .text(let value): value
        case .list: nil
        }
    }
}
