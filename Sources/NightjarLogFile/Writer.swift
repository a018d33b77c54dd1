internal import CNightjarLogFile
import Glibc
internal import Logging
import Synchronization

/// What only the writer's thread touches.
struct WriterState {
    /// 0 while nothing was left out since the last one.
    var nextLedger: UInt64 = 0
    var lastLedger: UInt64 = 0
    var nextMaintenance: UInt64 = 0
    var retryAt: UInt64 = 0
    var errorRetryAt: UInt64 = 0
    var lastLine: UInt64 = 0
    var pagesAreReleased = true
    var ledgerSum: UInt64 = 0
    var lastKeys: [UInt64: UInt64] = [:]
    var blockage: Blockage?
    var errorBlockage: Blockage?
    var droppedAtBlockage: UInt64 = 0
    var errorsDroppedTold: UInt64 = 0
    var leftOutTold = false
    /// Changes of the level that no line says yet.
    var unsaidChanges: [String] = []
    var rotationsSeen = 0
}

// The writer: sleeps until there is something to write or something is due, and is the only one that touches the files.
extension LogCore {
    static let maintenanceInterval: UInt64 = 30_000_000_000
    static let retryInterval: UInt64 = 250_000_000
    static let idleAfter: UInt64 = 2_000_000_000

    func runWriter() {
        var seen: UInt64 = 0
        while true {
            if isClosing.load(ordering: .acquiring) { return finish() }
            round()
            seen = sleep(seen)
        }
    }

    private func round() {
        isUrgent.store(false, ordering: .relaxed)
        let now = Clock.monotonic()
        if rescanFlag.isSet.exchange(false, ordering: .relaxed) {
            stream.rescan()
            errorStream?.rescan()
            if packer.lacksEngine { tellMissingEngine() }
        }
        // Errors first, and again after every turn of the log's lane: a flood must not keep them waiting. What came while
        // this was written waits until it is worth a write: a writer that keeps up would end at a write a line.
        var goesOn = true
        while goesOn {
            goesOn = drainErrors(now)
            goesOn = drainLog(now) && isWorthAWrite || goesOn
        }
        if now >= writer.nextMaintenance { maintain(now) }
        ledgerIfDue(now)
        sayOverrides()
        updateHealth()
        wantsFlush.store(false, ordering: .relaxed)
        nj_log_bell_ring(doneBell)
    }

    /// One turn. True where more waits and can be written.
    private func drainLog(_ now: UInt64) -> Bool {
        guard now >= writer.retryAt || isClosing.load(ordering: .relaxed) || wantsFlush.load(ordering: .relaxed) else {
            return false
        }
        let outcome = drain(lane, stream)
        noteRotation()
        guard let blockage = outcome.blockage else {
            if outcome.wrote, writer.blockage != nil { recovered() }
            return outcome.wrote
        }
        if blockage.code == ENOSPC || blockage.code == EDQUOT, stream.freeOldest() { return true }
        writer.retryAt = Clock.monotonic() + LogCore.retryInterval
        blocked(blockage)
        return false
    }

    private func drainErrors(_ now: UInt64) -> Bool {
        guard let errorLane, let errorStream else { return false }
        guard now >= writer.errorRetryAt || isClosing.load(ordering: .relaxed) || wantsFlush.load(ordering: .relaxed)
        else { return false }
        let outcome = drain(errorLane, errorStream)
        guard let blockage = outcome.blockage else {
            if outcome.wrote {
                if settings.syncsErrors { syncErrors(errorStream) }
                writer.errorBlockage = nil
                errorsAreBlocked.store(false, ordering: .relaxed)
            }
            return outcome.wrote
        }
        if blockage.code == ENOSPC || blockage.code == EDQUOT, stream.freeOldest() || errorStream.freeOldest() {
            return true
        }
        writer.errorRetryAt = Clock.monotonic() + LogCore.retryInterval
        errorsBlocked(blockage)
        return false
    }

    private func drain(_ lane: Lane, _ stream: LogStream) -> (wrote: Bool, blockage: Blockage?) {
        let bytes = lane.take()
        guard bytes.count > 0 else { return (false, nil) }
        writer.lastLine = Clock.monotonic()
        writer.pagesAreReleased = false
        let (written, blockage, mustRestartLine) = stream.write(bytes)
        lane.setDescriptor(stream.fd)
        counters.kept.wrappingAdd(lane.advance(by: written), ordering: .relaxed)
        if mustRestartLine { lane.rewindToLineStart() }
        return (written > 0 || mustRestartLine, blockage)
    }

