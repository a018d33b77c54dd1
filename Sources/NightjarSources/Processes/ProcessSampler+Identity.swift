// Who is it? Read once a life (and again after exec), never in the sample path: name, user, unit, command line.
//
// cgroup, status and limits cannot block and are read when somebody first asks. The command line and the executable
// can: the kernel waits for the target's memory lock, so a thread of their own reads them under a time limit.

import Glibc
public import NightjarModel

/// What is kept of a process's identity: the strings of a place are shared by all who live in it.
struct IdentityRow {
    var name: String
    var commandLine = ""
    var place: Int32
    var uid: UInt32
}

extension ProcessSampler {
    /// Who lives in a slot; nil where nobody does.
    ///
    /// The first call of a life reads three files that cannot block (about 40 µs). The command line is empty at first;
    /// when it has arrived, a round or two later, the slot is in `identified`.
    public func identity(_ slot: Int) -> ProcessIdentity? {
        guard table.isTaken(slot), let known = identityRow(slot) else { return nil }
        let row = table.rows[slot]
        let place = places[known.place]
        let sinceBoot = Int64(clamping: row.startTime) &* support.nanosecondsPerTick
        return ProcessIdentity(
            key: row.key, name: known.name, commandLine: known.commandLine, uid: known.uid, unit: place?.unit.name,
            cgroup: place?.cgroup, startedAt: Moment(nanoseconds: bootMoment() &+ sinceBoot),
            nice: Int(row.nice))
    }

    /// What the process's cgroup says about it; nil where nobody lives in the slot.
    public func place(_ slot: Int) -> UnitPlace? {
        guard table.isTaken(slot), let known = identityRow(slot) else { return nil }
        return places[known.place]?.unit
    }

    /// The pid inside its own pid namespace, where that is another one than ours.
    public func innerPID(_ slot: Int) -> Int32? {
        guard table.isTaken(slot), identityRow(slot) != nil, table.rows[slot].innerPID > 0 else { return nil }
        return table.rows[slot].innerPID
    }

    /// Worker threads of the kernel have no memory of their own.
    public func isKernelThread(_ slot: Int) -> Bool {
        table.isTaken(slot) && table.rows[slot].flags.contains(.kernelThread)
    }

    func identityRow(_ slot: Int) -> IdentityRow? {
        if slot < identities.count, let known = identities[slot] { return known }
        guard !table.rows[slot].flags.contains(.ended) else { return nil }
        while identities.count <= slot { identities.append(nil) }
        let known = readIdentity(slot)
        identities[slot] = known
        return known
    }

    func forgetIdentity(_ slot: Int) {
        guard slot < identities.count, let known = identities[slot] else { return }
        places.release(known.place)
        identities[slot] = nil
    }

    /// It has another name than before, or is so young that it may have called exec since it was asked.
    func identifyAgain(_ slot: Int) {
        guard slot < identities.count, identities[slot] != nil else { return }
        forgetIdentity(slot)
        identities[slot] = readIdentity(slot)
        if identified.last != slot { identified.append(slot) }
    }

    private func readIdentity(_ slot: Int) -> IdentityRow {
        let row = table.rows + slot
        let pid = row.pointee.pid
        let place = readPlace(pid)
        let uid = readStatus(row)
        readLimits(row)
        if !row.pointee.flags.contains(.kernelThread) {
            let isContained = places[place]?.unit.container != nil
            if !commandLines.request(slot: slot, key: row.pointee.key, isContained: isContained) { swallow(.tooSlow) }
        }
        return IdentityRow(name: row.pointee.name.text, place: place, uid: uid)
    }

    private func readPlace(_ pid: Int32) -> Int32 {
        let count = directory.readWhole(path.of(pid, "/cgroup"))
        guard count > 0 else { return Places.nowhere }
        if count == directory.capacity { swallow(.tooLarge) }
        return places.enter(Array(directory.bytes(count)))
    }

    private func readStatus(_ row: UnsafeMutablePointer<ProcessRow>) -> UInt32 {
        let count = directory.readWhole(path.of(row.pointee.pid, "/status"))
        guard count > 0 else { return 0 }
        let buffer = directory.bytes(count)
        row.pointee.innerPID = lastNumber(of: "NSpid:", in: buffer.span, unless: row.pointee.pid)
        return UInt32(clamping: value(of: "Uid", in: buffer.span) ?? 0)
    }

    /// `NSpid:  4242  17  1`: the last is the innermost; one alone means our own namespace.
    private func lastNumber(of key: StaticString, in bytes: borrowing ByteSpan, unless own: Int32) -> Int32 {
        var last: Int32 = -1
        var position = 0
        while position < bytes.count, !has(key, at: position, of: bytes) {
            while position < bytes.count, bytes[position] != newline { position += 1 }
            position += 1
        }
        position += key.utf8CodeUnitCount
        while position < bytes.count, bytes[position] != newline {
            if let found = number(bytes, &position) { last = Int32(clamping: found) } else { position += 1 }
        }
        return last == own ? -1 : last
    }

    /// `Max open files            1024                 524288               files`
    private func readLimits(_ row: UnsafeMutablePointer<ProcessRow>) {
        let count = directory.readWhole(path.of(row.pointee.pid, "/limits"))
        guard count > 0, let soft = value(of: "Max open files", in: directory.bytes(count).span) else { return }
        row.pointee.descriptorLimit = Int32(clamping: soft)
    }

    /// What the reader of command lines has found since.
    func takeCommandLines() {
        let (found, late) = commandLines.take()
        for _ in 0..<late { swallow(.tooSlow) }
        for line in found where table.isTaken(line.slot) && table.rows[line.slot].key == line.key {
            guard line.slot < identities.count, identities[line.slot] != nil else { continue }
            identities[line.slot]?.commandLine = line.text
            identities[line.slot]?.name = line.fullName(of: table.rows[line.slot].name)
            if let host = line.hostName, let place = identities[line.slot]?.place { places.rename(place, host) }
            identified.append(line.slot)
        }
    }

    private func bootMoment() -> Int64 {
        if let bootTime { return bootTime }
        let read = readBootMoment()
        bootTime = read
        return read
    }

    private func readBootMoment() -> Int64 {
        let count = directory.read("uptime")
        guard count > 0 else { return now }
        let buffer = directory.bytes(count)
        var position = 0
        guard let seconds = number(buffer.span, &position) else { return now }
        var hundredths: UInt64 = 0
        position += 1
        if position < count { hundredths = number(buffer.span, &position) ?? 0 }
        let uptime = Int64(clamping: seconds).multipliedReportingOverflow(by: 1_000_000_000)
        return uptime.overflow ? now : now &- uptime.partialValue &- Int64(clamping: min(hundredths, 99)) * 10_000_000
    }
}
