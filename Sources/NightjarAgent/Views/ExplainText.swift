import NightjarDetectors
public import NightjarModel

/// What `nightjar explain` prints: a detector's card and its runbook.
public enum ExplainText {
    /// All detectors, one line each.
    public static func list(width: Int) -> String {
        var table = TextTable([.init("DETECTOR"), .init("CATCHES", isFlexible: true), .init("NEEDS")])
        for card in DetectorRegistry.all {
            table.add([card.name, card.catches, card.needs.contains(where: \.needsProbe) ? "the probe" : "nothing"])
        }
        return table.text(width: width, colour: false) + "\nMore: nightjar explain NAME\n"
    }

    /// One detector.
    public static func page(_ card: DetectorCard) -> String {
        var text = "\(card.name) catches \(card.catches).\n\n"
        text += ConfigSyntax.trimmed(card.runbook) + "\n"
        text += "\nCosts: \(card.cost)\n"
        if !card.settings.isEmpty {
            var table = TextTable([.init("SETTING"), .init("DEFAULT"), .init("", isFlexible: true)])
            for setting in card.settings { table.add(["  " + setting.key, setting.defaultText, setting.help]) }
            text += "\nSettings, in [\(card.name)] or for one subject as \(card.name)KEY:\n"
            text += table.text(width: 120, colour: false)
        }
        return text
    }
}
