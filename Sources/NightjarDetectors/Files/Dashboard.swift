// Grafana dashboards, written from the cards (Grafana's JSON model, schema version 39: Grafana 10 and later).
//
//     ┌──────────────────────── 24 ────────────────────────┐
//     │ open alerts of this detector (table)            8  │
//     ├─────────────────────────┬──────────────────────────┤
//     │ panel 1             12  │ panel 2              12  │   in the card's order, two a row
//     ├─────────────────────────┴──────────────────────────┤
//     │ runbook (text)                                 16  │
//     └────────────────────────────────────────────────────┘
//
// Every expression is narrowed to the chosen hosts: `instance=~"$instance"` goes into each of our metrics.

import NightjarModel

/// One dashboard: a title, a stable id, and panels that never overlap.
struct Dashboard {
    var title: String
    var uid: String
    var description: String
    private var panels: [JSON] = []
    private var x = 0
    private var y = 0
    private var rowHeight = 0

    init(title: String, uid: String, description: String) {
        self.title = title
        self.uid = uid
        self.description = description
    }

    static func detector(_ card: DetectorCard) -> Dashboard {
        var dashboard = Dashboard(
            title: "Nightjar: \(card.name)", uid: uid(card), description: "\(card.name) catches \(card.catches).")
        dashboard.addAlertTable(
            "Open alerts", expression: "nightjar_alert_info{detector=\"\(card.name)\"}", height: 8)
        for panel in card.panels { dashboard.add(panel, width: card.panels.count == 1 ? 24 : 12) }
        dashboard.addText("Runbook", markdown: card.runbook)
        return dashboard
    }

    static func overview(_ cards: [DetectorCard]) -> Dashboard {
        var dashboard = Dashboard(
            title: "Nightjar: overview", uid: "nightjar-overview",
            description: "What fires, what grows, and how the agents themselves are.")
        dashboard.addAlertTable("Open alerts", expression: "nightjar_alert_info", height: 10)
        for panel in overviewPanels { dashboard.add(panel, width: 12) }
        let list = cards.map { "- [\($0.name)](/d/\(uid($0))): \($0.catches)" }.joined(separator: "\n")
        dashboard.addText("Detectors", markdown: list)
        return dashboard
    }

    private static func uid(_ card: DetectorCard) -> String {
        "nightjar-" + card.snakeName.split(separator: "_").joined(separator: "-")
    }

    private static let overviewPanels = [
        Panel(
            "Firing by detector", expression: "sum by (detector) (nightjar_alerts{state=\"firing\"})",
            legend: "{{detector}}", unit: .count),
        Panel(
            "Anonymous memory, the ten largest",
            expression: "topk(10, nightjar_process_anonymous_memory_bytes)", legend: "{{process}} {{unit}}",
            unit: .bytes),
        Panel(
            "Cores in use, the ten busiest",
            expression: "topk(10, rate(nightjar_process_cpu_seconds_total[5m]))", legend: "{{process}} {{unit}}",
            unit: .count),
        Panel(
            "Memory available of all",
            expression: "nightjar_host_memory_available_bytes / nightjar_host_memory_total_bytes",
            legend: "{{instance}}", unit: .percent),
        Panel(
            "Time in which some task waited", expression: "nightjar_host_pressure_ratio{kind=\"some\"}",
            legend: "{{resource}} {{instance}}", unit: .percent),
        Panel(
            "Kills for want of memory", expression: "increase(nightjar_host_oom_kills_total[1h])",
            legend: "{{instance}}", unit: .count),
        Panel(
            "The agent: time of a round", expression: "nightjar_round_seconds", legend: "{{instance}}", unit: .seconds),
        Panel(
            "The agent: processes watched", expression: "nightjar_processes", legend: "{{instance}}", unit: .count),
        Panel(
            "The agent: late rounds an hour", expression: "increase(nightjar_rounds_late_total[1h])",
            legend: "{{instance}}", unit: .count),
        Panel(
            "The agent: what it could not read, an hour",
            expression: "sum by (room, code) (increase(nightjar_errors_total[1h]))", legend: "{{room}} {{code}}",
            unit: .count),
    ]
}

// MARK: Panels

extension Dashboard {
    private static let source = JSON.object([
        ("type", .string("prometheus")), ("uid", .string("${datasource}")),
    ])

    private mutating func add(_ panel: Panel, width: Int) {
        let axis = JSON.object([
            ("unit", .string(panel.unit.grafana)), ("min", .int(0)),
            (
                "custom",
                .object([
                    ("lineWidth", .int(1)), ("fillOpacity", .int(8)), ("showPoints", .string("never")),
                    ("spanNulls", .bool(false)),
                ])
            ),
        ])
        let target = JSON.object([
            ("refId", .string("A")), ("datasource", Self.source),
            ("expr", .string(Self.narrowed(panel.expression))), ("legendFormat", .string(panel.legend)),
        ])
        place(
            "timeseries", title: panel.title, width: width, height: 8,
            [
                ("datasource", Self.source), ("targets", .array([target])),
                ("fieldConfig", .object([("defaults", axis), ("overrides", .array([]))])),
                (
                    "options",
                    .object([
                        (
                            "legend",
                            .object([
                                ("displayMode", .string("list")), ("placement", .string("bottom")),
                                ("calcs", .array([])),
                            ])
                        ),
                        ("tooltip", .object([("mode", .string("multi")), ("sort", .string("desc"))])),
                    ])
                ),
            ])
    }

