import NightjarAlerts
import NightjarDetectors
import NightjarModel

// From configuration to what detectors take: one shared DetectorSettings for each distinct set of overrides, so that
// ten thousand processes under defaults share one.

/// Settings by subject.
struct SettingsBook {
    private let config: Config
    private let base: [String: String]
    private let standard: DetectorSettings
    private var known: [[String: String]: DetectorSettings] = [:]

    init(_ config: Config) {
        self.config = config
        base = config.detectorOverrides
        // Every value was checked when the file was read, so this can only be refused by a mistake of ours.
        standard = (try? DetectorSettings(overrides: base)) ?? .defaults
    }

    /// Keys of subject sections that are the agent's own business.
    private static let agentKeys = ["Speedup", "Census"]

    /// What applies to this subject.
    mutating func settings(for subject: Subject) -> DetectorSettings {
        let assignments = config.assignments(for: subject)
        if assignments.isEmpty { return standard }
        var overrides = base
        for assignment in assignments { overrides[assignment.key] = assignment.value }
        if let found = known[overrides] { return found }
        var forDetectors = overrides
        for key in Self.agentKeys { forDetectors[key] = nil }
        let speedup = overrides["Speedup"].flatMap(SettingText.count).map { max(1, Double($0)) } ?? 1
        let made = (try? DetectorSettings(overrides: forDetectors, timeScale: 1 / speedup)) ?? standard
        known[overrides] = made
        return made
    }

    /// The same without remembering what is new; for closures that must not change anything.
    func known(for subject: Subject) -> DetectorSettings {
        var copy = self
        return copy.settings(for: subject)
    }

    /// Whether its heap may be counted unasked: `[Census] Enabled=`, and `Census=` for one subject.
    func allowsCensus(of subject: Subject) -> Bool {
        let own = config.assignments(for: subject).last { $0.key == "Census" }
        return own.flatMap { SettingText.flag($0.value) } ?? config.flag("Census", "Enabled")
    }

    /// True where the subject is not to be looked at: `[Processes] Ignore=`.
    func isIgnored(_ subject: Subject) -> Bool {
        config.ignored.contains { glob in
            glob.matches(subject.name) || subject.unit.map { glob.matches($0) } ?? false
        }
    }
}

extension Config {
    /// `[Processes] Ignore=` as patterns.
    var ignored: [Glob] { list("Processes", "Ignore").map { Glob($0) } }

    /// Detector sections as the keys that DetectorSettings takes: `[HeapGrowth] MinimumAge=` is HeapGrowthMinimumAge.
    var detectorOverrides: [String: String] {
        var overrides: [String: String] = [:]
        for card in DetectorRegistry.all {
            if !flag(card.name, "Enabled") { overrides[card.name] = "off" }
            for setting in card.settings {
                let value = value(card.name, setting.key)
                if value.origin != nil { overrides[card.name + setting.key] = value.text }
            }
        }
        return overrides
    }

    /// What the alert book is told of subjects: who answers for them, how loud they may be, and which setting said so.
    var alertOverrides: [AlertOverride] {
        var overrides: [AlertOverride] = []
        for card in DetectorRegistry.all {
            let cap = value(card.name, "Severity")
            if let origin = cap.origin {
                overrides.append(
                    AlertOverride(
                        detector: Glob(card.name), severityCap: Severity(word: cap.text),
                        place: "[\(card.name)] Severity=\(cap.text) at \(origin)"))
            }
        }
        for section in subjects {
            for assignment in section.values { overrides.append(override(section, assignment)) }
        }
        return overrides
    }

    private func override(_ section: SubjectSection, _ assignment: ConfigAssignment) -> AlertOverride {
        let pattern = Glob(section.pattern)
        let isUnit = section.kind == "Unit"
        let kinds: [String: Set<Subject.Kind>] = ["Process": [.process], "Mount": [.mount], "Log": [.log]]
        let detector = DetectorRegistry.all.first { assignment.key.hasPrefix($0.name) }?.name
        return AlertOverride(
            detector: detector.map { Glob($0) } ?? .any, unit: isUnit ? pattern : .any,
            subject: isUnit ? .any : pattern,
            kinds: kinds[section.kind],
            severityCap: assignment.key == "Severity" ? Severity(word: assignment.value) : nil,
            contact: assignment.key == "Contact" ? assignment.value : nil,
            place: "[\(section.kind) \(section.pattern)] \(assignment.key)=\(assignment.value) at \(assignment.origin)")
    }
}
