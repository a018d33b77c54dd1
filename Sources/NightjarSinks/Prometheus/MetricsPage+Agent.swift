// What the agent itself serves: its own health first, then alerts, the host, the watched processes.

public import NightjarModel

/// The agent's own health. `process_*` are the names of swift-system-metrics, and mean the agent, nobody else.
public struct OwnHealth: Hashable, Sendable {
    public var version: String
    public var cpuSeconds: Double
    public var residentMemory: Bytes
    public var virtualMemory: Bytes
    public var openDescriptors: Int
    public var maxDescriptors: Int
    public var threads: Int
    public var startedAt: Moment
    public var rounds: Int64
    public var lateRounds: Int64
    public var roundDuration: Duration
    public var roundInterval: Duration
    /// Processes that are sampled.
    public var subjects: Int
    public var historyInMemory: Bool
    public var errors: [SwallowedErrors]

    public init(
        version: String, cpuSeconds: Double, residentMemory: Bytes, virtualMemory: Bytes, openDescriptors: Int,
        maxDescriptors: Int, threads: Int, startedAt: Moment, rounds: Int64, lateRounds: Int64,
        roundDuration: Duration, roundInterval: Duration, subjects: Int, historyInMemory: Bool,
        errors: [SwallowedErrors] = []
    ) {
        self.version = version
        self.cpuSeconds = cpuSeconds
        self.residentMemory = residentMemory
        self.virtualMemory = virtualMemory
        self.openDescriptors = openDescriptors
        self.maxDescriptors = maxDescriptors
        self.threads = threads
        self.startedAt = startedAt
        self.rounds = rounds
        self.lateRounds = lateRounds
        self.roundDuration = roundDuration
        self.roundInterval = roundInterval
        self.subjects = subjects
        self.historyInMemory = historyInMemory
        self.errors = errors
    }
}

/// What was swallowed in one room for one reason, and how often.
public struct SwallowedErrors: Hashable, Sendable {
    public var room: String
    public var code: String
    public var count: Int64

    public init(room: String, code: String, count: Int64) {
        self.room = room
        self.code = code
        self.count = count
    }
}

/// What one unit and process name weighs; processes of the same two are summed by whoever makes this.
public struct WatchedProcess: Hashable, Sendable {
    /// Empty outside any unit.
    public var unit: String
    public var process: String
    public var count: Int
    public var residentMemory: Bytes
    public var anonymousMemory: Bytes
    public var cpuSeconds: Double?
    public var threads: Int?
    public var openDescriptors: Int?
    public var maxDescriptors: Int?
    /// Shown before bigger ones: it has an open alert, or the configuration names it.
    public var isWatched: Bool

    public init(
        unit: String, process: String, count: Int = 1, residentMemory: Bytes, anonymousMemory: Bytes,
        cpuSeconds: Double? = nil, threads: Int? = nil, openDescriptors: Int? = nil, maxDescriptors: Int? = nil,
        isWatched: Bool = false
    ) {
        self.unit = unit
        self.process = process
        self.count = count
        self.residentMemory = residentMemory
        self.anonymousMemory = anonymousMemory
        self.cpuSeconds = cpuSeconds
        self.threads = threads
        self.openDescriptors = openDescriptors
        self.maxDescriptors = maxDescriptors
        self.isWatched = isWatched
    }
}

/// Counters of the alert book, as numbers: sinks know no other stage.
public struct AlertTotals: Hashable, Sendable {
    public var opened: Int64
    public var resolved: Int64
    public var dropped: Int64

    public init(opened: Int64, resolved: Int64, dropped: Int64) {
        self.opened = opened
        self.resolved = resolved
        self.dropped = dropped
    }
}