    private mutating func addAlertTable(_ title: String, expression: String, height: Int) {
        let target = JSON.object([
            ("refId", .string("A")), ("datasource", Self.source), ("expr", .string(Self.narrowed(expression))),
            ("format", .string("table")), ("instant", .bool(true)),
        ])
        let hidden = ["Time", "Value", "__name__", "job"].map { ($0, JSON.bool(true)) }
        let order = ["severity", "state", "detector", "subject", "verdict", "unit", "instance", "id"]
        let indices = order.enumerated().map { ($0.element, JSON.int(Int64($0.offset))) }
        let organize = JSON.object([
            ("id", .string("organize")),
            (
                "options",
                .object([("excludeByName", .object(hidden)), ("indexByName", .object(indices))])
            ),
        ])
        place(
            "table", title: title, width: 24, height: height,
            [
                ("datasource", Self.source), ("targets", .array([target])),
                ("transformations", .array([organize])),
                ("fieldConfig", .object([("defaults", .object([])), ("overrides", .array([]))])),
                ("options", .object([("showHeader", .bool(true))])),
            ])
    }

    private mutating func addText(_ title: String, markdown: String) {
        place(
            "text", title: title, width: 24, height: 16,
            [("options", .object([("mode", .string("markdown")), ("content", .string(markdown))]))])
    }

    /// Puts a panel beside the last one, or below where the row is full.
    private mutating func place(
        _ type: String, title: String, width: Int, height: Int, _ rest: [(String, JSON)]
    ) {
        if x + width > 24 { (x, y, rowHeight) = (0, y + rowHeight, 0) }
        let grid = JSON.object([
            ("h", .int(Int64(height))), ("w", .int(Int64(width))), ("x", .int(Int64(x))), ("y", .int(Int64(y))),
        ])
        let head: [(String, JSON)] = [
            ("id", .int(Int64(panels.count + 1))), ("type", .string(type)), ("title", .string(title)),
            ("gridPos", grid),
        ]
        panels.append(.object(head + rest))
        x += width
        rowHeight = max(rowHeight, height)
    }

    /// The expression with `instance=~"$instance"` in every metric of ours.
    static func narrowed(_ expression: String) -> String {
        let matcher = "instance=~\"$instance\""
        var out = ""
        var rest = expression[...]
        while let first = rest.first {
            let word = rest.prefix { $0 == "_" || $0.isLetter || $0.isNumber }
            guard !word.isEmpty else {
                out.append(first)
                rest = rest.dropFirst()
                continue
            }
            out += word
            rest = rest.dropFirst(word.count)
            guard word.hasPrefix("nightjar_") else { continue }
            if rest.first == "{" {
                out += "{\(matcher),"
                rest = rest.dropFirst()
            } else {
                out += "{\(matcher)}"
            }
        }
        return out
    }
}

extension Panel.Unit {
    /// Grafana's name of the unit.
    fileprivate var grafana: String {
        switch self {
        case .bytes: "bytes"
        case .seconds: "s"
        case .percent: "percentunit"
        case .count: "short"
        case .bytesPerSecond: "Bps"
        }
    }
}

// MARK: The file

extension Dashboard {
    /// The whole file: JSON, indented, one line at its end.
    var text: String { json.indented + "\n" }

    private var json: JSON {
        .object([
            ("uid", .string(uid)), ("title", .string(title)), ("description", .string(description)),
            ("tags", .array([.string("nightjar")])), ("schemaVersion", .int(39)), ("version", .int(1)),
            ("editable", .bool(true)), ("graphTooltip", .int(1)), ("timezone", .string("browser")),
            ("refresh", .string("30s")),
            ("time", .object([("from", .string("now-24h")), ("to", .string("now"))])),
            ("annotations", .object([("list", .array([]))])),
            ("links", .array([Self.link])),
            ("templating", .object([("list", .array([Self.sourceVariable, Self.instanceVariable]))])),
            ("panels", .array(panels)),
        ])
    }

    private static let link = JSON.object([
        ("title", .string("Nightjar")), ("type", .string("dashboards")), ("asDropdown", .bool(true)),
        ("tags", .array([.string("nightjar")])), ("includeVars", .bool(true)), ("keepTime", .bool(true)),
    ])

    private static let sourceVariable = JSON.object([
        ("name", .string("datasource")), ("label", .string("Data source")), ("type", .string("datasource")),
        ("query", .string("prometheus")), ("refresh", .int(1)), ("hide", .int(0)),
    ])

    private static let instanceVariable = JSON.object([
        ("name", .string("instance")), ("label", .string("Host")), ("type", .string("query")),
        ("datasource", source), ("query", .string("label_values(nightjar_build_info, instance)")),
        ("definition", .string("label_values(nightjar_build_info, instance)")), ("refresh", .int(2)),
        ("multi", .bool(true)), ("includeAll", .bool(true)), ("allValue", .string(".*")),
        (
            "current",
            .object([("selected", .bool(true)), ("text", .string("All")), ("value", .string("$__all"))])
        ),
    ])
}

extension JSON {
    /// On many lines, two blanks a level, so that a difference can be read.
    var indented: String { indented(level: 0) }

    private func indented(level: Int) -> String {
        let inner = String(repeating: "  ", count: level + 1)
        let outer = String(repeating: "  ", count: level)
        switch self {
        case .array(let items) where !items.isEmpty:
            let lines = items.map { inner + $0.indented(level: level + 1) }
            return "[\n\(lines.joined(separator: ",\n"))\n\(outer)]"
        case .object(let members) where !members.isEmpty:
            let lines = members.map { "\(inner)\(JSON.string($0.0).text): \($0.1.indented(level: level + 1))" }
            return "{\n\(lines.joined(separator: ",\n"))\n\(outer)}"
        default: return text
        }
    }
}
