import NightjarDetectors
import NightjarModel

// Every setting there is: section, key, kind, default, one sentence of help. `nightjar config`, the commented default
// file, the man page and the check of unknown keys are all read from this table.

/// One setting.
public struct SettingSpec: Hashable, Sendable {
    public var section: String
    public var key: String
    public var kind: ConfigKind
    /// The default as it would stand in the file.
    public var defaultText: String
    public var help: String

    init(_ section: String, _ key: String, _ kind: ConfigKind, _ defaultText: String, _ help: String) {
        self.section = section
        self.key = key
        self.kind = kind
        self.defaultText = defaultText
        self.help = help
    }
}

/// The table of settings.
public enum ConfigTable {
    /// Settings of the agent itself, in the order in which the default file lists them.
    public static let agent: [SettingSpec] = [
        SettingSpec("Agent", "Interval", .duration, "1s", "How often processes that move are sampled; 100ms to 60s."),
        SettingSpec("Agent", "IdleInterval", .duration, "10s", "How often processes that rest are sampled."),
        SettingSpec(
            "Agent", "CPUBudget", .share, "2%",
            "Share of one core the agent may use; above it the agent stretches its interval and says so."),
        SettingSpec(
            "Agent", "CachedDescriptors", .count, "1024",
            "How many /proc files stay open (4.3 KiB of kernel memory each)."),
        SettingSpec("Processes", "Top", .count, "10", "How many of the largest processes /metrics lists by name."),
        SettingSpec("Processes", "Watch", .list, "", "Names or units whose processes /metrics always lists."),
        SettingSpec("Processes", "Ignore", .list, "", "Names or units that no detector looks at; globs are allowed."),
        SettingSpec("Journal", "Enabled", .flag, "yes", "Write one journal entry a change of an alert."),
        SettingSpec("Journal", "PerMinute", .count, "30", "At most so many entries a minute; the rest is counted."),
        SettingSpec("Mail", "To", .list, "", "Addresses that get a mail a change of an alert; empty: no mail."),
        SettingSpec("Mail", "From", .text, "nightjar", "The sender of these mails."),
        SettingSpec("Mail", "Sendmail", .text, "/usr/sbin/sendmail", "The program that takes the mail."),
        SettingSpec("Mail", "Severity", .severity, "warning", "Mail only alerts that are at least this severe."),
        SettingSpec(
            "Hook", "Command", .list, "",
            "Program and arguments run a change of an alert, without a shell; empty: none."),
        SettingSpec("Hook", "TimeLimit", .duration, "10s", "After this time the command is killed."),
        SettingSpec("Hook", "Severity", .severity, "notice", "Run it only for alerts that are at least this severe."),
        SettingSpec(
            "HTTP", "Socket", .text, "", "The Unix socket of the API; empty: api.sock in the runtime directory."),
        SettingSpec(
            "HTTP", "Listen", .text, "",
            "Also serve /metrics and the page on this loopback address, such as 127.0.0.1:9477; empty: no TCP."),
        SettingSpec("HTTP", "Group", .text, "nightjar", "The group that may talk to the API socket."),
        SettingSpec("History", "Directory", .text, "", "Where history is kept; empty: the state directory."),
        SettingSpec("History", "MaxSize", .bytes, "64M", "The history file never grows beyond this size."),
        SettingSpec("History", "Retention", .duration, "90d", "Closed alerts are forgotten after this time."),
        SettingSpec("Alerts", "Open", .count, "512", "At most so many alerts are open; more are counted."),
        SettingSpec(
            "Disks", "Enabled", .flag, "yes", "Watch file systems for filling up, and name who fills them."),
        SettingSpec("Disks", "Ignore", .list, "", "Mount points that are not watched; globs are allowed."),
        SettingSpec(
            "Disks", "AlsoTypes", .list, "", "File system types to watch beside those on disks, such as tmpfs."),
        SettingSpec("Logs", "Enabled", .flag, "yes", "Watch the volume of logs by unit and file."),
        SettingSpec(
            "Logs", "Paths", .list, "/var/log/**", "Log files to watch; globs are allowed."),
        SettingSpec("Logs", "Journal", .flag, "yes", "Count what each unit writes to the journal."),
        SettingSpec("Census", "Enabled", .flag, "yes", "Count the heap of a growing Swift process by type, unasked."),
        SettingSpec("Probe", "Enabled", .flag, "yes", "Accept services that embed the probe."),
        SettingSpec(
            "Probe", "Socket", .text, "", "The Unix socket of the probes; empty: probe.sock in the runtime directory."),
        SettingSpec("Logging", "Level", .text, "info", "debug, info, notice, warning or error."),
        SettingSpec("Logging", "Directory", .text, "", "Where the agent's own log goes; empty: the logs directory."),
        SettingSpec("Logging", "MaxSize", .bytes, "16M", "All files of the agent's own log together."),
    ]

    /// Settings of the detectors, one section a detector, from their cards.
    public static let detectors: [SettingSpec] = DetectorRegistry.all.flatMap { card in
        [
            SettingSpec(card.name, "Enabled", .flag, "yes", "Look for \(card.catches)."),
            SettingSpec(
                card.name, "For", .duration, DetectorSetting.Kind.duration(card.holdFor).text,
                "How long a finding lasts before it fires."),
            SettingSpec(
                card.name, "Severity", .severity, "critical", "The most severe alert this detector may raise."),
        ]
            + card.settings.map { setting in
                SettingSpec(card.name, setting.key, setting.configKind, setting.defaultText, setting.help)
            }
    }

    /// Keys of `[Unit …]`, `[Process …]`, `[Mount …]` and `[Log …]`: what may be set for one subject.
    public static let subject: [SettingSpec] =
        [
            SettingSpec("Unit", "HeapLimit", .bytes, "", "A known bound of its memory: below it, growth is no leak."),
            SettingSpec("Unit", "Severity", .severity, "", "The most severe alert it may raise."),
            SettingSpec("Unit", "Contact", .text, "", "Who is responsible; shown in alerts and handed to the hook."),
            SettingSpec("Unit", "Census", .flag, "", "Whether its heap may be counted unasked."),
            SettingSpec(
                "Unit", "Speedup", .count, "", "For drills: every span of its detectors is this many times shorter."),
        ]
        + DetectorRegistry.all.flatMap { card in
            [
                SettingSpec("Unit", card.name, .flag, "", "Whether \(card.name) looks at it."),
                SettingSpec(
                    "Unit", card.name + "Severity", .severity, "", "The most severe alert \(card.name) may raise of it."
                ),
            ]
                + card.settings.map { setting in
                    SettingSpec(
                        "Unit", card.name + setting.key, setting.configKind, "", "\(card.name): \(setting.help)")
                }
        }

    /// Sections that carry a subject, and what kind of subject.
    public static let subjectSections = ["Unit", "Process", "Mount", "Log"]

    public static let all = agent + detectors

    /// All sections that a file may have.
    static let sections: Set<String> = Set(all.map(\.section)).union(subjectSections)

    static func spec(section: String, key: String) -> SettingSpec? {
        if subjectSections.contains(section) { return subject.first { $0.key == key } }
        return all.first { $0.section == section && $0.key == key }
    }
}

extension DetectorSetting {
    var configKind: ConfigKind {
        switch defaultValue {
        case .duration: .duration
        case .bytes: .bytes
        case .count: .count
        case .share: .share
        case .flag: .flag
        }
    }
}