extension OwnHealth {
    var families: [MetricFamily] {
        [
            MetricFamily(
                "nightjar_build_info", .gauge, help: "The agent's version; the value is always 1.",
                [.init(1, labels: [("version", version)])]),
            MetricFamily(
                "process_cpu_seconds_total", .counter, help: "CPU time of the agent, user and system.",
                value: cpuSeconds),
            MetricFamily(
                "process_resident_memory_bytes", .gauge, help: "Resident memory of the agent.", residentMemory),
            MetricFamily("process_virtual_memory_bytes", .gauge, help: "Virtual memory of the agent.", virtualMemory),
            MetricFamily("process_open_fds", .gauge, help: "Descriptors the agent has open.", openDescriptors),
            MetricFamily("process_max_fds", .gauge, help: "Descriptors the agent may have open.", maxDescriptors),
            MetricFamily("process_threads", .gauge, help: "Threads of the agent.", threads),
            MetricFamily(
                "process_start_time_seconds", .gauge, help: "When the agent began, in seconds since 1970.",
                value: startedAt.seconds),
            MetricFamily("nightjar_rounds_total", .counter, help: "Sampling rounds.", Int(rounds)),
            MetricFamily(
                "nightjar_rounds_late_total", .counter, help: "Sampling rounds that began late.", Int(lateRounds)),
            MetricFamily(
                "nightjar_round_seconds", .gauge, help: "How long the last sampling round took.",
                value: roundDuration.inSeconds),
            MetricFamily(
                "nightjar_interval_seconds", .gauge, help: "Time between sampling rounds at present.",
                value: roundInterval.inSeconds),
            MetricFamily("nightjar_processes", .gauge, help: "Processes that the agent watches.", subjects),
            MetricFamily(
                "nightjar_history_in_memory", .gauge, help: "1 while the history cannot be written to disk.",
                historyInMemory ? 1 : 0),
            MetricFamily(
                "nightjar_errors_total", .counter, help: "Errors that were swallowed, by room and code.",
                errors.prefix(20).map { .init(Double($0.count), labels: [("room", $0.room), ("code", $0.code)]) }),
        ]
    }
}

extension MetricFamily {
    fileprivate init(_ name: String, _ kind: Kind, help: String, _ value: Bytes) {
        self.init(name, kind, help: help, value: Double(value.count))
    }

    fileprivate init(_ name: String, _ kind: Kind, help: String, _ value: Int) {
        self.init(name, kind, help: help, value: Double(value))
    }
}

extension MetricsPage {
    /// The agent itself: about 15 series.
    public mutating func add(_ own: OwnHealth) {
        for family in own.families where !family.series.isEmpty { add(family) }
    }

    /// Counts by sink and by how it ended.
    public mutating func add(sinks: [(name: String, counters: SinkCounters)]) {
        guard !sinks.isEmpty else { return }
        let ends = sinks.flatMap { name, counters -> [MetricFamily.Series] in
            [("delivered", counters.delivered), ("failed", counters.failed), ("overflowed", counters.overflowed)]
                .map { .init(Double($0.1), labels: [("sink", name), ("result", $0.0)]) }
        }
        add(
            MetricFamily(
                "nightjar_sink_deliveries_total", .counter, help: "Messages of each sink, by how they ended.", ends))
        let held = sinks.map { MetricFamily.Series(Double($0.counters.heldBack), labels: [("sink", $0.name)]) }
        add(
            MetricFamily(
                "nightjar_alert_messages_held_back_total", .counter,
                help: "Messages held back to keep to a sink's limit.", held))
    }

    /// Which detectors run.
    public mutating func add(detectors: [(name: String, enabled: Bool)]) {
        guard !detectors.isEmpty else { return }
        let series = detectors.map { MetricFamily.Series($0.enabled ? 1 : 0, labels: [("detector", $0.name)]) }
        add(MetricFamily("nightjar_detector_enabled", .gauge, help: "1 for each detector that is on.", series))
    }

    /// Open alerts: each by itself while there is room, and counts of all by detector and state. For every evidence
    /// figure that a card lists in `metrics`, its value while an alert of it is open.
    public mutating func add(alerts: [Alert], totals: AlertTotals, cards: [DetectorCard] = []) {
        add(totals)
        addCounts(of: alerts)
        let order = alerts.sorted { Self.rank($0) > Self.rank($1) }
        let series = order.prefix(limits.alerts).map { MetricFamily.Series(1, labels: Self.labels(of: $0)) }
        if !series.isEmpty {
            add(
                MetricFamily(
                    "nightjar_alert_info", .gauge,
                    help: "1 for each open alert; one that is hidden by a silence or another alert is muted.", series))
        }
        for card in cards { addEvidence(of: alerts, card) }
    }

    /// Told ones before pending ones, those before muted ones.
    private static func rank(_ alert: Alert) -> (Int, Int) {
        let order = alert.mutedBy != nil ? 0 : alert.state == .pending ? 1 : 2
        return (order, alert.finding.severity.rawValue)
    }

    private static func labels(of alert: Alert) -> [(String, String)] {
        let finding = alert.finding
        return [
            ("id", alert.id), ("detector", finding.detector), ("severity", finding.severity.word),
            ("state", alert.mutedBy == nil ? alert.state.rawValue : "muted"), ("unit", finding.subject.unit ?? ""),
            ("subject", finding.subject.identity), ("verdict", finding.verdict),
        ]
    }

