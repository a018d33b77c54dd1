/// What a detector reads.
public enum Need: String, Hashable, Sendable, CaseIterable {
    case anonymousMemory, memoryLimit, oomEvents, descriptors, threads, cpuTime
    case diskSpace, inodes, logVolume, loopLag, poolLag

    /// True where the probe has to be in the service.
    public var needsProbe: Bool { self == .loopLag || self == .poolLag }
}

/// One setting of a detector: its key in the config file, default, unit and one sentence of help.
public struct DetectorSetting: Hashable, Sendable {
    /// What a value of it looks like, with the default.
    public enum Kind: Hashable, Sendable {
        case duration(Duration)
        case bytes(Bytes)
        case count(Int64)
        /// 0…1, written in config as a percentage or a fraction.
        case share(Double)
        case flag(Bool)
    }

    /// `MinimumAge`: camel case, as systemd writes its keys.
    public var key: String
    public var defaultValue: Kind
    public var help: String

    public init(_ key: String, _ defaultValue: Kind, help: String) {
        self.key = key
        self.defaultValue = defaultValue
        self.help = help
    }
}

/// How the detector's dashboard panel draws its metric.
public struct Panel: Hashable, Sendable {
    /// What its axis counts.
    public enum Unit: String, Hashable, Sendable {
        case bytes, seconds, percent, count, bytesPerSecond
    }

    public var title: String
    /// PromQL over metrics that `/metrics` serves.
    public var expression: String
    public var legend: String
    public var unit: Unit

    public init(_ title: String, expression: String, legend: String, unit: Unit) {
        self.title = title
        self.expression = expression
        self.legend = legend
        self.unit = unit
    }
}

/// A gauge that `/metrics` serves for every open alert of a detector, read from the finding's evidence.
public struct DetectorMetric: Hashable, Sendable {
    /// What it counts: it decides the name's end.
    public enum Kind: String, Hashable, Sendable {
        case bytes, bytesPerSecond, seconds, count, ratio
    }

    /// The evidence field's name, as in `EvidenceField.name`: `eta`.
    public var evidence: String
    public var kind: Kind
    public var help: String

    public init(_ evidence: String, _ kind: Kind, help: String) {
        self.evidence = evidence
        self.kind = kind
        self.help = help
    }

    /// The evidence's name with its unit at the end, the same as `EvidenceField.nameWithUnit`: `eta_seconds`.
    public var suffix: String {
        switch kind {
        case .bytes: "\(evidence)_bytes"
        case .bytesPerSecond: "\(evidence)_bytes_per_second"
        case .seconds: "\(evidence)_seconds"
        case .count, .ratio: evidence
        }
    }
}

/// The single source for CLI help, README table, dashboard, alert rule, message catalog and docs of a detector.
public struct DetectorCard: Sendable {
    /// `HeapGrowth`: folder, type, test suite, runbook, dashboard, alert and metric are named after it.
    public var name: String
    /// Identifies the detector's journal entries (MESSAGE_ID), 32 hex digits, never changed.
    public var messageID: String
    /// Ends the sentence "It catches …".
    public var catches: String
    public var needs: [Need]
    /// One line on what it costs the host.
    public var cost: String
    public var settings: [DetectorSetting]
    /// How long a finding must last before it fires.
    public var holdFor: Duration
    /// Follows a count: "3 processes …".
    public var saysOfMany: String
    /// Names of committed traces it must find, and of those it must not.
    public var fires: [String]
    public var staysQuiet: [String]
    public var panels: [Panel]
    /// What of its evidence `/metrics` serves while an alert is open.
    public var metrics: [DetectorMetric]
    /// The room's runbook, embedded: Meaning, Impact, Diagnosis, Mitigation.
    public var runbook: String

    public init(
        name: String, messageID: String, catches: String, needs: [Need], cost: String, settings: [DetectorSetting] = [],
        holdFor: Duration = .zero, saysOfMany: String, fires: [String] = [], staysQuiet: [String] = [],
        panels: [Panel], metrics: [DetectorMetric] = [], runbook: String
    ) {
        self.name = name
        self.messageID = messageID
        self.catches = catches
        self.needs = needs
        self.cost = cost
        self.settings = settings
        self.holdFor = holdFor
        self.saysOfMany = saysOfMany
        self.fires = fires
        self.staysQuiet = staysQuiet
        self.panels = panels
        self.metrics = metrics
        self.runbook = runbook
    }

    /// `heap_growth`: the name as metrics and replay JSON write it.
    public var snakeName: String {
        // A capital begins a word, but the letters of CPU stay together: cpu_spin, not c_p_u_spin or cpuspin.
        let letters = Array(name)
        var out = ""
        for (index, letter) in letters.enumerated() {
            let afterLower = index > 0 && letters[index - 1].isLowercase
            let beforeLower = index > 0 && index + 1 < letters.count && letters[index + 1].isLowercase
            if letter.isUppercase, afterLower || beforeLower { out.append("_") }
            out.append(letter.lowercased())
        }
        return out
    }

    /// `nightjar_descriptor_leak_eta_seconds`: the name of one of `metrics` on the page.
    public func metricName(_ metric: DetectorMetric) -> String { "nightjar_\(snakeName)_\(metric.suffix)" }
}
