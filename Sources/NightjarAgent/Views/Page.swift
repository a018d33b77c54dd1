import NightjarModel

// The page at `/`: what fires, what grows, who uses what. One self-contained answer without scripts, so that it works
// in any browser, without internet, and behind a strict proxy; it asks for itself again every five seconds.

struct Page {
    var host: String
    var status: String
    var alerts: [Alert]
    var rows: [ProcessRow]
    var now: Moment

    /// More processes than this are left to `nightjar ps`.
    static let processes = 20

    var html: String {
        """
        <!doctype html>
        <html lang="en"><head><meta charset="utf-8"><title>\(title)</title>
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta http-equiv="refresh" content="5"><link rel="icon" href="data:,"><style>\(Self.style)</style></head>
        <body><header><h1>\(Self.escaped(host))</h1><p>\(Self.escaped(status))</p></header>
        <main>\(alertSection)\(processSection)</main>
        <footer><a href="/metrics">/metrics</a> <a href="/api/v1/alerts?format=json">alerts as JSON</a> \
        <a href="/api/v1/processes?format=json">processes as JSON</a></footer></body></html>

        """
    }

    private var title: String {
        let firing = alerts.filter { $0.state == .firing && $0.mutedBy == nil }.count
        return (firing > 0 ? "(\(firing)) " : "") + "Nightjar on \(Self.escaped(host))"
    }

    private var alertSection: String {
        let shown = alerts.filter { $0.state == .firing && $0.mutedBy == nil }
        if shown.isEmpty { return "<section><h2>Alerts</h2><p class=\"calm\">Nothing fires.</p></section>" }
        return "<section><h2>Alerts</h2>" + shown.map(card).joined() + "</section>"
    }

    private func card(_ alert: Alert) -> String {
        let finding = alert.finding
        let details = finding.details.map { "<li>\(Self.escaped($0))</li>" }.joined()
        let age = (now - (alert.firedAt ?? alert.startedAt)).spoken
        return """
            <article class="\(finding.severity.word)"><h3>\(Self.escaped(finding.detector)) \
            <b>\(Self.escaped(finding.subject.label))</b> <small>\(finding.severity.word), firing \(age)</small></h3>\
            <p>\(Self.escaped(finding.sentence))</p>\(details.isEmpty ? "" : "<ul>\(details)</ul>")\
            <code>\(Self.escaped(finding.nextStep))</code> <code>nightjar show \(Self.escaped(alert.id))</code></article>
            """
    }

    private var processSection: String {
        let largest = rows.sorted { $0.sample.anonymous > $1.sample.anonymous }.prefix(Self.processes)
        let head = ["Process", "Unit", "Anonymous", "RSS", "+1 h", "CPU", "Threads", "Descriptors", "Says"]
        let body = largest.map { row in
            let cells = [
                "\(row.identity.name) \(row.identity.key.pid)", row.identity.unit ?? "",
                row.sample.anonymous.description, row.sample.rss.description, row.risePerHour?.description ?? "",
                row.cpuShare.map(ProcessTable.percent) ?? "", row.sample.threads.map { "\($0)" } ?? "",
                row.sample.descriptors.map { "\($0)" } ?? "", row.verdict ?? "",
            ]
            return "<tr>" + cells.map { "<td>\(Self.escaped($0))</td>" }.joined() + "</tr>"
        }
        return "<section><h2>Largest processes</h2><div class=\"wide\"><table><thead><tr>"
            + head.map { "<th>\($0)</th>" }.joined()
            + "</tr></thead><tbody>\(body.joined())</tbody></table></div></section>"
    }

    static func escaped(_ text: String) -> String {
        var out = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": out += "&amp;"
            case "<": out += "&lt;"
            case ">": out += "&gt;"
            case "\"": out += "&quot;"
            case "'": out += "&#39;"
            case "\u{0}"..."\u{1F}", "\u{7F}": out += "?"
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out
    }

    private static let style = """
        :root{color-scheme:light dark;--line:#8884;--soft:#8882}
        body{font:15px/1.5 system-ui,sans-serif;max-width:76rem;margin:0 auto;padding:1.5rem}
        h1{font-size:1.3rem;margin:0}h2{font-size:1rem;margin:2rem 0 .5rem}h3{font-size:1rem;font-weight:400;margin:0}
        header p,small,.calm{opacity:.75;margin:.2rem 0}
        article{border:1px solid var(--line);border-left:.35rem solid #5a9;border-radius:.3rem;padding:.7rem 1rem;margin:.6rem 0}
        article.warning{border-left-color:#c80}article.critical{border-left-color:#d33}article p{margin:.3rem 0}
        code{background:var(--soft);border-radius:.2rem;padding:.1rem .4rem;font-size:.85em}
        .wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
        th,td{text-align:right;padding:.25rem .7rem;border-bottom:1px solid var(--line);white-space:nowrap}
        th:nth-child(-n+2),td:nth-child(-n+2),th:last-child,td:last-child{text-align:left}
        footer{margin-top:2rem;opacity:.75}footer a{margin-right:1rem}
        """
}