    private func noteRotation() {
        guard stream.rotations + (errorStream?.rotations ?? 0) != writer.rotationsSeen else { return }
        writer.rotationsSeen = stream.rotations + (errorStream?.rotations ?? 0)
        packer.kick()
        if ledgerSum > 0 { writeLedger(isLast: false) }
    }

    private func maintain(_ now: UInt64) {
        writer.nextMaintenance = now + LogCore.maintenanceInterval
        stream.maintain()
        errorStream?.maintain()
        noteRotation()
        if stream.hasPlainFiles || errorStream?.hasPlainFiles ?? false {
            packer.forgetFailures()
            packer.kick()
        }
        if now > writer.lastLine + LogCore.idleAfter, !writer.pagesAreReleased {
            lane.releasePages()
            errorLane?.releasePages()
            writer.pagesAreReleased = true
        }
    }

    /// Sleeps until there is something to do. Returns the rings heard.
    private func sleep(_ seen: UInt64) -> UInt64 {
        var seen = seen
        if isAllEmpty {
            seen = sleepWhileEmpty(seen)
            let isPressing = isUrgent.load(ordering: .relaxed) || isClosing.load(ordering: .acquiring)
            if isAllEmpty || isPressing || lane.pendingBytes >= lane.wakeAt { return seen }
        }
        // The first line of a batch is here; the rest is waited for, so that one write takes many.
        let isBlocked = writer.blockage != nil || writer.errorBlockage != nil
        let pause = isBlocked ? LogCore.retryInterval : settings.flushInterval.nanoseconds
        return nj_log_bell_wait(bell, seen, Clock.monotonic() + pause)
    }

    /// Enough waits for a large write, somebody waits for it, or the half that could not be written yet.
    private var isWorthAWrite: Bool {
        lane.isHalfWritten || lane.pendingBytes >= lane.wakeAt || wantsFlush.load(ordering: .relaxed)
            || isUrgent.load(ordering: .relaxed) || isClosing.load(ordering: .acquiring)
    }

    private var isAllEmpty: Bool { lane.isEmpty && errorLane?.isEmpty ?? true }

    private func sleepWhileEmpty(_ seen: UInt64) -> UInt64 {
        writerSleeps.store(true, ordering: .sequentiallyConsistent)
        defer { writerSleeps.store(false, ordering: .sequentiallyConsistent) }
        // A line that came between the look before and the flag.
        guard isAllEmpty else { return seen }
        let due = min(writer.nextMaintenance, writer.nextLedger == 0 ? .max : writer.nextLedger, override.endsAt)
        return nj_log_bell_wait(bell, seen, max(due, Clock.monotonic() + 1_000_000))
    }

    /// The end: what can be written is written, what cannot is counted.
    private func finish() {
        var passes = 0
        while !isAllEmpty, passes < 64 {
            passes += 1
            let before = counters.kept.load(ordering: .relaxed)
            round()
            let isStuck = counters.kept.load(ordering: .relaxed) == before
            if isStuck, writer.blockage != nil || writer.errorBlockage != nil { break }
        }
        sayOverrides()
        stream.dropTornTail()
        errorStream?.dropTornTail()
        abandon()
        writeLedger(isLast: true)
        packer.stop()
        stream.closeFile()
        errorStream?.closeFile()
        lane.setDescriptor(-1)
        errorLane?.setDescriptor(-1)
        nj_log_crash_forget(lane.raw)
        if let errorLane { nj_log_crash_forget(errorLane.raw) }
        isClosed.store(true, ordering: .releasing)
        updateHealth()
        nj_log_bell_ring(doneBell)
    }

    private func abandon() {
        let lost = lane.abandon()
        let lostErrors = errorLane?.abandon() ?? 0
        counters.abandoned.wrappingAdd(lost + lostErrors, ordering: .relaxed)
        if lost > 0 { counters.drop(.unwritable, 7, lost) }
        if lostErrors > 0 { counters.drop(.unwritable, 5, lostErrors) }
        tellLostErrors()
    }
}
