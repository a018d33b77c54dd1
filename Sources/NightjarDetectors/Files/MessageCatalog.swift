// The text that `journalctl -x` shows under an entry, found by its MESSAGE_ID (systemd's catalog format: an id line, a
// few headers, an empty line, the text; @FIELD@ is replaced by the entry's field).

import NightjarModel

enum MessageCatalog {
    static func text(_ cards: [DetectorCard]) -> String {
        var text = """
            # What `journalctl -x` says under Nightjar's entries. Written from the detector cards and their runbooks.
            # Install as /usr/lib/systemd/catalog/nightjar.catalog, then: journalctl --update-catalog

            """
        for card in cards { text += "\n" + entry(card) }
        return text
    }

    private static func entry(_ card: DetectorCard) -> String {
        """
        -- \(card.messageID)
        Subject: \(card.name) @NIGHTJAR_STATE@: @NIGHTJAR_SUBJECT@
        Defined-By: Nightjar
        Documentation: man:nightjar(1)

        \(card.name) catches \(card.catches).

        \(section("Meaning", of: card.runbook))

        \(section("Impact", of: card.runbook))

        This alert with its evidence:  nightjar show @NIGHTJAR_ALERT@
        How to find and end the cause: nightjar explain \(card.name)

        """
    }

    /// A section of a runbook, without its heading.
    static func section(_ name: String, of runbook: String) -> String {
        var lines: [Substring] = []
        var isInside = false
        for line in runbook.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("## ") {
                isInside = line.dropFirst(3) == name
            } else if isInside {
                lines.append(line)
            }
        }
        let body = lines.drop(while: \.isEmpty).reversed().drop(while: \.isEmpty).reversed()
        return body.joined(separator: "\n")
    }
}
