// What an operator may set for a subject, for all detectors at once.
//
//     [Unit postgresql*.service]
//     HeapLimit=4G                     a known bound of its heap: not a leak below it
//     DescriptorLeak=off               a detector on or off
//     DescriptorLeakMinimumRise=500    a detector's own setting: its name, then the card's key
//     CPUSpinSeverity=notice           never more urgent than that
//     Severity=warning                 the same for every detector
//     Contact=team-db                  passed on with every alert
//
// The agent merges the sections that match a subject into one dictionary; subjects with the same overrides share one
// value of this class, so that a process holds a pointer and nothing is parsed twice.

public import NightjarModel

/// The effective settings of all detectors for the subjects that share them. Immutable, cheap to hold.
public final class DetectorSettings: Sendable {
    /// Everything at its default.
    public static let defaults = DetectorSettings()

    /// The raw text that it was made from, key by key.
    public let overrides: [String: String]
    /// 1 in life; demonstrations shorten every span of every detector by it.
    public let timeScale: Double
    /// A known bound of the subject's heap (`HeapLimit=`).
    public let heapLimit: Bytes?
    /// Who answers for the subject (`Contact=`).
    public let contact: String?

    public let heapGrowth: HeapGrowth.Settings
    public let memoryExhaustion: MemoryExhaustion.Settings
    public let descriptorLeak: DescriptorLeak.Settings
    public let threadLeak: ThreadLeak.Settings
    public let cpuSpin: CPUSpin.Settings
    public let outOfMemoryKill: OutOfMemoryKill.Settings
    /// One bit for each `ProcessDetector` that is on.
    let processDetectorsOn: UInt8

    private let values: [String: SettingValues]
    private let off: Set<String>
    private let caps: [String: Severity]

    private init() {
        (overrides, timeScale, heapLimit, contact, off, caps) = ([:], 1, nil, nil, [], [:])
        values = Dictionary(uniqueKeysWithValues: DetectorRegistry.all.map { ($0.name, SettingValues($0)) })
        (heapGrowth, memoryExhaustion) = (HeapGrowth.Settings(), MemoryExhaustion.Settings())
        (descriptorLeak, threadLeak) = (DescriptorLeak.Settings(), ThreadLeak.Settings())
        (cpuSpin, outOfMemoryKill) = (CPUSpin.Settings(), OutOfMemoryKill.Settings())
        processDetectorsOn = .max
    }

    /// Reads every key of `overrides`; the first that is unknown or has a bad value is thrown.
    ///
    /// - Parameter timeScale: see `timeScale`; must be above 0 and at most 1.
    public init(overrides: [String: String], timeScale: Double = 1) throws(SettingError) {
        precondition(timeScale > 0 && timeScale <= 1, "a time scale shortens spans: above 0, at most 1")
        let read = try ReadOverrides(overrides)
        self.overrides = overrides
        self.timeScale = timeScale
        (heapLimit, contact, off, caps, values) = (read.heapLimit, read.contact, read.off, read.caps, read.values)
        heapGrowth = .init(read.of(HeapGrowth.card), timeScale: timeScale, heapLimit: read.heapLimit)
        memoryExhaustion = .init(read.of(MemoryExhaustion.card))
        descriptorLeak = .init(read.of(DescriptorLeak.card), timeScale: timeScale)
        threadLeak = .init(read.of(ThreadLeak.card), timeScale: timeScale)
        cpuSpin = .init(read.of(CPUSpin.card), timeScale: timeScale)
        outOfMemoryKill = .init(read.of(OutOfMemoryKill.card), timeScale: timeScale)
        processDetectorsOn = ProcessDetector.allCases.reduce(0) { bits, detector in
            read.off.contains(detector.name) ? bits : bits | detector.bit
        }
    }

    /// False where `<Detector>=off`.
    public func isOn(_ detector: String) -> Bool { !off.contains(detector) }

    /// The most urgent that this detector's findings may be, where one was set for it or for all.
    public func severityCap(_ detector: String) -> Severity? { caps[detector] ?? caps[""] }

    /// The card's settings with this subject's overrides.
    public func values(for card: DetectorCard) -> SettingValues { values[card.name] ?? SettingValues(card) }

    /// The finding with its severity cut to what was set.
    public func capped(_ finding: Finding) -> Finding {
        guard let cap = severityCap(finding.detector), finding.severity > cap else { return finding }
        var finding = finding
        finding.severity = cap
        return finding
    }
}

