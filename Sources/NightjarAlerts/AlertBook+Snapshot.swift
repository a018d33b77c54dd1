// The book over a restart of the agent. A snapshot is a handful of small records, so that saving writes what changed:
//
//     book                 when it was taken, the next serial number
//     silence/s-3f09a1c2   one silence
//     alert/3f09a1c2       one open alert: what people are told, who confirms it, what was told already
//     memory/3f09a1c2      one ended alert: episode, flaps, when
//     ended/3f09a1c2-2     one of the recent ended alerts, whole
//
// The time between snapshot and restore was seen by nobody, so it counts for nothing: every span that a decision hangs
// on (pending since, quiet since, last heard) is moved on by it. What vanished meanwhile is never heard of again, and
// ends with the ordinary grace. Nothing is announced by restoring. A record that cannot be read is counted and left out.

public import NightjarModel

extension AlertBook {
    private static let version: UInt8 = 1

    /// What the keys of its records begin with: a store removes records of these that a newer snapshot no longer has.
    public static let statePrefixes = ["alert/", "ended/", "memory/", "silence/"]

    /// All that a restored book needs. Cost: about a microsecond and 1–2 KiB an open alert.
    public func snapshot(at now: Moment) -> [(key: String, bytes: [UInt8])] {
        var records = [
            record("book") {
                $0.write(now)
                $0.write(nextSerial)
            }
        ]
        records += silences.map { silence in
            record("silence/\(silence.id)") { silence.encode(into: &$0) }
        }
        records += entries.values.sorted { $0.serial < $1.serial }.map { entry in
            record("alert/\(entry.alert.id.prefix(8))") { entry.encode(into: &$0) }
        }
        records += memories.values.sorted { $0.digits < $1.digits }.map { memory in
            record("memory/\(memory.digits)") { memory.encode(into: &$0) }
        }
        records += ended.map { alert in record("ended/\(alert.id)") { alert.encode(into: &$0) } }
        return records
    }

    /// Takes a snapshot's records into an empty book, in any order. Call before the first answer.
    public mutating func restore(_ records: [(key: String, bytes: [UInt8])], at now: Moment) {
        var savedAt = now
        for (key, bytes) in records where key == "book" {
            attempt(bytes) { (book, reader) throws(StateDamaged) in
                savedAt = try reader.moment()
                let serial = try reader.int64()
                guard AlertEntry.counts.contains(serial) else { throw StateDamaged() }
                book.nextSerial = max(book.nextSerial, serial)
            }
        }
        let blind = max(.zero, now - savedAt)
        for (key, bytes) in records where key != "book" {
            attempt(bytes) { (book, reader) throws(StateDamaged) in
                try book.restore(key, &reader, blind: blind)
            }
        }
        lines = lines.mapValues {
            $0.sorted { (entries[$0]?.serial ?? 0) < (entries[$1]?.serial ?? 0) }
        }
    }

    private mutating func restore(
        _ key: String, _ reader: inout StateReader, blind: Duration
    ) throws(StateDamaged) {
        if key.hasPrefix("silence/") {
            add(try Silence(from: &reader))
        } else if key.hasPrefix("alert/") {
            let entry = try AlertEntry(from: &reader).moved(by: blind)
            guard entries[entry.alert.identity] == nil, entries.count < limits.alerts else {
                throw StateDamaged()
            }
            insert(entry)
            nextSerial = max(nextSerial, entry.serial + 1)
        } else if key.hasPrefix("memory/") {
            let memory = try AlertMemory(from: &reader)
            guard memories.count < limits.memories else { throw StateDamaged() }
            memories[memory.identity] = memory
        } else if key.hasPrefix("ended/") {
            guard ended.count < limits.recent else { throw StateDamaged() }
            ended.append(try Alert(from: &reader))
        }
    }

    private func record(_ key: String, _ body: (inout StateWriter) -> Void) -> (
        key: String, bytes: [UInt8]
    ) {
        var writer = StateWriter()
        writer.write(Self.version)
        body(&writer)
        return (key, writer.bytes)
    }

    private mutating func attempt(
        _ bytes: [UInt8], _ body: (inout AlertBook, inout StateReader) throws(StateDamaged) -> Void
    ) {
        var reader = StateReader(bytes)
        do throws(StateDamaged) {
            guard try reader.byte() == Self.version else { throw StateDamaged() }
            try body(&self, &reader)
        } catch {
            counters.restoreErrors += 1
        }
    }
}

