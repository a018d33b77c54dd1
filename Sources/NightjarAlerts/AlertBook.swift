// The alert book: detectors' answers become alerts that people are told of, once when they begin and once when they end.
//
//              found                 not contradicted for holdFor             quiet for clearFor, nobody confirms
//     (none) ────────▶ pending ───────────────────────────────────▶ firing ───────────────────────────────▶ resolved
//                        │ quiet                                     │  ▲ found again: the quiet starts anew    │
//                        ▼                                           ▼  │                                       │
//                     forgotten                             muted (silence, or a worse alert hides it)          │
//                                    ◀── found again within flapWindow: next episode, flaps + 1, quiet doubled ─┘
//
// Identity is detector + subject + cause without pids, so several workers and all lives of one service share an alert.
// The book therefore remembers *who* confirms (witnesses). One worker's "quiet" never ends what another one confirms,
// and what is said in one round is weighed at its end: found beside quiet is found, whichever came first.
// When the last witness ends with its process, the alert waits: the next life may confirm it, "too early" keeps it open
// for a while, "quiet" ends it, and where no next life comes the grace does.
//
// An alert is announced only while somebody confirms it, and its end is told only if its beginning was: open and resolve
// alternate strictly for each identity. What another alert may hide is announced at the end of the round (`tick`), so
// that two that fire in one round are told as one.
//
// Time comes with the call. Cost: a "quiet" of a detector without open alerts is one dictionary look-up, no allocation.

public import NightjarModel

/// Findings → alerts. A pure value: it reads no clock and touches nothing.
public struct AlertBook: Sendable {
    /// Everything is bounded; what does not fit is counted in `counters.dropped`.
    public struct Limits: Hashable, Sendable {
        /// Open alerts, pending ones included: about 2 KiB each with their evidence.
        public var alerts = 512
        /// Ended alerts that are remembered for numbering and flaps: about 150 bytes each.
        public var memories = 1024
        /// Lives that are known by name to confirm one alert; all further ones count as one crowd.
        public var witnesses = 16
        /// Ended alerts kept whole, for `nightjar alerts`.
        public var recent = 64
        public var silences = 256

        public init() {}
    }

    /// What happened since the book began, or was restored.
    public struct Counters: Hashable, Sendable {
        public var opened: Int64 = 0
        public var updated: Int64 = 0
        public var resolved: Int64 = 0
        /// Fired, and hidden by a silence or another alert.
        public var muted: Int64 = 0
        /// Returned within the flap window.
        public var flapped: Int64 = 0
        /// Findings that found the book full.
        public var dropped: Int64 = 0
        /// Entries of a snapshot that could not be read.
        public var restoreErrors: Int64 = 0

        public init() {}
    }

    public var rules: AlertRules {
        didSet { hideable = Set(rules.inhibitions.map(\.hides)) }
    }
    public let limits: Limits
    public internal(set) var counters = Counters()
    public internal(set) var silences: [Silence] = []

    var entries: [AlertIdentity: AlertEntry] = [:]
    var lines: [Line: [AlertIdentity]] = [:]
    var linesOfDetector: [String: Int] = [:]
    var witnessing: [ProcessKey: Int] = [:]
    var memories: [AlertIdentity: AlertMemory] = [:]
    var ended: [Alert] = []
    var changed: Set<AlertIdentity> = []
    var endedUnsaved: [Alert] = []
    var nextSerial: Int64 = 1
    var hideable: Set<String>

    public init(rules: AlertRules = AlertRules(), limits: Limits = Limits()) {
        self.rules = rules
        self.limits = limits
        hideable = Set(rules.inhibitions.map(\.hides))
    }

    /// One answer of one detector about one subject. `subject` is whom it observed, with the life of the process where
    /// it has one; the finding may name another culprit.
    public mutating func receive(
        _ answer: Answer, from detector: String, about subject: Subject, at now: Moment
    ) -> [AlertAction] {
        switch answer {
        case .found(let finding):
            return found(
                shaped(finding), from: Line(detector, subject), witness: subject.process, at: now)
        case .quiet:
            guard linesOfDetector[detector] != nil else { return [] }
            quiet(Line(detector, subject), witness: subject.process, at: now)
        case .tooEarly:
            guard linesOfDetector[detector] != nil else { return [] }
            tooEarly(Line(detector, subject), witness: subject.process, at: now)
        }
        return []
    }

