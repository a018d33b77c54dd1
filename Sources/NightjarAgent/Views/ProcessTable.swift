public import NightjarModel

// `nightjar ps` and the lower half of `nightjar top`: one line a process, figures a person compares.

/// One process as tables and JSON show it.
public struct ProcessRow: Sendable {
    public var identity: ProcessIdentity
    public var sample: ProcessSample
    /// Share of one core since the reading before.
    public var cpuShare: Double?
    /// How far its floor of anonymous memory rose in the last hour; nil while too young.
    public var risePerHour: Bytes?
    /// The most urgent thing a detector says of it: `HeapGrowth leak`.
    public var verdict: String?
    public var severity: Severity?

    public init(
        identity: ProcessIdentity, sample: ProcessSample, cpuShare: Double? = nil, risePerHour: Bytes? = nil,
        verdict: String? = nil, severity: Severity? = nil
    ) {
        self.identity = identity
        self.sample = sample
        self.cpuShare = cpuShare
        self.risePerHour = risePerHour
        self.verdict = verdict
        self.severity = severity
    }
}

/// How a list of processes is asked for.
public struct ProcessQuery: Sendable {
    public var sort = "memory"
    public var limit = 30
    public var match: Glob?

    public init(_ request: APIRequest) {
        sort = request.query["sort"] ?? sort
        limit = request.query["limit"].flatMap { Int($0) }.map { max(1, min($0, 40_000)) } ?? limit
        match = request.query["match"].map { Glob($0) }
    }

    /// The rows that are asked for, in order.
    public func select(_ rows: [ProcessRow]) -> [ProcessRow] {
        let wanted = rows.filter { row in
            guard let match else { return true }
            return match.matches(row.identity.name) || row.identity.unit.map { match.matches($0) } ?? false
        }
        return Array(wanted.sorted { isBefore($0, $1) }.prefix(limit))
    }

    private func isBefore(_ a: ProcessRow, _ b: ProcessRow) -> Bool {
        let (x, y): (Double, Double) =
            switch sort {
            case "cpu": (a.cpuShare ?? -1, b.cpuShare ?? -1)
            case "growth": (Double(a.risePerHour?.count ?? .min), Double(b.risePerHour?.count ?? .min))
            case "descriptors": (Double(a.sample.descriptors ?? -1), Double(b.sample.descriptors ?? -1))
            case "threads": (Double(a.sample.threads ?? -1), Double(b.sample.threads ?? -1))
            case "name": (0, 0)
            default: (Double(a.sample.anonymous.count), Double(b.sample.anonymous.count))
            }
        if x != y { return x > y }
        if a.identity.name != b.identity.name { return a.identity.name < b.identity.name }
        return a.identity.key.pid < b.identity.key.pid
    }
}

/// Renders rows.
public enum ProcessTable {
    /// The table of `ps` and `top`, in the order of `rows`, lines of at most `width` characters.
    public static func text(_ rows: [ProcessRow], width: Int, colour: Bool) -> String {
        var table = TextTable([
            .init("PID", .right), .init("NAME", isFlexible: true), .init("UNIT", isFlexible: true),
            .init("ANON", .right),
            .init("RSS", .right), .init("+1H", .right), .init("CPU", .right), .init("THR", .right),
            .init("FDS", .right),
            .init("SAYS"),
        ])
        for row in rows { table.add(cells(row), emphasis(row.severity)) }
        return table.text(width: width, colour: colour)
    }

    private static func cells(_ row: ProcessRow) -> [String] {
        [
            "\(row.identity.key.pid)", row.identity.name, row.identity.unit ?? "-", row.sample.anonymous.description,
            row.sample.rss.description, row.risePerHour.map { ($0.count > 0 ? "+" : "") + $0.description } ?? "-",
            row.cpuShare.map { percent($0) } ?? "-", row.sample.threads.map { "\($0)" } ?? "-",
            row.sample.descriptors.map { "\($0)" } ?? "-", row.verdict ?? "",
        ]
    }

    static func emphasis(_ severity: Severity?) -> TextTable.Emphasis {
        switch severity {
        case .critical: .critical
        case .warning: .warning
        case .notice: .notice
        case .info, nil: .none
        }
    }

    /// `0.4 %`, `12 %`, `180 %`.
    static func percent(_ share: Double) -> String {
        let value = share * 100
        if value >= 9.95 { return "\(Int(value.rounded())) %" }
        let tenths = Int((value * 10).rounded())
        return "\(tenths / 10).\(tenths % 10) %"
    }

    /// The same rows; sizes in bytes, CPU as a share of one core.
    public static func json(_ rows: [ProcessRow]) -> JSON { .array(rows.map(json)) }

    private static func json(_ row: ProcessRow) -> JSON {
        .object([
            ("pid", .int(Int64(row.identity.key.pid))), ("start_time_ticks", .int(Int64(row.identity.key.startTime))),
            ("name", .string(row.identity.name)), ("unit", .optional(row.identity.unit)),
            ("command_line", .string(row.identity.commandLine)), ("uid", .int(Int64(row.identity.uid))),
            ("rss_bytes", .int(row.sample.rss.count)), ("anonymous_bytes", .int(row.sample.anonymous.count)),
            ("swap_bytes", .optional(row.sample.swap?.count)), ("cpu_share", .optional(row.cpuShare)),
            ("cpu_seconds", .optional(row.sample.cpuTime?.inSeconds)),
            ("threads", .optional(row.sample.threads.map(Int64.init))),
            ("descriptors", .optional(row.sample.descriptors.map(Int64.init))),
            ("descriptor_limit", .optional(row.sample.descriptorLimit.map(Int64.init))),
            ("rise_1h_bytes", .optional(row.risePerHour?.count)), ("verdict", .optional(row.verdict)),
        ])
    }
}
