import NightjarDetectors
import NightjarModel
import NightjarTestKit
import Testing

@Suite("Setting values as systemd writes them") struct SettingTextTests {
    @Test(arguments: [
        ("90", 90.0), ("90s", 90), ("2h 30min", 9000), ("2h30min", 9000), ("1.5d", 129_600), ("250ms", 0.25),
        ("1 day", 86_400), ("0", 0), (" 5 min ", 300), ("1w 1d", 691_200),
    ])
    func `a time span is read with its units`(text: String, seconds: Double) {
        #expect(SettingText.duration(text)?.inSeconds == seconds)
    }

    @Test(arguments: ["", "soon", "-5s", "5 parsecs", "1..5h", ".5h", "5.", "1h2", "∞", "nan", "1e3s", "99999999999y"])
    func `what is no time span is refused`(text: String) {
        // `1h2` is an hour and two seconds to systemd as well.
        #expect((SettingText.duration(text) == nil) == (text != "1h2"))
    }

    @Test func `infinity is the longest span`() {
        #expect(SettingText.duration("infinity") == .nanoseconds(Int64.max))
    }

    @Test(arguments: [
        ("4096", 4096 as Int64), ("64K", 65_536), ("1.5G", 1_610_612_736), ("2 MiB", 2_097_152), ("4GB", 4 << 30),
    ])
    func `sizes are powers of 1024`(text: String, count: Int64) {
        #expect(SettingText.bytes(text)?.count == count)
    }

    @Test(arguments: ["", "G", "-1G", "4 giga", "9999999P", "4G4"])
    func `what is no size is refused`(text: String) {
        #expect(SettingText.bytes(text) == nil)
    }

    @Test(arguments: [("5%", 0.05), ("0.05", 0.05), ("100%", 1), ("0", 0), ("80 %", 0.8)])
    func `a share is a percentage or a fraction`(text: String, share: Double) {
        #expect(SettingText.share(text) == share)
    }

    @Test(arguments: ["101%", "1.01", "-1%", "%", "5%%", "half"])
    func `what is no share is refused`(text: String) {
        #expect(SettingText.share(text) == nil)
    }

    @Test func `booleans are systemd's`() {
        for text in ["1", "yes", "Y", "true", "t", "on", " ON "] { #expect(SettingText.flag(text) == true, "\(text)") }
        for text in ["0", "no", "N", "false", "f", "off"] { #expect(SettingText.flag(text) == false, "\(text)") }
        for text in ["", "2", "yess", "nein"] { #expect(SettingText.flag(text) == nil, "\(text)") }
    }

    @Test func `every default is written as text that reads back to itself`() throws {
        for card in DetectorRegistry.all {
            for setting in card.settings {
                #expect(try setting.parse(setting.defaultText) == setting.defaultValue, "\(card.name)\(setting.key)")
            }
        }
    }

    @Test func `any bytes at all are read or refused, and never trap`() {
        var random = SplitMix(seed: 1)
        let alphabet = Array("0123456789.%-+ eEnhdsmKMGTPiByufay∞µ\n\u{0}".unicodeScalars)
        for _ in 0..<20_000 {
            var text = ""
            for _ in 0..<random.below(12) { text.unicodeScalars.append(alphabet[random.below(alphabet.count)]) }
            if let span = SettingText.duration(text) { #expect(span >= .zero, "\(text)") }
            if let size = SettingText.bytes(text) { #expect(size >= .zero, "\(text)") }
            if let share = SettingText.share(text) { #expect((0...1).contains(share), "\(text)") }
            _ = SettingText.count(text)
            _ = SettingText.flag(text)
        }
    }
}
