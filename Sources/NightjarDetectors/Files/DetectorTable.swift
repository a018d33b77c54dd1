import NightjarModel

/// The detectors as a table: name, what it catches, whether it needs the probe, what it costs.
enum DetectorTable {
    static func markdown(_ cards: [DetectorCard]) -> String {
        var text = "| Detector | Catches | Needs the probe | Cost |\n|---|---|---|---|\n"
        for card in cards {
            let probe = card.needs.contains(where: \.needsProbe) ? "yes" : "no"
            let page = "[\(card.name)](Sources/NightjarDetectors/\(card.name)/\(card.name).md)"
            text += "| \(page) | \(cell(card.catches)) | \(probe) | \(cell(card.cost)) |\n"
        }
        return text
    }

    private static func cell(_ text: String) -> String {
        text.split(separator: "|", omittingEmptySubsequences: false).joined(separator: "\\|")
    }
}
