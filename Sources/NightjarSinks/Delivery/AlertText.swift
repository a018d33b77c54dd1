// One alert as one line, and as JSON: what the journal, a mail's subject, a hook and the API say of it.

public import NightjarModel

/// One line about one piece of news.
public enum AlertText {
    /// `HeapGrowth firing: payments (pid 4242): live heap floor 96 → 132 MiB in 6 min, still rising`
    public static func line(_ action: AlertAction) -> String {
        let alert = action.alert
        let finding = alert.finding
        let head = "\(finding.detector) \(state(of: action)): \(finding.subject.shortLabel)"
        return Clean.line("\(head): \(finding.sentence)", limit: 2048)
    }

    /// `firing`, `worse, now critical`, `resolved after 12 min`.
    public static func state(of action: AlertAction) -> String {
        let alert = action.alert
        switch action {
        case .open: return "firing"
        case .update: return "still firing, now \(alert.finding.severity.word)"
        case .resolve:
            let began = alert.firedAt ?? alert.startedAt
            return "resolved after \(max(.zero, (alert.resolvedAt ?? alert.seenAt) - began).spoken)"
        }
    }
}

/// The JSON of an alert, the same in `/api/v1/alerts`, `nightjar show --format json` and on a hook's standard input.
public enum AlertJSON {
    /// Keys keep their order; times are seconds since 1970.
    public static func object(_ alert: Alert) -> JSON {
        let finding = alert.finding
        return .object([
            ("id", .string(alert.id)),
            ("state", .string(alert.state.rawValue)),
            ("detector", .string(finding.detector)),
            ("severity", .string(finding.severity.word)),
            ("worst", .string(alert.worst.word)),
            ("verdict", .string(finding.verdict)),
            ("subject", .string(finding.subject.identity)),
            ("name", .string(finding.subject.name)),
            ("unit", .optional(finding.subject.unit)),
            ("pid", .optional(finding.subject.process.map { Int64($0.pid) })),
            ("cause", .string(finding.cause)),
            ("sentence", .string(finding.sentence)),
            ("details", .array(finding.details.map(JSON.string))),
            ("evidence", finding.evidenceJSON),
            ("next_step", .string(finding.nextStep)),
            ("started_at_s", .double(alert.startedAt.seconds)),
            ("fired_at_s", .optional(alert.firedAt?.seconds)),
            ("resolved_at_s", .optional(alert.resolvedAt?.seconds)),
            ("seen_at_s", .double(alert.seenAt.seconds)),
            ("muted_by", .optional(alert.mutedBy)),
            ("applied_setting", .optional(alert.appliedSetting)),
            ("contact", .optional(alert.contact)),
            ("flaps", .int(Int64(alert.flaps))),
        ])
    }
}

extension Subject {
    /// `payments (pid 4242)` where the unit is `payments.service` and says nothing more; else with the unit.
    var shortLabel: String {
        guard let unit, unit == name || unit == "\(name).service" else { return label }
        return Subject(kind, name: name, process: process).label
    }
}
