// What others may ask of the sampler between rounds: what is known of a slot, and who deserves a closer look.

import Glibc
public import NightjarModel

/// `smaps_rollup` of one process.
public struct MemoryRollup: Hashable, Sendable {
    /// All that is resident.
    public var rss: Bytes
    /// Shared pages counted by their share.
    public var proportional: Bytes
    /// What is no part of a file.
    public var anonymous: Bytes
    /// Private pages, clean and dirty.
    public var unshared: Bytes
    /// What is swapped out.
    public var swap: Bytes

    init?(_ bytes: borrowing ByteSpan) {
        guard let rss = value(of: "Rss", in: bytes), let proportional = value(of: "Pss", in: bytes) else { return nil }
        self.rss = .kibi(Int64(clamping: rss))
        self.proportional = .kibi(Int64(clamping: proportional))
        anonymous = .kibi(Int64(clamping: value(of: "Anonymous", in: bytes) ?? 0))
        let clean = value(of: "Private_Clean", in: bytes) ?? 0
        unshared = .kibi(Int64(clamping: clean &+ (value(of: "Private_Dirty", in: bytes) ?? 0)))
        swap = .kibi(Int64(clamping: value(of: "Swap", in: bytes) ?? 0))
    }
}

extension ProcessSampler {
    /// Where a process lives that is known now; nil where none has that pid.
    public func slot(of pid: Int32) -> Int? { table.slot(of: pid) }

    /// The life that a slot belongs to; nil where it is free.
    public func key(_ slot: Int) -> ProcessKey? { table.isTaken(slot) ? table.rows[slot].key : nil }

    /// All that is known of a slot, of whatever age; nil where it is free or was not read yet.
    public func latest(_ slot: Int) -> ProcessSample? {
        guard table.isTaken(slot), table.rows[slot].flags.contains(.known) else { return nil }
        return sample(table.rows + slot, .all)
    }

    /// Reads it every round from now on, until it ends or `unwatch`. What is not known is ignored.
    public func watch(_ slot: Int) {
        guard isAlive(slot) else { return }
        table.rows[slot].flags.insert(.watched)
        table.setDue(slot, min(table.due[slot], now &+ 1))
    }

    /// Back to being read when it moves, or every ten seconds.
    public func unwatch(_ slot: Int) {
        guard isAlive(slot) else { return }
        table.rows[slot].flags.remove(.watched)
    }

    /// Reads all of it every round, with swap, I/O, descriptors and run delay, until the given moment.
    public func suspect(_ slot: Int, until: Moment) {
        guard isAlive(slot) else { return }
        table.rows[slot].suspectUntil = until.nanoseconds
        table.setDue(slot, min(table.due[slot], now &+ 1))
    }

    /// Its memory by kind, from `smaps_rollup`.
    ///
    /// This stops the process that it measures: 0.5 ms at 64 MiB, 141 ms at 2 GiB. So unasked it answers nil above
    /// `limits.rollupUnasked`; asked (by a person) it reads whatever the size. Nil also where the process has ended.
    /// - Throws: where the kernel refuses (without CAP_SYS_PTRACE, other users' processes).
    public func rollup(_ slot: Int, asked: Bool) throws(ProcError) -> MemoryRollup? {
        guard isAlive(slot), let rss = currentResident(slot) else { return nil }
        guard asked || rss <= limits.rollupUnasked else { return nil }
        let pid = table.rows[slot].pid
        rollupsRead += 1
        let count = directory.readWhole(path.of(pid, "/smaps_rollup"))
        // The kernel answers ESRCH to a process without memory: it has ended, or is one of its own threads.
        if isGone(count) || count == 0 { return nil }
        let file = "\(directory.path)/\(pid)/smaps_rollup"
        guard count > 0 else {
            if refused(count) {
                limit(.rollup, pid, "/smaps_rollup", count, "the shares of other users' shared memory")
            }
            throw ProcError(.unreadable, path: file, detail: reason(Int32(-count)))
        }
        guard let rollup = MemoryRollup(directory.bytes(count).span) else {
            throw ProcError(.malformed, path: file, detail: "no Rss and Pss")
        }
        return rollup
    }

    /// Its size now, not at its last reading: it may have grown since.
    private func currentResident(_ slot: Int) -> Bytes? {
        let count = directory.read(path.of(table.rows[slot].pid, "/statm"))
        guard count > 0, let memory = ProcStatm(directory.bytes(count).span) else { return nil }
        return Bytes(Int64(clamping: memory.residentPages) &* pageSize)
    }

    private func isAlive(_ slot: Int) -> Bool {
        table.isTaken(slot) && !table.rows[slot].flags.contains(.ended)
    }
}
