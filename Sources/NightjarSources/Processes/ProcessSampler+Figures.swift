// How one process is read: what is asked, in which order, and what follows from the answers.

import Glibc
internal import NightjarModel

/// Which figures a reading holds; the others are nil in its sample.
struct Figures: OptionSet {
    var rawValue: UInt8
    static let cpu = Figures(rawValue: 1 << 0)
    static let runDelay = Figures(rawValue: 1 << 1)
    static let descriptors = Figures(rawValue: 1 << 2)
    static let inputOutput = Figures(rawValue: 1 << 3)
    static let swap = Figures(rawValue: 1 << 4)
    static let all: Figures = [.cpu, .runDelay, .descriptors, .inputOutput, .swap]
}

enum Reading {
    case gone
    /// Its pid belongs to another process now.
    case replaced
    /// Could not be read this time: counted, tried again.
    case unreadable
    case read(Figures)
}

extension ProcessRow {
    var key: ProcessKey { ProcessKey(pid: pid, startTime: startTime) }
}

extension ProcessSampler {
    func readFigures(_ slot: Int) -> Reading {
        let row = table.rows + slot
        let hot = isHot(slot)
        var figures: Figures = []
        // Before the rest, so that whatever happens meanwhile shows as a difference the next time.
        if !hot, row.pointee.threads == 1, support.schedstat {
            switch readSchedstat(row) {
            case .gone: return .gone
            case .same where isKnownSince(spans.full, row):
                return .read(unmoved(row))
            case .same, .moved: figures.insert(.runDelay)
            case .unreadable: break
            }
        }
        switch readMemoryAndTime(slot) {
        case .read(let more): figures.formUnion(more)
        case let other: return other
        }
        keepOrLetGo(slot)
        readSlowFigures(slot, hot: isHot(slot), &figures)
        return .read(figures)
    }

    /// The span is up to 7/16 shorter by pid, so that those who were first seen together are not read together for ever.
    private func isKnownSince(_ span: Int64, _ row: UnsafeMutablePointer<ProcessRow>) -> Bool {
        let span = span / 16 * Int64(16 - row.pointee.pid & 7)
        return row.pointee.flags.contains(.known) && now &- row.pointee.fullAt < span
    }

    /// It has not run, so nothing of its own has changed.
    private func unmoved(_ row: UnsafeMutablePointer<ProcessRow>) -> Figures {
        row.pointee.flags.insert(.compared)
        return row.pointee.descriptors >= 0 ? [.cpu, .runDelay, .descriptors] : [.cpu, .runDelay]
    }

    private enum Movement { case same, moved, gone, unreadable }

    private func readSchedstat(_ row: UnsafeMutablePointer<ProcessRow>) -> Movement {
        let count =
            row.pointee.flags.contains(.keepsSchedstat)
            ? directory.reread(row.pointee.first) : directory.read(path.of(row.pointee.pid, "/schedstat"))
        guard count > 0 else { return isGone(count) ? .gone : .unreadable }
        guard let answer = ProcSchedstat(directory.bytes(count).span) else {
            swallow(.malformed)
            return .unreadable
        }
        let runTime = Int64(clamping: answer.runTime)
        let same = row.pointee.runTime == runTime
        row.pointee.runTime = runTime
        row.pointee.runDelay = Int64(clamping: answer.runDelay)
        return same ? .same : .moved
    }

    /// `statm` first, then `stat`: when the start time is still the right one, so was the memory read before it.
    private func readMemoryAndTime(_ slot: Int) -> Reading {
        let row = table.rows + slot
        let pid = row.pointee.pid
        let kept = row.pointee.second >= 0
        let size = kept ? directory.reread(row.pointee.second) : directory.read(path.of(pid, "/statm"))
        guard size > 0 else { return failed(size, kept: kept, row) }
        guard let memory = ProcStatm(directory.bytes(size).span) else { return malformed() }
        let length = kept ? directory.reread(row.pointee.first) : directory.read(path.of(pid, "/stat"))
        guard length > 0 else { return failed(length, kept: kept, row) }
        guard length < directory.capacity, let stat = ProcStat(directory.bytes(length).span) else { return malformed() }
        guard stat.startTime == row.pointee.startTime else { return .replaced }
        guard !stat.isZombie else { return .gone }
        note(memory, stat, slot)
        return .read(.cpu)
    }

    private func note(_ memory: ProcStatm, _ stat: ProcStat, _ slot: Int) {
        let row = table.rows + slot
        let resident = UInt32(clamping: memory.residentPages)
        let anonymous = UInt32(clamping: memory.anonymousPages)
        let moved =
            row.pointee.ticks != stat.ticks || distance(row.pointee.residentPages, resident) >= spans.movedPages
            || distance(row.pointee.anonymousPages, anonymous) >= spans.movedPages
        if row.pointee.flags.contains(.known) {
            if moved { row.pointee.movedAt = now }
            row.pointee.flags.insert(.compared)
        }
        row.pointee.flags.insert(.known)
        if row.pointee.name != stat.name {
            row.pointee.name = stat.name
            identifyAgain(slot)
        }
        row.pointee.ticks = stat.ticks
        row.pointee.nice = stat.nice
        row.pointee.threads = stat.threads
        row.pointee.residentPages = resident
        row.pointee.anonymousPages = anonymous
        row.pointee.fullAt = now
    }

    /// A kept file that is empty may be one of a folder that only looks like /proc: its path decides.
    private func failed(_ code: Int, kept: Bool, _ row: UnsafeMutablePointer<ProcessRow>) -> Reading {
        if isGone(code) { return .gone }
        if code == 0 {
            let length = directory.read(path.of(row.pointee.pid, "/stat"))
            if isGone(length) { return .gone }
            if length > 0, let stat = ProcStat(directory.bytes(length).span), stat.startTime != row.pointee.startTime {
                return .replaced
            }
            return malformed()
        }
        swallow(.unreadable)
        return .unreadable
    }

