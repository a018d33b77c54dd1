import NightjarModel

// One picture of `nightjar top`: the host in one line, what fires, services with a probe, then processes.

struct TopView {
    var host: HostSample?
    var alerts: [Alert]
    var rows: [ProcessRow]
    var services: [ProbeSnapshot.Service] = []
    var processes: Int
    var agentLine: String
    var now: Moment

    /// At most `rows` lines of at most `width` characters.
    func text(width: Int, rows limit: Int, colour: Bool, query: ProcessQuery) -> String {
        var lines = [hostLine, agentLine]
        lines += alertLines(width: width, colour: colour, limit: max(1, limit / 3))
        let probed = LoopTable.lines(services, width: width, limit: max(1, limit / 6), now: now)
        if !probed.isEmpty { lines += [""] + probed }
        lines.append("")
        var query = query
        query.limit = max(1, limit - lines.count - 1)
        let table = ProcessTable.text(query.select(rows), width: width, colour: colour)
        let head = lines.map { TextTable.cut($0, to: colour ? width + 24 : width) }
        return head.joined(separator: "\n") + "\n" + table
    }

    private var hostLine: String {
        guard let host else { return "\(processes) processes" }
        let used = host.memoryTotal - host.memoryAvailable
        var parts = [
            "memory \(used) of \(host.memoryTotal) \(Self.bar(used, host.memoryTotal))", "\(processes) processes",
        ]
        if host.swapTotal > .zero { parts.append("swap \(host.swapTotal - host.swapFree) of \(host.swapTotal)") }
        if let load = host.load1 { parts.append("load \((load * 100).rounded() / 100) on \(host.processors)") }
        let pressures = [("memory", host.memoryPressure), ("cpu", host.cpuPressure), ("io", host.ioPressure)]
        for (name, pressure) in pressures {
            if let pressure, pressure.some >= 0.01 {
                parts.append("\(name) pressure \(ProcessTable.percent(pressure.some))")
            }
        }
        return parts.joined(separator: "   ")
    }

    private static func bar(_ used: Bytes, _ total: Bytes) -> String {
        guard total > .zero else { return "" }
        let filled = Int((Double(used.count) / Double(total.count) * 20).rounded())
        let clamped = max(0, min(20, filled))
        return String(repeating: "█", count: clamped) + String(repeating: "░", count: 20 - clamped)
    }

    private func alertLines(width: Int, colour: Bool, limit: Int) -> [String] {
        let firing = alerts.filter { $0.state == .firing && $0.mutedBy == nil }
        if firing.isEmpty { return ["nothing fires"] }
        var lines = firing.prefix(limit).map { alert in
            let finding = alert.finding
            let age = (now - (alert.firedAt ?? alert.startedAt)).spoken
            let line = "\(finding.detector)  \(finding.subject.label)  \(finding.sentence)  (\(age))"
            return TextTable.paint(TextTable.cut(line, to: width), ProcessTable.emphasis(finding.severity), colour)
        }
        if firing.count > limit { lines.append("and \(firing.count - limit) more: nightjar alerts") }
        return lines
    }
}