/// One key that may stand in a subject's section: for `nightjar config`, the example file and the manual.
public struct SettingKey: Hashable, Sendable {
    public var key: String
    /// As the file writes it; empty where there is none.
    public var defaultText: String
    /// `a time span such as 90s, 2h or 1d 6h`.
    public var expectation: String
    /// One sentence.
    public var help: String
    /// The detector that it belongs to; nil for those of the subject.
    public var detector: String?
}

extension DetectorSettings {
    /// Every key that `init(overrides:)` understands: those of the subject, then detector by detector.
    public static let keys: [SettingKey] = {
        let severities = "one of info, notice, warning, critical"
        var keys = [
            SettingKey(
                key: "HeapLimit", defaultText: "", expectation: "a size such as 512M or 4G",
                help: "A known bound of the heap: growth below it is no leak."),
            SettingKey(
                key: "Severity", defaultText: "", expectation: severities,
                help: "No finding about this subject is more urgent than that."),
            SettingKey(
                key: "Contact", defaultText: "", expectation: "any text",
                help: "Who answers for this subject; passed on with every alert."),
        ]
        for card in DetectorRegistry.all {
            keys.append(
                SettingKey(
                    key: card.name, defaultText: "on", expectation: "on or off",
                    help: "Whether \(card.name) watches this subject.", detector: card.name))
            keys.append(
                SettingKey(
                    key: "\(card.name)Severity", defaultText: "", expectation: severities,
                    help: "No finding of \(card.name) about this subject is more urgent than that.",
                    detector: card.name))
            for setting in card.settings {
                keys.append(
                    SettingKey(
                        key: card.name + setting.key, defaultText: setting.defaultText,
                        expectation: setting.expectation, help: setting.help, detector: card.name))
            }
        }
        return keys
    }()
}

/// Overrides sorted by what they mean.
private struct ReadOverrides {
    var heapLimit: Bytes?
    var contact: String?
    var off: Set<String> = []
    var caps: [String: Severity] = [:]
    var values: [String: SettingValues] = [:]

    func of(_ card: DetectorCard) -> SettingValues { values[card.name] ?? SettingValues(card) }

    init(_ overrides: [String: String]) throws(SettingError) {
        var own: [String: [String: String]] = [:]
        for (key, value) in overrides.sorted(by: { $0.key < $1.key }) {
            if try readSubject(key, value) { continue }
            guard let (card, rest) = Self.detector(of: key) else {
                throw SettingError(key: key, value: value, detail: "unknown setting\(Self.suggestion(for: key))")
            }
            switch rest {
            case "": if try !Self.flag(key, value) { off.insert(card.name) }
            case "Severity": caps[card.name] = try Self.severity(key, value)
            default: own[card.name, default: [:]][rest] = value
            }
        }
        for card in DetectorRegistry.all {
            do { values[card.name] = try SettingValues(card, overrides: own[card.name] ?? [:]) } catch {
                throw SettingError(key: card.name + error.key, value: error.value, detail: error.detail)
            }
        }
    }

    private mutating func readSubject(_ key: String, _ value: String) throws(SettingError) -> Bool {
        switch key {
        case "HeapLimit":
            guard let limit = SettingText.bytes(value) else {
                throw SettingError(key: key, value: value, detail: "expected a size such as 512M or 4G")
            }
            heapLimit = limit
        case "Contact": contact = value
        case "Severity": caps[""] = try Self.severity(key, value)
        default: return false
        }
        return true
    }

    /// The detector whose name begins the key, and the rest of the key, where that is one of its settings.
    private static func detector(of key: String) -> (card: DetectorCard, rest: String)? {
        for card in DetectorRegistry.all where key.hasPrefix(card.name) {
            let rest = String(key.dropFirst(card.name.count))
            if rest.isEmpty || rest == "Severity" || card.settings.contains(where: { $0.key == rest }) {
                return (card, rest)
            }
        }
        return nil
    }

    private static func flag(_ key: String, _ value: String) throws(SettingError) -> Bool {
        guard let flag = SettingText.flag(value) else {
            throw SettingError(key: key, value: value, detail: "expected on or off")
        }
        return flag
    }

    private static func severity(_ key: String, _ value: String) throws(SettingError) -> Severity {
        guard let severity = Severity(word: value.lowercased()) else {
            throw SettingError(key: key, value: value, detail: "expected one of info, notice, warning, critical")
        }
        return severity
    }

    /// `, did you mean DescriptorLeakMinimumAge?` where a known key is near.
    private static func suggestion(for key: String) -> String {
        DetectorSettings.keys.map(\.key).nearest(to: key).map { ", did you mean \($0)?" } ?? ""
    }
}
