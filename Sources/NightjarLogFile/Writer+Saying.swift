import Glibc
internal import Logging
import Synchronization

// Saying what happens, outside the log and in it.
extension LogCore {
    func blocked(_ blockage: Blockage) {
        isBlocked.store(true, ordering: .relaxed)
        if writer.blockage == nil { writer.droppedAtBlockage = counters.dropped(.unwritable) }
        let isNew = writer.blockage != blockage
        writer.blockage = blockage
        tellLostErrors()
        if isNew { tellBlockage(blockage, stream.path) }
    }

    /// What is lost then the kernel had already taken, so it cannot be written again: it can only be said.
    func syncErrors(_ stream: LogStream) {
        let code = stream.syncToDisk()
        guard code != 0 else { return }
        let text = "error lines did not reach the disk: \(errorText(code))"
        teller.tell(LogNotice(kind: .unwritable, path: stream.path, text: text))
    }

    func errorsBlocked(_ blockage: Blockage) {
        errorsAreBlocked.store(true, ordering: .relaxed)
        let isNew = writer.errorBlockage != blockage && writer.blockage == nil
        writer.errorBlockage = blockage
        tellLostErrors()
        if isNew { tellBlockage(blockage, errorStream?.path ?? stream.path) }
    }

    func tellBlockage(_ blockage: Blockage, _ path: String) {
        switch blockage.reason {
        case .floor:
            tell(
                .belowFloor,
                "less free space than the floor leaves to others: only errors are written until there is more")
        case .budget:
            tell(.unwritable, "the budget of \(settings.retention.totalBytes) bytes leaves no room for a line")
        case .failure:
            let isFull = blockage.code == ENOSPC || blockage.code == EDQUOT
            let text = "cannot write: \(errorText(blockage.code)), lines wait in memory, then they are counted"
            teller.tell(LogNotice(kind: isFull ? .diskFull : .unwritable, path: path, text: text))
        }
    }

    func recovered() {
        writer.blockage = nil
        isBlocked.store(false, ordering: .relaxed)
        let lost = counters.dropped(.unwritable) - writer.droppedAtBlockage
        tell(.recovered, "can be written again, \(lost) records were dropped meanwhile")
        writer.nextLedger = Clock.monotonic()
    }

    func tellLostErrors() {
        let lost = counters.droppedErrors
        guard lost > writer.errorsDroppedTold else { return }
        writer.errorsDroppedTold = lost
        tell(.errorsLost, "\(lost) error records could not be kept")
    }

    func tellMissingEngine() {
        let library =
            switch settings.compression {
            case .gzip: "libz.so.1"
            case .zstd: "libzstd.so.1"
            case .automatic, .none: "neither libzstd.so.1 nor libz.so.1"
            }
        tell(.compressionMissing, "\(library) is not installed, rotated files stay plain")
    }

    func tell(_ kind: LogNotice.Kind, _ text: String) {
        teller.tell(LogNotice(kind: kind, path: stream.path, text: text))
    }

    /// A change may come before the file is open; its line then waits for the first one.
    func sayOverrides() {
        let fresh = override.takeChanges()
        for change in fresh { tell(.levelOverride, change) }
        writer.unsaidChanges = Array((writer.unsaidChanges + fresh).suffix(LevelOverride.remembered))
        while let change = writer.unsaidChanges.first,
            stream.writeOwnLine(ownLine(level: "notice", message: change, extra: ""))
        {
            writer.unsaidChanges.removeFirst()
        }
    }

    func ledgerIfDue(_ now: UInt64) {
        guard ledgerSum != writer.ledgerSum else {
            writer.nextLedger = 0
            return
        }
        // Soon after the first record that is left out, then once an interval.
        let interval = settings.ledgerInterval.nanoseconds
        if writer.nextLedger == 0 {
            writer.nextLedger = max(now + min(interval, 1_000_000_000), writer.lastLedger + interval)
        }
        if now >= writer.nextLedger { writeLedger(isLast: false) }
    }

    /// Changes whenever something was left out or dropped.
    var ledgerSum: UInt64 {
        DropReason.allCases.reduce(0) { $0 + counters.dropped($1) } + CallSites.rest(of: identity)
            + counters.cut.load(ordering: .relaxed)
    }

    func writeLedger(isLast: Bool) {
        let sum = ledgerSum
        guard sum > 0 else { return }
        let worst = sampler.worstKeys(10, since: &writer.lastKeys)
        if let first = worst.first, !writer.leftOutTold {
            writer.leftOutTold = true
            tell(.leavingOut, LedgerLine.sentence(first))
        }
        let line = LedgerLine(ledger: ledger, worst: worst, notRepresented: notRepresented, isLast: isLast)
        let bytes = ownLine(level: "notice", message: line.message, extra: line.json)
        writer.lastLedger = Clock.monotonic()
        writer.nextLedger = 0
        if stream.writeOwnLine(bytes) { writer.ledgerSum = sum }
    }

    var notRepresented: UInt64 { sampler.pendingWeight + CallSites.rest(of: identity) }

    func ownLine(level: String, message: String, extra: String) -> [UInt8] {
        let time = TimeStamp.text(Clock.wall())
        switch settings.format {
        case .json:
            return Array(
                "{\"time\":\"\(time)\",\"level\":\"\(level)\",\"label\":\"nightjar.log\",\"message\":\"\(message)\"\(extra)}\n"
                    .utf8)
        case .text: return Array("\(time) \(level) nightjar.log: \(message)\(extra.isEmpty ? "" : " " + extra)\n".utf8)
        }
    }
}
