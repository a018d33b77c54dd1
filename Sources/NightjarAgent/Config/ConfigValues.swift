import NightjarDetectors
import NightjarModel

// What kinds of values settings have. The values themselves are read by SettingText, as systemd writes them.

/// What a setting holds.
public enum ConfigKind: Hashable, Sendable {
    case duration, bytes, count, share, flag, text, severity
    /// Words; an assignment adds, an empty one clears.
    case list

    /// What to write, for error lines and the commented default file.
    public var form: String {
        switch self {
        case .duration: "a time span such as 500ms, 30s, 5min, 1h 30min, 2d"
        case .bytes: "a size such as 512K, 64M, 4G"
        case .count: "a whole number"
        case .share: "a share such as 95% or 0.95"
        case .flag: "yes or no"
        case .text: "text"
        case .severity: "info, notice, warning or critical"
        case .list: "words separated by blanks"
        }
    }

    /// Whether `text` can be read as this kind.
    public func accepts(_ text: String) -> Bool {
        switch self {
        case .duration: SettingText.duration(text) != nil
        case .bytes: SettingText.bytes(text) != nil
        case .count: SettingText.count(text) != nil
        case .share: SettingText.share(text) != nil
        case .flag: SettingText.flag(text) != nil
        case .severity: SettingText.severity(text) != nil
        case .text: true
        case .list: ConfigSyntax.words(text) != nil
        }
    }
}

extension SettingText {
    /// The most urgent a finding may be.
    static func severity(_ text: String) -> Severity? { Severity(word: text.lowercased()) }
}