    private mutating func add(_ totals: AlertTotals) {
        add(
            MetricFamily(
                "nightjar_alerts_opened_total", .counter, help: "Alerts told since the agent began.",
                Int(totals.opened)))
        add(
            MetricFamily(
                "nightjar_alerts_resolved_total", .counter, help: "Ends of alerts told since the agent began.",
                Int(totals.resolved)))
        add(
            MetricFamily(
                "nightjar_alerts_dropped_total", .counter, help: "Findings that found the alert book full.",
                Int(totals.dropped)))
    }

    private mutating func addCounts(of alerts: [Alert]) {
        var counts: [String: Int] = [:]
        for alert in alerts {
            let state = alert.mutedBy != nil ? "muted" : alert.state.rawValue
            counts["\(alert.finding.detector)\u{0}\(state)", default: 0] += 1
        }
        let series = counts.sorted { $0.key < $1.key }.map { key, count in
            let parts = key.split(separator: "\u{0}").map(String.init)
            return MetricFamily.Series(Double(count), labels: [("detector", parts[0]), ("state", parts[1])])
        }
        guard !series.isEmpty else { return }
        add(MetricFamily("nightjar_alerts", .gauge, help: "Open alerts by detector and state.", series))
    }

    private mutating func addEvidence(of alerts: [Alert], _ card: DetectorCard) {
        let open = alerts.filter { $0.finding.detector == card.name && $0.state != .resolved }
        for metric in card.metrics {
            let series = open.prefix(limits.alerts).compactMap { alert -> MetricFamily.Series? in
                let field = alert.finding.evidence.first { $0.name == metric.evidence }
                return field?.number.map { .init($0, labels: alert.finding.subject.metricLabels) }
            }
            guard !series.isEmpty else { continue }
            add(MetricFamily(card.metricName(metric), .gauge, help: metric.help, series))
        }
    }

    /// The host as a whole: about 14 series.
    public mutating func add(_ host: HostSample, processes: Int? = nil) {
        add(MetricFamily("nightjar_host_memory_total_bytes", .gauge, help: "Memory of the host.", host.memoryTotal))
        add(
            MetricFamily(
                "nightjar_host_memory_available_bytes", .gauge, help: "Memory that programs may still take.",
                host.memoryAvailable))
        add(MetricFamily("nightjar_host_swap_total_bytes", .gauge, help: "Swap of the host.", host.swapTotal))
        add(MetricFamily("nightjar_host_swap_free_bytes", .gauge, help: "Swap that is free.", host.swapFree))
        add(MetricFamily("nightjar_host_processors", .gauge, help: "Processors of the host.", host.processors))
        if let load = host.load1 {
            add(MetricFamily("nightjar_host_load1", .gauge, help: "Load average over one minute.", value: load))
        }
        if let kills = host.oomKills {
            add(
                MetricFamily(
                    "nightjar_host_oom_kills_total", .counter, help: "Processes killed for memory since boot.",
                    Int(kills)))
        }
        if let processes {
            add(MetricFamily("nightjar_host_processes", .gauge, help: "Processes on the host.", processes))
        }
        addPressure(of: host)
    }

    private mutating func addPressure(of host: HostSample) {
        let pressures = [("memory", host.memoryPressure), ("cpu", host.cpuPressure), ("io", host.ioPressure)]
        let series = pressures.flatMap { resource, pressure -> [MetricFamily.Series] in
            guard let pressure else { return [] }
            return [("some", pressure.some), ("full", pressure.full)].map {
                .init($0.1, labels: [("resource", resource), ("kind", $0.0)])
            }
        }
        guard !series.isEmpty else { return }
        add(
            MetricFamily(
                "nightjar_host_pressure_ratio", .gauge,
                help: "Share of the last 10 s in which some or all tasks waited for a resource.", series))
    }
}

extension EvidenceField {
    /// The value as a series has it; nil for texts and lists.
    fileprivate var number: Double? {
        switch value {
        case .bytes(let value): Double(value.count)
        case .bytesPerSecond(let value), .ratio(let value): value
        case .duration(let value): value.inSeconds
        case .count(let value): Double(value)
        case .text, .list: nil
        }
    }
}

extension Subject {
    /// The labels by which a subject's series are found: no pids, so that a restart goes on with the same series.
    public var metricLabels: [(String, String)] {
        switch kind {
        case .host: [("unit", ""), ("process", "")]
        case .unit: [("unit", name), ("process", "")]
        case .process, .loop: [("unit", unit ?? ""), ("process", name)]
        case .mount: [("mount", name)]
        case .log: [("source", name)]
        }
    }
}