extension AlertEntry {
    /// Numbers that are counted up: beyond this is damage, and would overflow.
    fileprivate static var counts: Range<Int64> { 0..<(1 << 48) }

    /// The same entry after a time in which nobody looked.
    fileprivate func moved(by blind: Duration) -> AlertEntry {
        var entry = self
        entry.pendingSince = pendingSince + blind
        entry.confirmedAt = confirmedAt + blind
        entry.heardAt = heardAt + blind
        entry.undecidedAt = undecidedAt.map { $0 + blind }
        entry.quietSince = quietSince.map { $0 + blind }
        entry.quietHeardAt = quietHeardAt.map { $0 + blind }
        entry.witnesses = witnesses.map {
            Witness(key: $0.key, seenAt: $0.seenAt + blind, quietAt: $0.quietAt.map { $0 + blind })
        }
        return entry
    }

    fileprivate func encode(into out: inout StateWriter) {
        alert.encode(into: &out)
        out.write(serial)
        out.write(line.detector)
        line.subject.encode(into: &out)
        out.writeList(witnesses) {
            $0.writeOptional($1.key) { $0.write($1) }
            $0.write($1.seenAt)
            $0.writeOptional($1.quietAt) { $0.write($1) }
        }
        out.writeOptional(lead) { $0.write($1) }
        out.write(episode)
        for moment in [pendingSince, confirmedAt, heardAt] { out.write(moment) }
        for moment in [undecidedAt, quietHeardAt, quietSince] { out.writeOptional(moment) { $0.write($1) } }
        out.write(UInt8(announced ? 1 : 0))
        out.write(UInt8(toldSeverity.rawValue))
        out.writeList(toldVerdicts) { $0.write($1) }
    }

    fileprivate init(from reader: inout StateReader) throws(StateDamaged) {
        alert = try Alert(from: &reader)
        serial = try reader.int64()
        let detector = try reader.string()
        line = Line(detector, try Subject(from: &reader))
        witnesses = try reader.list(limit: 1024) { (r) throws(StateDamaged) in
            let key = try r.optional { (r) throws(StateDamaged) in try r.processKey() }
            let seenAt = try r.moment()
            let quietAt = try r.optional { (r) throws(StateDamaged) in try r.moment() }
            return Witness(key: key, seenAt: seenAt, quietAt: quietAt)
        }
        lead = try reader.optional { (r) throws(StateDamaged) in try r.processKey() }
        episode = try reader.int64()
        pendingSince = try reader.moment()
        confirmedAt = try reader.moment()
        heardAt = try reader.moment()
        undecidedAt = try reader.optional { (r) throws(StateDamaged) in try r.moment() }
        quietHeardAt = try reader.optional { (r) throws(StateDamaged) in try r.moment() }
        quietSince = try reader.optional { (r) throws(StateDamaged) in try r.moment() }
        keptAt = confirmedAt
        announced = try reader.byte() == 1
        guard let told = Severity(rawValue: Int(try reader.byte())) else { throw StateDamaged() }
        toldSeverity = told
        toldVerdicts = try reader.list(limit: 64) { (r) throws(StateDamaged) in try r.string() }
        guard alert.state != .resolved, Self.counts.contains(serial), Self.counts.contains(episode)
        else {
            throw StateDamaged()
        }
    }
}

extension AlertMemory {
    fileprivate func encode(into out: inout StateWriter) {
        for text in [identity.detector, identity.subject, identity.cause, digits] { out.write(text) }
        out.write(episode)
        out.write(resolvedAt)
        out.write(Int64(flaps))
        out.write(UInt8(worst.rawValue))
    }

    fileprivate init(from reader: inout StateReader) throws(StateDamaged) {
        let detector = try reader.string()
        let subject = try reader.string()
        identity = AlertIdentity(detector: detector, subject: subject, cause: try reader.string())
        digits = try reader.string()
        episode = try reader.int64()
        resolvedAt = try reader.moment()
        let flaps = try reader.int64()
        guard AlertEntry.counts.contains(episode), AlertEntry.counts.contains(flaps),
            let worst = Severity(rawValue: Int(try reader.byte()))
        else { throw StateDamaged() }
        self.flaps = Int(flaps)
        self.worst = worst
    }
}