    private func malformed() -> Reading {
        swallow(.malformed)
        return .unreadable
    }

    func isGone(_ code: Int) -> Bool { code == -Int(ENOENT) || code == -Int(ESRCH) }

    // MARK: figures that are read less often

    private func readSlowFigures(_ slot: Int, hot: Bool, _ figures: inout Figures) {
        let row = table.rows + slot
        let suspected = row.pointee.suspectUntil > now
        let interval = hot ? spans.slow : spans.full
        guard suspected || row.pointee.slowAt == .min || now &- row.pointee.slowAt >= interval else { return }
        row.pointee.slowAt = now
        if row.pointee.flags.contains(.kernelThread) { return }
        if readDescriptors(row) { figures.insert(.descriptors) }
        if hot, readInputOutput(row) { figures.insert(.inputOutput) }
        if suspected || hostSwaps, readSwap(row) { figures.insert(.swap) }
        if support.schedstat, !figures.contains(.runDelay) {
            if case .gone = readSchedstat(row) { return }
            figures.insert(.runDelay)
        }
        if row.pointee.flags.contains(.identityIsYoung), row.pointee.flags.contains(.compared) {
            row.pointee.flags.remove(.identityIsYoung)
            identifyAgain(slot)
        }
    }

    private func readDescriptors(_ row: UnsafeMutablePointer<ProcessRow>) -> Bool {
        if row.pointee.flags.contains(.descriptorsRefused) { return false }
        let file = path.of(row.pointee.pid, "/fd")
        let count =
            support.descriptorsBySize
            ? Int(directory.size(file)) : directory.entries(file, most: limits.descriptorsListed)
        guard count >= 0 else {
            if refused(count) {
                row.pointee.flags.insert(.descriptorsRefused)
                limit(.descriptors, row.pointee.pid, "/fd", count, "the descriptor counts of other users' processes")
            }
            return false
        }
        guard support.descriptorsBySize || count < limits.descriptorsListed else {
            swallow(.tooLarge)
            return false
        }
        row.pointee.descriptors = Int32(clamping: count)
        return true
    }

    private func readInputOutput(_ row: UnsafeMutablePointer<ProcessRow>) -> Bool {
        if row.pointee.flags.contains(.inputOutputRefused) { return false }
        let count = directory.read(path.of(row.pointee.pid, "/io"))
        guard count > 0 else {
            if refused(count) {
                row.pointee.flags.insert(.inputOutputRefused)
                limit(.io, row.pointee.pid, "/io", count, "the I/O figures of other users' processes")
            }
            return false
        }
        guard let io = ProcIO(directory.bytes(count).span) else {
            swallow(.malformed)
            return false
        }
        row.pointee.bytesRead = Int64(clamping: io.bytesRead)
        row.pointee.bytesWritten = Int64(clamping: io.bytesWritten)
        return true
    }

    private func readSwap(_ row: UnsafeMutablePointer<ProcessRow>) -> Bool {
        let count = directory.readWhole(path.of(row.pointee.pid, "/status"))
        guard count > 0, let kibi = value(of: "VmSwap", in: directory.bytes(count).span) else { return false }
        row.pointee.swapKibi = Int64(clamping: kibi)
        return true
    }

    func refused(_ code: Int) -> Bool { code == -Int(EACCES) || code == -Int(EPERM) }

    /// Says once that a kind of figure cannot be had.
    func limit(_ kind: ProcLimitation.Kind, _ pid: Int32, _ file: String, _ code: Int, _ what: String) {
        swallow(.unreadable)
        guard !limitations.contains(where: { $0.kind == kind }) else { return }
        let error = ProcError(.unreadable, path: "\(directory.path)/\(pid)\(file)", detail: reason(Int32(-code)))
        limitations.append(ProcLimitation(kind: kind, message: "\(error), going on without \(what)"))
    }

    // MARK: the sample

    func sample(_ row: UnsafeMutablePointer<ProcessRow>, _ figures: Figures) -> ProcessSample {
        var sample = ProcessSample(
            key: row.pointee.key, time: Moment(nanoseconds: row.pointee.readAt),
            rss: Bytes(Int64(row.pointee.residentPages) * pageSize),
            anonymous: Bytes(Int64(row.pointee.anonymousPages) * pageSize))
        if row.pointee.threads >= 0 { sample.threads = Int(row.pointee.threads) }
        if row.pointee.descriptorLimit >= 0 { sample.descriptorLimit = Int(row.pointee.descriptorLimit) }
        if figures.contains(.cpu) {
            sample.cpuTime = .nanoseconds(Int64(clamping: row.pointee.ticks) &* support.nanosecondsPerTick)
        }
        if figures.contains(.runDelay), row.pointee.runDelay >= 0 {
            sample.runDelay = .nanoseconds(row.pointee.runDelay)
        }
        if figures.contains(.descriptors), row.pointee.descriptors >= 0 {
            sample.descriptors = Int(row.pointee.descriptors)
        }
        if figures.contains(.inputOutput), row.pointee.bytesRead >= 0 {
            sample.bytesRead = Bytes(row.pointee.bytesRead)
            sample.bytesWritten = Bytes(row.pointee.bytesWritten)
        }
        if figures.contains(.swap), row.pointee.swapKibi >= 0 { sample.swap = .kibi(row.pointee.swapKibi) }
        return sample
    }
}

let pageSize = Int64(sysconf(Int32(_SC_PAGESIZE)))

@inline(__always)
private func distance(_ a: UInt32, _ b: UInt32) -> UInt32 { a > b ? a &- b : b &- a }
