// What time does to an alert: it begins to fire, it ends, and it is told of.

public import NightjarModel

extension AlertBook {
    /// Pending → firing, when it lasted and the cool-down lets it.
    mutating func advance(_ identity: AlertIdentity, at now: Moment) {
        guard var entry = entries[identity], !entry.isFiring, !entry.witnesses.isEmpty else { return }
        let rule = rules.rule(of: identity.detector)
        guard now - entry.pendingSince >= rule.holdFor else { return }
        if let memory = memories[identity] {
            let since = now - memory.resolvedAt
            let isWorse = entry.alert.finding.severity > memory.worst
            guard since >= rule.coolDown || isWorse else { return }
            if since < rule.flapWindow {
                entry.alert.flaps = memory.flaps + 1
                counters.flapped += 1
            }
        }
        entry.alert.state = .firing
        entry.alert.firedAt = now
        entries[identity] = entry
        changed.insert(identity)
    }

    /// Firing → resolved. Answers `.resolve` where its beginning was told.
    mutating func endIfOver(_ identity: AlertIdentity, at now: Moment) -> AlertAction? {
        guard let entry = entries[identity], isOver(entry, at: now) else { return nil }
        remove(identity)
        guard entry.isFiring else { return nil }
        var alert = entry.alert
        alert.state = .resolved
        alert.resolvedAt = now
        remember(entry, at: now)
        keep(alert)
        guard entry.announced else { return nil }
        counters.resolved += 1
        return .resolve(alert)
    }

    private func isOver(_ entry: AlertEntry, at now: Moment) -> Bool {
        let rule = rules.rule(of: entry.line.detector)
        if now - entry.heardAt > rule.grace { return true }
        guard entry.witnesses.isEmpty else { return false }
        if now - entry.confirmedAt > rule.patience { return true }
        if let undecidedAt = entry.undecidedAt, now - undecidedAt <= rule.grace { return false }
        guard let quietSince = entry.quietSince else { return false }
        return now - quietSince >= rule.quietNeeded(flaps: entry.alert.flaps)
    }

    /// Tells of a firing alert that nothing hides: the first time, and again when it got worse or turned into something else.
    mutating func announce(
        _ identity: AlertIdentity, inhibitors: [AlertEntry], at now: Moment,
        into actions: inout [AlertAction]
    ) {
        guard var entry = entries[identity], entry.isFiring else { return }
        let silence = silences.first { $0.hides(entry.alert.finding, at: now) }
        let reason = silence?.id ?? inhibitor(of: entry, among: inhibitors)?.alert.identity.text
        if reason == nil, entry.alert.mutedBy == nil, !entry.silenced, !hasNews(entry) { return }
        if reason != nil, entry.alert.mutedBy == nil { counters.muted += 1 }
        if entry.alert.mutedBy != reason { changed.insert(identity) }
        entry.alert.mutedBy = reason
        entry.silenced = silence != nil
        if reason == nil, let action = news(of: &entry) { actions.append(action) }
        entries[identity] = entry
    }

    /// The cheap answer to "is there anything to tell?", for the many rounds in which there is not.
    private func hasNews(_ entry: AlertEntry) -> Bool {
        !entry.announced || entry.alert.finding.severity > entry.toldSeverity
            || !entry.toldVerdicts.contains(entry.alert.finding.verdict)
    }

    private mutating func news(of entry: inout AlertEntry) -> AlertAction? {
        let finding = entry.alert.finding
        guard entry.announced else {
            guard !entry.witnesses.isEmpty else { return nil }
            entry.announced = true
            entry.toldSeverity = finding.severity
            entry.toldVerdicts = [finding.verdict]
            counters.opened += 1
            return .open(entry.alert)
        }
        let isNew =
            !entry.toldVerdicts.contains(finding.verdict) && entry.toldVerdicts.count < Self.verdictsTold
        guard finding.severity > entry.toldSeverity || isNew else { return nil }
        entry.toldSeverity = max(entry.toldSeverity, finding.severity)
        if isNew { entry.toldVerdicts.append(finding.verdict) }
        counters.updated += 1
        return .update(entry.alert)
    }

    /// A detector that changes its mind back and forth is told of each verdict once, and of at most this many.
    private static var verdictsTold: Int { 6 }
}

// MARK: - What hides an alert

extension AlertBook {
    /// Firing alerts that may hide others. A silenced one hides nothing: else both would be unheard.
    func activeInhibitors(at now: Moment) -> [AlertEntry] {
        guard !rules.inhibitions.isEmpty else { return [] }
        return entries.values.filter { entry in
            entry.isFiring && rules.inhibitions.contains { $0.by == entry.line.detector }
                && !silences.contains { $0.hides(entry.alert.finding, at: now) }
        }.sorted { $0.serial < $1.serial }
    }

    private func inhibitor(of entry: AlertEntry, among inhibitors: [AlertEntry]) -> AlertEntry? {
        guard hideable.contains(entry.line.detector) else { return nil }
        return inhibitors.first { other in
            rules.inhibitions.contains {
                $0.by == other.line.detector && $0.hides == entry.line.detector
                    && $0.joins(other.alert.finding.subject, entry.alert.finding.subject)
            }
        }
    }

    /// Lays a silence over alerts, or replaces the one with its id. Beyond the limit the one that ends first gives way.
    public mutating func add(_ silence: Silence) {
        silences.removeAll { $0.id == silence.id }
        silences.append(silence)
        guard silences.count > limits.silences else { return }
        let far = Moment(nanoseconds: .max)
        if let first = silences.indices.min(by: {
            silences[$0].until ?? far < silences[$1].until ?? far
        }) {
            silences.remove(at: first)
            counters.dropped += 1
        }
    }

    /// Takes a silence away; what it hid and still fires is told at the next `tick`. False where there is none of that id.
    public mutating func removeSilence(_ id: String) -> Bool {
        let before = silences.count
        silences.removeAll { $0.id == id }
        return silences.count < before
    }
}

// MARK: - What the configuration says of a subject

extension AlertBook {
    /// The finding with its severity capped and its texts bounded.
    func shaped(_ finding: Finding) -> Finding {
        var finding = finding.bounded
        let speaking = rules.overrides.last { $0.severityCap != nil && $0.speaks(of: finding) }
        if let cap = speaking?.severityCap { finding.severity = min(finding.severity, cap) }
        return finding
    }

    func applyOverrides(to alert: inout Alert) {
        alert.contact = nil
        alert.appliedSetting = nil
        for override in rules.overrides where override.speaks(of: alert.finding) {
            alert.contact = override.contact ?? alert.contact
            alert.appliedSetting = override.place
        }
    }
}

extension Finding {
    /// Whether it says something else, not only newer figures.
    func isNews(after other: Finding) -> Bool {
        severity != other.severity || verdict != other.verdict || subject != other.subject
    }

    /// Lines and bytes that one finding may bring: a screen, and a journal entry.
    var bounded: Finding {
        var finding = self
        if finding.details.count > 32 { finding.details.removeLast(finding.details.count - 32) }
        if finding.evidence.count > 64 { finding.evidence.removeLast(finding.evidence.count - 64) }
        finding.details = finding.details.map { $0.clipped(to: 512) }
        finding.sentence = finding.sentence.clipped(to: 1024)
        finding.cause = finding.cause.clipped(to: 256)
        return finding
    }
}

extension String {
    fileprivate func clipped(to limit: Int) -> String {
        guard utf8.count > limit else { return self }
        return String(decoding: utf8.prefix(limit - 3), as: UTF8.self) + "…"
    }
}