    /// A process is gone. Costs one look-up where it confirms nothing.
    public mutating func ended(_ process: ProcessKey, at now: Moment) {
        guard witnessing[process] != nil else { return }
        for (identity, entry) in entries where entry.position(of: process) != nil {
            removeWitness(process, from: identity)
            guard entries[identity]?.witnesses.isEmpty == true else { continue }
            if entry.isFiring {
                entries[identity]?.heardAt = now
                entries[identity]?.quietHeardAt = nil
                entries[identity]?.quietSince = nil
            } else {
                remove(identity)
            }
        }
    }

    /// The end of a round: whatever time alone decides. Answers what is to be told, oldest alert first.
    public mutating func tick(at now: Moment) -> [AlertAction] {
        silences.removeAll { !$0.lasts(at: now) }
        guard !entries.isEmpty else { return [] }
        let order = entries.map { ($0.value.serial, $0.key) }.sorted { $0.0 < $1.0 }.map(\.1)
        for identity in order {
            hearWitnesses(of: identity, at: now)
            advance(identity, at: now)
        }
        var actions = order.compactMap { endIfOver($0, at: now) }
        let inhibitors = activeInhibitors(at: now)
        for identity in order { announce(identity, inhibitors: inhibitors, at: now, into: &actions) }
        return actions
    }
}

// MARK: - The three answers

extension AlertBook {
    private mutating func found(
        _ finding: Finding, from line: Line, witness: ProcessKey?, at now: Moment
    ) -> [AlertAction] {
        let identity = finding.identity
        quiet(line, witness: witness, except: identity, at: now)
        if entries[identity] == nil {
            guard makeRoom(for: finding) else { return [] }
            begin(finding, line: line, witness: witness, at: now)
        }
        confirm(identity, finding, witness: witness, at: now)
        advance(identity, at: now)
        guard !hideable.contains(finding.detector) else { return [] }
        var actions: [AlertAction] = []
        announce(identity, inhibitors: activeInhibitors(at: now), at: now, into: &actions)
        return actions
    }

    private mutating func begin(_ finding: Finding, line: Line, witness: ProcessKey?, at now: Moment) {
        let identity = finding.identity
        let memory = memories[identity]
        let episode = (memory?.episode ?? 0) + 1
        let digits = memory?.digits ?? freeDigits(for: identity)
        let alert = Alert(
            id: "\(digits)-\(episode)", state: .pending, finding: finding, startedAt: now, seenAt: now)
        insert(
            AlertEntry(
                alert: alert, serial: nextSerial, line: line, witnesses: [], lead: witness,
                episode: episode,
                pendingSince: now, confirmedAt: now, heardAt: now, keptAt: now, toldSeverity: finding.severity))
        changed.insert(identity)
        nextSerial += 1
    }

    /// The shown figures follow one life, so that they do not jump between workers; a worse one takes the lead.
    private mutating func confirm(
        _ identity: AlertIdentity, _ finding: Finding, witness: ProcessKey?, at now: Moment
    ) {
        guard var entry = entries[identity] else { return }
        let leadIsGone = entry.position(of: entry.lead) == nil
        if leadIsGone || witness == entry.lead || finding.severity > entry.alert.finding.severity {
            if finding.isNews(after: entry.alert.finding) { changed.insert(identity) }
            entry.alert.finding = finding
            entry.lead = witness
        }
        entry.alert.seenAt = now
        entry.alert.worst = max(entry.alert.worst, finding.severity)
        entry.confirmedAt = now
        entry.heardAt = now
        entry.quietSince = nil
        entry.undecidedAt = nil
        applyOverrides(to: &entry.alert)
        addWitness(witness, to: &entry, at: now)
        if now - entry.keptAt >= Self.figuresKeptEvery { changed.insert(identity) }
        if changed.contains(identity) { entry.keptAt = now }
        entries[identity] = entry
    }

    /// New figures of an alert are no reason to write to disk each round.
    private static var figuresKeptEvery: Duration { .minutes(5) }

    private mutating func quiet(
        _ line: Line, witness: ProcessKey?, except confirmed: AlertIdentity? = nil, at now: Moment
    ) {
        for identity in lines[line] ?? [] where identity != confirmed {
            guard var entry = entries[identity] else { continue }
            entry.heardAt = now
            entry.quietHeardAt = now
            if let position = entry.position(of: witness) { entry.witnesses[position].quietAt = now }
            entries[identity] = entry
        }
    }

    private mutating func tooEarly(_ line: Line, witness: ProcessKey?, at now: Moment) {
        for identity in lines[line] ?? [] {
            guard var entry = entries[identity] else { continue }
            entry.heardAt = now
            if entry.witnesses.isEmpty { entry.undecidedAt = now }
            if let position = entry.position(of: witness) { entry.witnesses[position].seenAt = now }
            entries[identity] = entry
        }
    }
}
