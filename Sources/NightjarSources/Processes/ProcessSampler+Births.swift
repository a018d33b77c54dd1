// Who is new? Pids are handed out in sequence, so the last one in /proc/loadavg says whether anybody was born, and
// between which numbers to look. A number may belong to a thread: it opens, but is no process.

import CNightjarLinux
internal import NightjarModel

struct Births {
    /// Numbers that may be new processes, to be looked at within the rounds' budgets.
    var pending: [Int32] = []
    var lastPID: Int32 = -1
    var sweptAt: Int64 = .min
    /// Numbers were lost because too many were pending: list the folder again.
    var lost = false
}

extension ProcessSampler {
    /// A number is given out a little before its process can be seen: the last few are looked at twice.
    private static let overlap: Int32 = 8

    func findBirths(_ budget: inout RoundBudget) {
        let isFirst = births.sweptAt == .min
        // Before the sweep: who is born while the folder is read has a higher number and is found in the next round.
        let last = readLastPID()
        if isFirst || births.lost || now &- births.sweptAt >= spans.resweep || last < 0 {
            sweep()
        } else if last != births.lastPID {
            enqueue(after: births.lastPID, through: last)
        }
        births.lastPID = last
        budget.open(.births)
        while let pid = births.pending.last, budget.take() {
            births.pending.removeLast()
            adopt(pid, atOnce: isFirst)
        }
    }

    /// The last field of `0.13 0.19 0.12 1/94 12866`; -1 where it cannot be read.
    private func readLastPID() -> Int32 {
        let count = directory.read("loadavg")
        guard count > 0 else { return -1 }
        let buffer = directory.bytes(count)
        let bytes = buffer.span
        var position = 0
        guard skip(4, blanksOf: bytes, &position), let pid = number(bytes, &position) else { return -1 }
        return Int32(clamping: pid)
    }

    /// A look at a number costs 1.5 µs where nobody has it, the folder 2.2 µs a process: the cheaper way is taken.
    private func enqueue(after previous: Int32, through last: Int32) {
        let gap = Int(last) - Int(previous)
        guard gap > 0, gap * 2 <= table.count * 3 + 64 else { return sweep() }
        let first = max(1, previous - Self.overlap + 1)
        for pid in stride(from: last, through: first, by: -1) {
            guard let slot = table.slot(of: pid) else {
                append(pid)
                continue
            }
            // Numbers have come round to one that we know: it may have a new owner.
            if pid > previous { table.setDue(slot, now) }
        }
    }

    private func sweep() {
        births.sweptAt = now
        births.lost = false
        births.pending.removeAll(keepingCapacity: true)
        var capacity = table.count + table.count / 4 + 256
        while true {
            let list = UnsafeMutableBufferPointer<Int32>.allocate(capacity: capacity)
            defer { list.deallocate() }
            let found = directory.numbers(into: list)
            guard found >= 0 else { return swallow(.unreadable) }
            if found > capacity {
                capacity = found + 256
                continue
            }
            for pid in list.prefix(found).reversed() where table.slot(of: pid) == nil { append(pid) }
            return
        }
    }

    private func append(_ pid: Int32) {
        guard births.pending.count < limits.processes + 1024 else {
            births.lost = true
            return
        }
        births.pending.append(pid)
    }

    /// Gives a new process its slot. It is read in the next round, unless everybody is new to us.
    private func adopt(_ pid: Int32, atOnce: Bool) {
        guard table.slot(of: pid) == nil else { return }
        let count = directory.read(path.of(pid, "/stat"))
        guard count > 0 else {
            if count < 0, !isGone(count) { swallow(.unreadable) }
            if count == 0 { swallow(.malformed) }
            return
        }
        guard count < directory.capacity, let stat = ProcStat(directory.bytes(count).span) else {
            return swallow(.malformed)
        }
        guard !stat.isThread, !stat.isZombie else { return }
        guard table.count < limits.processes else {
            swallow(.overLimit)
            return countRefused()
        }
        let slot = table.insert(pid: pid)
        let row = table.rows + slot
        row.pointee.startTime = stat.startTime
        row.pointee.name = stat.name
        row.pointee.ticks = stat.ticks
        row.pointee.nice = stat.nice
        row.pointee.threads = stat.threads
        row.pointee.flags = stat.isKernelThread ? [.kernelThread] : [.identityIsYoung]
        row.pointee.movedAt = atOnce ? .min : now
        table.setDue(slot, atOnce ? now : now &+ 1)
        countBirth()
    }
}
