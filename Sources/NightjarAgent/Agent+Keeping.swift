import NightjarAlerts
import NightjarHistory
import NightjarModel
import NightjarSinks

// What survives a restart of the agent: alerts and silences at once, detectors' states every few minutes and at the
// end. Writing happens on the keeper's thread; the round only makes the bytes.

/// When what was last kept.
struct Keeping {
    /// Detector states are some MiB on a large host: not each round.
    static let statesEvery = Duration.minutes(5)
    static let pruneEvery = Duration.hours(1)

    var statesAt: Moment?
    var prunedAt: Moment?
}

extension Agent {
    private static let statePrefixes = ["process/", "host/", "pool/"]

    func restore() {
        let now = clock.now
        let states = Self.statePrefixes.flatMap { history.loadStates(prefix: $0) }
        observatory.restore(states, lives: history.loadLives())
        watches.restore(history.loadStates(prefix: "watch/"))
        let records = ["book"] + AlertBook.statePrefixes
        book.restore(records.flatMap { history.loadStates(prefix: $0) }, at: now)
        history.endAlerts(exceptFor: Set(book.open.map(\.id)), at: now)
    }

    /// Called once a round; cheap unless something changed or a span is over.
    func keep(at now: Moment, isUrgent: Bool, isLast: Bool = false) {
        let history = history
        let changed = book.takeChanged()
        if isUrgent || !changed.isEmpty {
            let snapshot = book.snapshot(at: now)
            submit {
                history.replaceStates(prefixes: AlertBook.statePrefixes, snapshot)
                history.saveAlerts(changed)
            }
        }
        let lives = observatory.takeLives()
        if !lives.isEmpty { submit { history.saveLives(lives) } }
        if isLast || keeping.statesAt.map({ now - $0 >= Keeping.statesEvery }) ?? true {
            if keeping.statesAt != nil || isLast {
                let states = observatory.states()
                let others = watches.states()
                submit {
                    history.replaceStates(prefixes: Self.statePrefixes, states)
                    history.save(states: others)
                }
            }
            keeping.statesAt = now
        }
        if keeping.prunedAt.map({ now - $0 >= Keeping.pruneEvery }) ?? true {
            keeping.prunedAt = now
            submit { history.prune(at: now) }
        }
        for notice in history.takeNotices() { log.warning(notice) }
    }

    /// The book's own record decides at the next start; the table is for who reads without an agent.
    func keepSilences() {
        let history = history
        let silences = book.silences
        let snapshot = book.snapshot(at: clock.now)
        submit {
            history.saveSilences(silences)
            history.replaceStates(prefixes: AlertBook.statePrefixes, snapshot)
        }
    }

    func submit(_ job: @escaping @Sendable () -> Void) {
        if !keeper.submit(job) { log.error("history is too slow; this change is not kept") }
    }
}
