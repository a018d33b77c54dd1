// The book's own order: who stands where, who makes room, and what is remembered of those who left.

public import NightjarModel

extension AlertBook {
    /// Pending and firing alerts, muted ones included: firing before pending, then the most urgent, then the oldest.
    public var open: [Alert] {
        entries.values.sorted { a, b in
            if a.isFiring != b.isFiring { return a.isFiring }
            if a.alert.finding.severity != b.alert.finding.severity {
                return a.alert.finding.severity > b.alert.finding.severity
            }
            return a.serial < b.serial
        }.map(\.alert)
    }

    /// The newest ended alerts, the latest first. All others are in the history.
    public var recent: [Alert] { ended.sorted { Self.endedBefore($1, $0) } }

    /// The same order before and after a restart, also of those that ended in one round.
    static func endedBefore(_ a: Alert, _ b: Alert) -> Bool {
        a.resolvedAt == b.resolvedAt ? a.id < b.id : (a.resolvedAt ?? a.seenAt) < (b.resolvedAt ?? b.seenAt)
    }

    /// By its whole id (`3f09a1c2-2`), or by its digits alone: the open episode, else the latest ended one.
    public func alert(id: String) -> Alert? {
        func fits(_ alert: Alert) -> Bool { alert.id == id || alert.id.hasPrefix(id + "-") }
        return entries.values.first { fits($0.alert) }?.alert ?? recent.first(where: fits)
    }

    /// Lines whose firing alert nobody confirms at present: a service was restarted, or the agent was. Who has an answer
    /// about such a subject, "too early" included, should give it: it decides whether the alert goes on or ends.
    public var awaited: [(detector: String, subject: Subject)] {
        guard !entries.isEmpty else { return [] }
        return entries.values.filter { $0.isFiring && $0.witnesses.isEmpty }.sorted { $0.serial < $1.serial }
            .map { ($0.line.detector, $0.line.subject) }
    }

    /// Alerts that changed since the last call, for the history; ended ones first. Newer figures alone count every five
    /// minutes, so that an open alert does not write to disk each round.
    public mutating func takeChanged() -> [Alert] {
        let open = changed.compactMap { entries[$0] }.sorted { $0.serial < $1.serial }.map(\.alert)
        defer {
            changed.removeAll(keepingCapacity: true)
            endedUnsaved.removeAll(keepingCapacity: true)
        }
        return endedUnsaved + open
    }

    mutating func insert(_ entry: AlertEntry) {
        let identity = entry.alert.identity
        entries[identity] = entry
        lines[entry.line, default: []].append(identity)
        linesOfDetector[entry.line.detector, default: 0] += 1
        for case let key? in entry.witnesses.map(\.key) { witnessing[key, default: 0] += 1 }
    }

    mutating func remove(_ identity: AlertIdentity) {
        guard let entry = entries.removeValue(forKey: identity) else { return }
        for case let key? in entry.witnesses.map(\.key) { release(key) }
        lines[entry.line]?.removeAll { $0 == identity }
        if lines[entry.line]?.isEmpty == true { lines[entry.line] = nil }
        let left = (linesOfDetector[entry.line.detector] ?? 1) - 1
        linesOfDetector[entry.line.detector] = left == 0 ? nil : left
        changed.remove(identity)
    }

    mutating func addWitness(_ key: ProcessKey?, to entry: inout AlertEntry, at now: Moment) {
        let isListed = entry.position(of: key) != nil || entry.witnesses.count < limits.witnesses
        let key = isListed ? key : Witness.crowd
        if let position = entry.position(of: key) {
            entry.witnesses[position].seenAt = now
        } else {
            entry.witnesses.append(Witness(key: key, seenAt: now))
            if let key { witnessing[key, default: 0] += 1 }
        }
    }

    mutating func removeWitness(_ witness: ProcessKey?, from identity: AlertIdentity) {
        guard let index = entries[identity]?.position(of: witness) else { return }
        entries[identity]?.witnesses.remove(at: index)
        if let witness { release(witness) }
    }

    /// The round's end: who said quiet stops confirming, and so does a life that vanished while nobody looked and is never
    /// heard of again. A pending alert that nobody confirms is forgotten.
    mutating func hearWitnesses(of identity: AlertIdentity, at now: Moment) {
        guard let entry = entries[identity] else { return }
        let grace = rules.rule(of: identity.detector).grace
        for witness in entry.witnesses where !witness.confirms(at: now, grace: grace) {
            removeWitness(witness.key, from: identity)
        }
        guard entries[identity]?.witnesses.isEmpty == true else { return }
        guard entry.isFiring else { return remove(identity) }
        guard let heard = entry.quietHeardAt, heard > entry.confirmedAt else { return }
        entries[identity]?.quietSince = entry.quietSince ?? heard
    }

    private mutating func release(_ witness: ProcessKey) {
        let left = (witnessing[witness] ?? 1) - 1
        witnessing[witness] = left == 0 ? nil : left
    }

    /// True where there is room. A full book lets go of its least urgent pending alert for a more urgent finding.
    mutating func makeRoom(for finding: Finding) -> Bool {
        guard entries.count >= limits.alerts else { return true }
        counters.dropped += 1
        let pending = entries.values.filter {
            !$0.isFiring && $0.alert.finding.severity < finding.severity
        }
        let weakest = pending.min {
            ($0.alert.finding.severity, $1.serial) < ($1.alert.finding.severity, $0.serial)
        }
        guard let weakest else { return false }
        remove(weakest.alert.identity)
        return true
    }

    mutating func remember(_ entry: AlertEntry, at now: Moment) {
        let identity = entry.alert.identity
        memories[identity] = AlertMemory(
            identity: identity, digits: String(entry.alert.id.prefix(8)), episode: entry.episode,
            resolvedAt: now,
            flaps: entry.alert.flaps, worst: entry.alert.worst)
        guard memories.count > limits.memories else { return }
        let oldest = memories.values.min {
            ($0.resolvedAt, $0.digits) < ($1.resolvedAt, $1.digits)
        }
        if let oldest { memories[oldest.identity] = nil }
    }

    mutating func keep(_ alert: Alert) {
        ended.append(alert)
        if ended.count > limits.recent, let oldest = ended.indices.min(by: { Self.endedBefore(ended[$0], ended[$1]) }) {
            ended.remove(at: oldest)
        }
        endedUnsaved.append(alert)
        if endedUnsaved.count > limits.alerts { endedUnsaved.removeFirst() }
    }

    /// Eight digits that no other known identity has; which of two comes first decides, and the memory keeps it so.
    func freeDigits(for identity: AlertIdentity) -> String {
        var text = identity.text
        while true {
            let digits = AlertIdentity.hexDigits(of: text)
            let isTaken =
                entries.values.contains { $0.alert.id.hasPrefix(digits) }
                || memories.values.contains { $0.digits == digits }
            if !isTaken { return digits }
            text += "'"
        }
    }
}
