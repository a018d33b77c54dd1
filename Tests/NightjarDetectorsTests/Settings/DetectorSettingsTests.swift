import NightjarDetectors
import NightjarModel
import Testing

@Suite("Settings of a subject") struct DetectorSettingsTests {
    private func refusal(_ overrides: [String: String]) -> String? {
        do {
            _ = try DetectorSettings(overrides: overrides)
            return nil
        } catch {
            return "\(error)"
        }
    }

    @Test func `without overrides every detector is on and at its card's defaults`() throws {
        let settings = try DetectorSettings(overrides: [:])
        for card in DetectorRegistry.all {
            #expect(settings.isOn(card.name))
            #expect(settings.severityCap(card.name) == nil)
            #expect(settings.values(for: card) == SettingValues(card))
        }
        #expect(settings.heapLimit == nil)
        #expect(settings.contact == nil)
    }

    @Test func `a detector's own setting is its name and the card's key`() throws {
        let settings = try DetectorSettings(overrides: ["DescriptorLeakMinimumAge": "2h"])
        #expect(settings.values(for: DescriptorLeak.card).duration("MinimumAge") == .hours(2))
        #expect(settings.values(for: ThreadLeak.card).duration("MinimumAge") == .hours(24))
    }

    @Test func `a detector is switched off by its name`() throws {
        let settings = try DetectorSettings(overrides: ["CPUSpin": "off"])
        #expect(!settings.isOn("CPUSpin"))
        #expect(settings.isOn("ThreadLeak"))
    }

    @Test func `severities are capped for one detector or for all`() throws {
        let settings = try DetectorSettings(overrides: ["Severity": "warning", "CPUSpinSeverity": "info"])
        let critical = Finding(
            detector: "DescriptorLeak", subject: .host, severity: .critical, verdict: "", sentence: "")
        #expect(settings.capped(critical).severity == .warning)
        var spin = critical
        spin.detector = "CPUSpin"
        #expect(settings.capped(spin).severity == .info)
        spin.severity = .info
        #expect(settings.capped(spin).severity == .info)
    }

    @Test func `a known bound and a contact are passed on`() throws {
        let settings = try DetectorSettings(overrides: ["HeapLimit": "4G", "Contact": "team-db"])
        #expect(settings.heapLimit == .gibi(4))
        #expect(settings.contact == "team-db")
    }

    @Test func `a bad value names the key, the value and what was expected`() {
        #expect(
            refusal(["DescriptorLeakMinimumAge": "soon"])
                == "DescriptorLeakMinimumAge=soon: expected a time span such as 90s, 2h or 1d 6h")
        #expect(refusal(["HeapLimit": "big"]) == "HeapLimit=big: expected a size such as 512M or 4G")
        #expect(refusal(["CPUSpin": "maybe"]) == "CPUSpin=maybe: expected on or off")
        #expect(
            refusal(["Severity": "fatal"]) == "Severity=fatal: expected one of info, notice, warning, critical")
        #expect(
            refusal(["DescriptorLeakNearLimit": "150%"])
                == "DescriptorLeakNearLimit=150%: expected a share such as 80% or 0.8")
    }

    @Test func `an unknown key is refused, with the one that was probably meant`() {
        #expect(
            refusal(["DescriptorLeakMinimumAeg": "2h"])
                == "DescriptorLeakMinimumAeg=2h: unknown setting, did you mean DescriptorLeakMinimumAge?")
        #expect(refusal(["cpuspin": "off"]) == "cpuspin=off: unknown setting, did you mean CPUSpin?")
        #expect(refusal(["Colour": "blue"]) == "Colour=blue: unknown setting")
    }

    @Test func `every key is listed once, with help, and is understood`() throws {
        let keys = DetectorSettings.keys
        #expect(Set(keys.map(\.key)).count == keys.count)
        for key in keys {
            #expect(!key.help.isEmpty && key.help.hasSuffix("."), "\(key.key)")
            #expect(!key.expectation.isEmpty, "\(key.key)")
            if !key.defaultText.isEmpty { #expect(refusal([key.key: key.defaultText]) == nil, "\(key.key)") }
        }
    }

    @Test func `a time scale shortens every span`() throws {
        let demo = try DetectorSettings(overrides: [:], timeScale: 1.0 / 1440)
        var detectors = ProcessDetectors()
        let context = ProcessContext(identity: checkout, settings: demo)
        var found: Double?
        // A leak of forty a minute: a day of it is a minute in the demonstration.
        for second in 0..<200 {
            let reading = sample(at: Double(second), descriptors: 40 + second, limit: 1_000_000)
            detectors.observe(reading, in: context) { _, answer in
                if case .found = answer, found == nil { found = Double(second) }
            }
        }
        #expect(found.map { (40...100).contains($0) } == true, "\(found ?? -1)")
    }
}
