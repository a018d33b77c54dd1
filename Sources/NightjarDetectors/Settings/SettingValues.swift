// One detector's settings after defaults and overrides are merged. The card is the only place where a default stands.

public import NightjarModel

/// A setting that was refused: which key, which value, and what was expected.
public struct SettingError: Error, Hashable, Sendable, CustomStringConvertible {
    public var key: String
    public var value: String
    public var detail: String

    public init(key: String, value: String, detail: String) {
        self.key = key
        self.value = value
        self.detail = detail
    }

    public var description: String { "\(key)=\(value): \(detail)" }
}

/// The values of one card's settings: its defaults, with overrides in place.
///
/// Reading a key that the card does not have, or has with another kind, is a programmer error.
public struct SettingValues: Hashable, Sendable {
    private var values: [String: DetectorSetting.Kind] = [:]

    /// The card's defaults.
    public init(_ card: DetectorCard) {
        for setting in card.settings { values[setting.key] = setting.defaultValue }
    }

    /// The card's defaults with `overrides` over them, by the card's own keys (`MinimumAge`), raw text.
    public init(_ card: DetectorCard, overrides: [String: String]) throws(SettingError) {
        self.init(card)
        for setting in card.settings {
            guard let text = overrides[setting.key] else { continue }
            values[setting.key] = try setting.parse(text)
        }
    }

    /// The time span under that key.
    public func duration(_ key: String) -> Duration {
        guard case .duration(let value)? = values[key] else { preconditionFailure("no time span setting '\(key)'") }
        return value
    }

    /// The size under that key.
    public func bytes(_ key: String) -> Bytes {
        guard case .bytes(let value)? = values[key] else { preconditionFailure("no size setting '\(key)'") }
        return value
    }

    /// The number under that key.
    public func count(_ key: String) -> Int64 {
        guard case .count(let value)? = values[key] else { preconditionFailure("no number setting '\(key)'") }
        return value
    }

    /// The share under that key, 0…1.
    public func share(_ key: String) -> Double {
        guard case .share(let value)? = values[key] else { preconditionFailure("no share setting '\(key)'") }
        return value
    }

    /// The yes or no under that key.
    public func flag(_ key: String) -> Bool {
        guard case .flag(let value)? = values[key] else { preconditionFailure("no yes-or-no setting '\(key)'") }
        return value
    }
}

extension DetectorSetting {
    /// The value that `text` stands for, of the same kind as the default.
    public func parse(_ text: String) throws(SettingError) -> Kind {
        let parsed: Kind? =
            switch defaultValue {
            case .duration: SettingText.duration(text).map(Kind.duration)
            case .bytes: SettingText.bytes(text).map(Kind.bytes)
            case .count: SettingText.count(text).map(Kind.count)
            case .share: SettingText.share(text).map(Kind.share)
            case .flag: SettingText.flag(text).map(Kind.flag)
            }
        guard let parsed else { throw SettingError(key: key, value: text, detail: "expected \(expectation)") }
        return parsed
    }

    /// What the kind looks like, for messages and help: `a time span such as 90s, 2h or 1d 6h`.
    public var expectation: String {
        switch defaultValue {
        case .duration: "a time span such as 90s, 2h or 1d 6h"
        case .bytes: "a size such as 512M or 4G"
        case .count: "a whole number, 0 or more"
        case .share: "a share such as 80% or 0.8"
        case .flag: "yes or no"
        }
    }

    /// The default as the config file writes it: `36h`, `64M`, `75%`, `yes`.
    public var defaultText: String { defaultValue.text }
}

extension DetectorSetting.Kind {
    /// The value in the config file's own syntax; `SettingText` reads it back.
    public var text: String {
        switch self {
        case .duration(let value): Self.text(of: value)
        case .bytes(let value): Self.text(of: value)
        case .count(let value): "\(value)"
        case .share(let value):
            if (value * 100).rounded() == value * 100 { "\(Int((value * 100).rounded()))%" } else { "\(value)" }
        case .flag(let value): value ? "yes" : "no"
        }
    }

    private static func text(of value: Duration) -> String {
        let nanoseconds = value.nanosecondCount
        if nanoseconds == .max { return "infinity" }
        let units: [(Int64, String)] = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")]
        for (seconds, name) in units {
            let unit = seconds * 1_000_000_000
            if nanoseconds >= unit, nanoseconds % unit == 0 { return "\(nanoseconds / unit)\(name)" }
        }
        return nanoseconds % 1_000_000 == 0 ? "\(nanoseconds / 1_000_000)ms" : "\(Double(nanoseconds) / 1e9)s"
    }

    private static func text(of value: Bytes) -> String {
        let units: [(Int64, String)] = [(1 << 40, "T"), (1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")]
        for (unit, name) in units where value.count >= unit && value.count % unit == 0 {
            return "\(value.count / unit)\(name)"
        }
        return "\(value.count)"
    }
}
