// Everything that is written from the cards and kept in the repository, so that a card and its dashboard, alert rule,
// catalog entry and table row can never say different things.
//
//     card ──▶ Dashboards/<Name>.json        one a detector
//          ──▶ Dashboards/Overview.json      what fires, what grows, how the agents are
//          ──▶ Dashboards/nightjar.rules.yml alert rules for Prometheus, one a detector
//          ──▶ packaging/nightjar.catalog    what `journalctl -x` says
//          ──▶ README.md                     the table between two markers

import NightjarModel

/// A file that is written from the cards.
public struct DetectorFile: Hashable, Sendable {
    /// From the root of the repository: `Dashboards/HeapGrowth.json`.
    public var path: String
    public var text: String
}

/// Writes the files that follow from `DetectorRegistry.all`. Pure: it returns text, the caller writes it.
public enum DetectorFiles {
    /// All files but README.md, which is only partly written from cards.
    public static var all: [DetectorFile] {
        let cards = DetectorRegistry.all
        var files = cards.map {
            DetectorFile(path: "Dashboards/\($0.name).json", text: Dashboard.detector($0).text)
        }
        files.append(DetectorFile(path: "Dashboards/Overview.json", text: Dashboard.overview(cards).text))
        files.append(DetectorFile(path: "Dashboards/nightjar.rules.yml", text: AlertRulesFile.text(cards)))
        files.append(DetectorFile(path: "packaging/nightjar.catalog", text: MessageCatalog.text(cards)))
        return files
    }

    static let tableBegin = "<!-- detectors: written from the cards -->"
    static let tableEnd = "<!-- end of detectors -->"

    /// README.md with the table between its markers written anew; nil where the markers are missing.
    public static func readme(_ text: String) -> String? {
        guard let begin = range(of: tableBegin, in: text), let end = range(of: tableEnd, in: text), begin < end else {
            return nil
        }
        let head = text[..<begin]
        let tail = text[end...]
        return "\(head)\(tableBegin)\n\(DetectorTable.markdown(DetectorRegistry.all))\(tail)"
    }

    /// Where `part` begins in `text`.
    private static func range(of part: String, in text: String) -> String.Index? {
        var index = text.startIndex
        while index < text.endIndex {
            if text[index...].hasPrefix(part) { return index }
            index = text.index(after: index)
        }
        return nil
    }
}
