internal import Logging
import Synchronization

/// Why a record is not in the log.
public enum DropReason: Int, Sendable, Hashable, CaseIterable {
    /// Left out by ``Logger/sampled(_:_:first:thenEvery:error:metadata:file:function:line:)`` before it was built.
    case sampledAtCallSite
    /// Left out by a rule for its level.
    case sampled
    /// More bytes a second than the budget allows.
    case overBudget
    /// Lines came faster than they can be written.
    case bufferFull
    /// The disk takes nothing, and memory for waiting lines is used up.
    case unwritable
    /// Logged after ``LogFile/close(within:)``.
    case closed

    /// The word in the ledger lines of the log.
    public var word: String {
        switch self {
        case .sampledAtCallSite: "sampled_at_call_site"
        case .sampled: "sampled"
        case .overBudget: "over_budget"
        case .bufferFull: "buffer_full"
        case .unwritable: "unwritable"
        case .closed: "closed"
        }
    }
}

/// What became of every record since the log was made: `produced = kept + pending + dropped`, exactly, when no other
/// thread logs in the same moment.
///
/// Produced counts calls whose level passed the logger's; copies of errors in the log and the log's own lines don't count.
public struct LogLedger: Sendable, Hashable {
    /// Records whose line has been handed to the kernel.
    public var kept: UInt64
    /// Records whose line waits in memory.
    public var pending: UInt64
    public var dropped: [DropReason: UInt64]
    /// Of `dropped`, those of level error and above. 0 as long as the log could be written.
    public var droppedErrors: UInt64
    /// Records kept, but cut at the longest line.
    public var cut: UInt64

    public var droppedTotal: UInt64 { dropped.values.reduce(0, +) }
    public var produced: UInt64 { kept + pending + droppedTotal }
}

/// Counters of one log, added to without a lock.
final class Counters: Sendable {
    private let cells: UnsafeCells
    let kept = Atomic<UInt64>(0)
    let cut = Atomic<UInt64>(0)
    /// Lines that were accepted and given up at the end.
    let abandoned = Atomic<UInt64>(0)

    init() { cells = UnsafeCells(count: DropReason.allCases.count * Counters.levels) }

    static let levels = 8

    @inline(__always) func drop(_ reason: DropReason, _ level: Int, _ count: UInt64 = 1) {
        cells.base[reason.rawValue * Counters.levels + level].wrappingAdd(count, ordering: .relaxed)
    }

    func dropped(_ reason: DropReason) -> UInt64 {
        (0..<Counters.levels).reduce(0) { $0 + dropped(reason, $1) }
    }

    func dropped(_ reason: DropReason, _ level: Int) -> UInt64 {
        cells.base[reason.rawValue * Counters.levels + level].load(ordering: .relaxed)
    }

    var droppedErrors: UInt64 {
        DropReason.allCases.reduce(0) { $0 + dropped($1, 5) + dropped($1, 6) }
    }

    /// In the child after fork everything begins anew.
    func reset() {
        for index in 0..<cells.count { cells.base[index].store(0, ordering: .relaxed) }
        kept.store(0, ordering: .relaxed)
        cut.store(0, ordering: .relaxed)
        abandoned.store(0, ordering: .relaxed)
    }
}

/// A row of atomic counters.
final class UnsafeCells: @unchecked Sendable {
    let base: UnsafeMutablePointer<Atomic<UInt64>>
    let count: Int

    init(count: Int) {
        self.count = count
        base = .allocate(capacity: count)
        for index in 0..<count { (base + index).initialize(to: Atomic(0)) }
    }

    deinit {
        base.deinitialize(count: count)
        base.deallocate()
    }
}

extension Logger.Level {
    /// 0 trace … 6 critical.
    @inline(__always) var rank: Int {
        switch self {
        case .trace: 0
        case .debug: 1
        case .info: 2
        case .notice: 3
        case .warning: 4
        case .error: 5
        case .critical: 6
        }
    }
}
