// The question: how can a service log as much as it likes and never fill a disk, never lose an error, and never wait?
//
// Lines go into memory; one thread of our own writes them in large pieces, rotates by size and time, and keeps the sum of
// all files under a budget and the disk above a floor. Rotated files are compressed at the lowest priority. What is too
// much is left out by rules that keep the sums right, and the log itself says what is missing. Errors go a way of their
// own: a separate file with blocks allocated ahead, so that they still find room when the disk is full.

internal import CNightjarLogFile
public import Logging
import Synchronization

/// A log file for swift-log that cannot fill a disk.
///
///     let logs = LogFile("/var/log/checkout/checkout.log")
///     LoggingSystem.bootstrap { logs.handler(label: $0) }
///
/// Making one does no I/O and starts no thread; the first line does. No error of the disk ever reaches the caller: it is
/// counted in ``ledger``, shown in ``health`` and told once through ``LogFileConfiguration/notices``. One `LogFile` serves
/// any number of loggers and threads; several processes may write the same path.
///
/// Cost: about 11 ns for a level that is off, 21 ns for ``Logging/Logger/sampled(_:_:first:thenEvery:error:metadata:file:function:line:)``
/// when left out, 0.35 µs for a line of 150 bytes, all threads included. While idle, one sleeping thread and 80 KiB.
public final class LogFile: Sendable {
    let core: LogCore

    /// - Parameters:
    ///   - path: The log. Its directory is made where it is missing.
    ///   - configure: Changes settings from their defaults.
    public init(_ path: String, _ configure: (inout LogFileConfiguration) -> Void = { _ in }) {
        var configuration = LogFileConfiguration()
        configure(&configuration)
        core = LogCore(path: path, configuration)
    }

    deinit { core.close(within: .seconds(2)) }

    /// The settings in effect, contradictions put in order.
    public var configuration: LogFileConfiguration { core.settings }
    public var path: String { core.stream.path }

    /// A handler for a logger. Handlers are values: level and metadata of one do not touch another.
    public func handler(
        label: String, metadataProvider: Logger.MetadataProvider? = LoggingSystem.metadataProvider
    ) -> LogFileHandler {
        LogFileHandler(file: self, label: label, metadataProvider: metadataProvider)
    }

    /// Lowers the level of all loggers of this log for a while, and says so in the log.
    ///
    /// Budgets and rules stay in force. A second call replaces the first.
    public func overrideLevel(_ level: Logger.Level, for duration: Duration) {
        core.override.begin(level, for: duration)
        core.wakeNow()
    }

    /// Ends a temporary level before its time.
    public func endOverride() {
        core.override.end()
        core.wakeNow()
    }

    /// Hands all lines logged so far to the kernel. False where that was not possible in time; the lines keep waiting.
    @discardableResult public func flush(within duration: Duration = .seconds(2)) -> Bool {
        core.flush(within: duration)
    }

    /// Writes what waits, the last ledger, and ends the thread. Later records count as dropped. Safe to call again.
    public func close(within duration: Duration = .seconds(2)) { core.close(within: duration) }

    /// What became of every record so far.
    public var ledger: LogLedger { core.ledger }

    /// The state of the files, as the writer last saw it.
    public var health: LogHealth { core.health.withLock { $0 } }
}

/// The state of a log's files.
public struct LogHealth: Sendable, Hashable {
    /// What the log's files take of the disk.
    public var bytesOnDisk = 0
    public var errorBytesOnDisk = 0
    public var rotatedFiles = 0
    public var rotations = 0
    /// Files that retention, budget or a full disk deleted.
    public var deletedFiles = 0
    public var packedFiles = 0
    /// True while blocks for errors are allocated ahead.
    public var errorReserveIsHeld = false
    /// What the system says, while the log cannot be written; nil while all is well.
    public var trouble: String?

    public init() {}
}

extension LogCore {
    /// Dropped first, pending last, so that a line on its way is never counted as dropped and pending.
    var ledger: LogLedger {
        noticeFork()
        var dropped: [DropReason: UInt64] = [:]
        for reason in DropReason.allCases {
            var count = counters.dropped(reason)
            if reason == .sampledAtCallSite { count += CallSites.rest(of: identity) }
            if count > 0 { dropped[reason] = count }
        }
        let kept = counters.kept.load(ordering: .relaxed)
        let lost = counters.abandoned.load(ordering: .relaxed)
        let appended = lane.appendedCount + (errorLane?.appendedCount ?? 0)
        return LogLedger(
            kept: kept, pending: appended >= kept + lost ? appended - kept - lost : 0, dropped: dropped,
            droppedErrors: counters.droppedErrors, cut: counters.cut.load(ordering: .relaxed))
    }

    func updateHealth() {
        let trouble = (writer.blockage ?? writer.errorBlockage).map { blockage in
            switch blockage.reason {
            case .floor: "below the free-space floor"
            case .budget: "no room in the budget"
            case .failure: errorText(blockage.code)
            }
        }
        var now = LogHealth()
        now.bytesOnDisk = stream.bytesOnDisk
        now.errorBytesOnDisk = errorStream?.bytesOnDisk ?? 0
        now.rotatedFiles = stream.rotated.files.count
        now.rotations = stream.rotations
        now.deletedFiles = stream.deletedFiles + (errorStream?.deletedFiles ?? 0)
        now.packedFiles = packer.packedFiles
        now.errorReserveIsHeld = errorStream?.reserveIsHeld ?? false
        now.trouble = trouble
        health.withLock { $0 = now }
    }

    func flush(within duration: Duration) -> Bool {
        noticeFork()
        guard isStarted.load(ordering: .acquiring), !isClosed.load(ordering: .acquiring) else {
            return lane.isEmpty && errorLane?.isEmpty ?? true
        }
        let until = Clock.monotonic() + duration.nanoseconds
        var seen = nj_log_bell_count(doneBell)
        while !(lane.isEmpty && errorLane?.isEmpty ?? true) {
            guard Clock.monotonic() < until, !isClosed.load(ordering: .acquiring) else { return false }
            wantsFlush.store(true, ordering: .relaxed)
            wakeNow()
            seen = nj_log_bell_wait(doneBell, seen, min(until, Clock.monotonic() + 50_000_000))
        }
        return true
    }

    func close(within duration: Duration) {
        noticeFork()
        guard isStarted.load(ordering: .acquiring) else { return isClosing.store(true, ordering: .releasing) }
        let until = Clock.monotonic() + duration.nanoseconds
        isClosing.store(true, ordering: .releasing)
        var seen = nj_log_bell_count(doneBell)
        nj_log_bell_ring(bell)
        while !isClosed.load(ordering: .acquiring), Clock.monotonic() < until {
            seen = nj_log_bell_wait(doneBell, seen, min(until, Clock.monotonic() + 50_000_000))
        }
    }
}
