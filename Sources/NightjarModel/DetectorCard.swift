/// What a detector reads.
public enum Need: String, Hashable, Sendable, CaseIterable {
    case anonymousMemory, memoryLimit, oomEvents, descriptors, threads, cpuTime
    case diskSpace, inodes, logVolume, loopLag, poolLag

    /// True where the probe has to be in the service.
    public var needsProbe: Bool { self == .loopLag || self == .poolLag }
}

/// One setting of a detector: its key in the config file, default, unit and one sentence of help.
public struct DetectorSetting: Hashable, Sendable {
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
    /// The room's runbook, embedded: Meaning, Impact, Diagnosis, Mitigation.
    public var runbook: String

    public init(
        name: String, messageID: String, catches: String, needs: [Need], cost: String, settings: [DetectorSetting] = [],
        holdFor: Duration = .zero, saysOfMany: String, fires: [String] = [], staysQuiet: [String] = [],
        panels: [Panel], runbook: String
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
        self.runbook = runbook
    }

    /// `heap_growth`: the name as metrics and replay JSON write it.
    public var snakeName: String {
        var out = ""
        var previousIsLower = false
        for character in name {
            if character.isUppercase, previousIsLower { out.append("_") }
            out.append(character.lowercased())
            previousIsLower = character.isLowercase
        }
        return out
    }
}
