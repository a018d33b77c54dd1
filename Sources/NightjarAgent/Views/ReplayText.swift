public import NightjarDetectors
import NightjarModel

/// `nightjar replay` for people: one line a finding.
public enum ReplayText {
    /// Times are the trace's own clock.
    public static func table(_ result: ReplayResult, width: Int) -> String {
        let count = result.findings.count
        var text = "\(result.trace): \(result.kind.rawValue) trace, \(count == 0 ? "quiet" : "\(count) found")\n"
        guard count > 0 else { return text }
        var table = TextTable([
            .init("FOUND"), .init("SEVERITY"), .init("AT", .right), .init("UNTIL", .right),
            .init("FIGURES", isFlexible: true),
        ])
        for finding in result.findings {
            let own = ["kind", "severity", "at_s", "cleared_s", "evidence", "evaluations"]
            let figures = finding.members.filter { !own.contains($0.0) && $0.1 != .null }.map {
                "\($0.0) \(word($0.1))"
            }
            table.add([
                word(finding["kind"]), word(finding["severity"]), seconds(finding["at_s"]),
                seconds(finding["cleared_s"]),
                figures.joined(separator: ", "),
            ])
        }
        text += table.text(width: width, colour: false)
        return text
    }

    private static func word(_ value: JSON?) -> String {
        switch value {
        case .string(let text): text
        case .null, nil: "-"
        case .some(let other): other.text
        }
    }

    private static func seconds(_ value: JSON?) -> String {
        switch value {
        case .double(let seconds): Duration.seconds(seconds).spoken
        case .int(let seconds): Duration.seconds(seconds).spoken
        default: "open"
        }
    }
}

extension ReplayFinding {
    /// Its JSON members in order.
    var members: [(String, JSON)] {
        guard case .object(let members) = json else { return [] }
        return members
    }
}
