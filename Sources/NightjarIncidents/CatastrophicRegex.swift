import Foundation

// A regular expression that backtracks: harmless on what it was written for, exponential on what somebody sends one day.

enum AddressCheck {
    private static let pattern = try? NSRegularExpression(pattern: "^([a-z]+)+@[a-z]+$")

    @inline(never) static func isPlausible(_ text: String) -> Bool {
        pattern?.firstMatch(in: text, range: NSRange(location: 0, length: text.utf16.count)) != nil
    }
}

let catastrophicRegex = Incident(
    name: "regex-on-loop",
    story: "a regular expression backtracks for seconds on a hostile input",
    detector: "LoopStall",
    limit: .seconds(60),
    mustSay: ["isPlausible"],
    run: { arguments in
        // 24 letters keep a processor busy for most of a second: then the engine gives up at its own limit.
        let hostile = String(repeating: "a", count: 24)
        stallLoop("regex-on-loop", arguments, every: 2) { _ = AddressCheck.isPlausible(hostile) }
    })
