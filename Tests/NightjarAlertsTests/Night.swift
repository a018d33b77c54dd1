import NightjarAlerts
import NightjarModel
import NightjarTestKit

/// A book, a clock and what was told: tests read as the log of a night.
struct Night {
    var book: AlertBook
    var now = Moment(seconds: 1_000_000)
    /// `open HeapGrowth checkout`, `resolve …`: in the order of telling.
    var told: [String] = []
    var actions: [AlertAction] = []

    init(
        hold: Duration = .zero, overrides: [AlertOverride] = [],
        limits: AlertBook.Limits = AlertBook.Limits()
    ) {
        book = AlertBook(
            rules: AlertRules(standard: DetectorRule(holdFor: hold), overrides: overrides), limits: limits
        )
    }

    mutating func found(
        _ detector: String = "HeapGrowth", _ name: String = "checkout",
        unit: String? = "checkout.service",
        pid: Int32? = 1, cause: String = "", severity: Severity = .warning, verdict: String = "leak",
        level: Bytes = .mebi(100), about: Subject? = nil
    ) {
        let subject = Subject(
            .process, name: name, unit: unit, process: pid.map { ProcessKey(pid: $0, startTime: 7) })
        let finding = Finding(
            detector: detector, subject: subject, cause: cause, severity: severity, verdict: verdict,
            sentence: "holds \(level)", evidence: [EvidenceField("level", .bytes(level))])
        tell(book.receive(.found(finding), from: detector, about: about ?? subject, at: now))
    }

    mutating func quiet(
        _ detector: String = "HeapGrowth", _ name: String = "checkout",
        unit: String? = "checkout.service",
        pid: Int32? = 1, about: Subject? = nil
    ) {
        let subject = Subject(
            .process, name: name, unit: unit, process: pid.map { ProcessKey(pid: $0, startTime: 7) })
        tell(book.receive(.quiet, from: detector, about: about ?? subject, at: now))
    }

    mutating func tooEarly(
        _ detector: String = "HeapGrowth", _ name: String = "checkout", pid: Int32 = 1
    ) {
        let key = ProcessKey(pid: pid, startTime: 7)
        let subject = Subject(.process, name: name, unit: "checkout.service", process: key)
        tell(book.receive(.tooEarly, from: detector, about: subject, at: now))
    }

    mutating func ended(pid: Int32) { book.ended(ProcessKey(pid: pid, startTime: 7), at: now) }

    mutating func tick() { tell(book.tick(at: now)) }

    /// Lets `span` pass in rounds of ten seconds; `answer` speaks in each.
    mutating func pass(_ span: Duration, answer: (inout Night) -> Void = { _ in }) {
        let end = now + span
        while now < end {
            now = min(now + .seconds(10), end)
            answer(&self)
            tick()
        }
    }

    /// The agent is stopped and started again, `downtime` later, with nothing but its snapshot.
    mutating func restart(downtime: Duration = .zero) {
        let records = book.snapshot(at: now)
        now = now + downtime
        book = AlertBook(rules: book.rules, limits: book.limits)
        book.restore(records, at: now)
    }

    private mutating func tell(_ new: [AlertAction]) {
        actions += new
        told += new.map { action in
            switch action {
            case .open(let alert): "open \(alert.finding.detector) \(alert.finding.subject.name)"
            case .update(let alert):
                "update \(alert.finding.detector) \(alert.finding.subject.name) \(alert.finding.severity.word)"
            case .resolve(let alert): "resolve \(alert.finding.detector) \(alert.finding.subject.name)"
            }
        }
    }
}
