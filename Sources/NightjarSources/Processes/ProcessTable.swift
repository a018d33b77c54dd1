// The engine's memory: one row a process in one block, addressed by slot, and a table from pid to slot.
//
//     due   [ t | t | ∞ | t | … ]          when each slot wants to be read; scanned every round, 8 bytes a slot
//     rows  [ 144 bytes | … ]              what was read last, and what is kept open
//     index [ pid → slot, open addressing, at most three quarters full ]
//
// Slots are handed out lowest first after growth and last-freed first afterwards, so they stay dense.

/// What is kept of one process. Numbers that are not known are negative.
struct ProcessRow {
    struct Flags: OptionSet {
        var rawValue: UInt16
        static let kernelThread = Flags(rawValue: 1 << 0)
        static let watched = Flags(rawValue: 1 << 1)
        /// Handed to the visitor at least once.
        static let delivered = Flags(rawValue: 1 << 2)
        static let ended = Flags(rawValue: 1 << 3)
        static let inputOutputRefused = Flags(rawValue: 1 << 4)
        static let descriptorsRefused = Flags(rawValue: 1 << 5)
        /// `first` holds a kept schedstat, not a stat.
        static let keepsSchedstat = Flags(rawValue: 1 << 6)
        /// Its identity is read again at its next slow reading: it may have called exec since.
        static let identityIsYoung = Flags(rawValue: 1 << 7)
        /// Read in full at least once.
        static let known = Flags(rawValue: 1 << 8)
        /// Read twice, so that whether it moves is known.
        static let compared = Flags(rawValue: 1 << 9)
    }

    var pid: Int32 = 0
    var flags: Flags = []
    var nice: Int8 = 0
    var startTime: UInt64 = 0
    var name = ProcName()
    var ticks: UInt64 = 0
    var runTime: Int64 = -1
    var runDelay: Int64 = -1
    var bytesRead: Int64 = -1
    var bytesWritten: Int64 = -1
    var readAt: Int64 = 0
    var movedAt: Int64 = .min
    var slowAt: Int64 = .min
    var fullAt: Int64 = .min
    var suspectUntil: Int64 = .min
    var swapKibi: Int64 = -1
    var residentPages: UInt32 = 0
    var anonymousPages: UInt32 = 0
    var threads: Int32 = -1
    var descriptors: Int32 = -1
    var descriptorLimit: Int32 = -1
    var innerPID: Int32 = -1
    /// Kept descriptors: stat and statm, or schedstat alone.
    var first: Int32 = -1
    var second: Int32 = -1
}

struct ProcessTable: ~Copyable {
    private(set) var rows: UnsafeMutablePointer<ProcessRow>
    /// Nanoseconds of the agent's clock; `Int64.max` where nothing is due or the slot is free.
    private(set) var due: UnsafeMutablePointer<Int64>
    private(set) var capacity = 0
    /// Highest slot ever used + 1.
    private(set) var used = 0
    private(set) var count = 0
    private var free: [Int32] = []
    private var index: UnsafeMutableBufferPointer<Entry>

    private struct Entry {
        /// 0: never used; -1: freed.
        var pid: Int32
        var slot: Int32
    }
    private var filled = 0

    init() {
        rows = .allocate(capacity: 0)
        due = .allocate(capacity: 0)
        index = .allocate(capacity: 512)
        index.initialize(repeating: Entry(pid: 0, slot: 0))
    }

    deinit {
        rows.deallocate()
        due.deallocate()
        index.deallocate()
    }

    /// Whether a process lives in this slot, or ended in the last round.
    func isTaken(_ slot: Int) -> Bool { slot >= 0 && slot < used && rows[slot].pid != 0 }

    mutating func insert(pid: Int32) -> Int {
        let slot: Int
        if let freed = free.popLast() {
            slot = Int(freed)
        } else {
            if used == capacity { grow() }
            slot = used
            used += 1
        }
        (rows + slot).initialize(to: ProcessRow())
        rows[slot].pid = pid
        due[slot] = .max
        count += 1
        enter(pid, slot)
        return slot
    }

    /// The pid no longer leads to this slot, which is still taken: another process may have the pid already.
    mutating func forget(pid: Int32, slot: Int) {
        guard let place = position(of: pid), index[place].slot == Int32(slot) else { return }
        index[place].pid = -1
        count -= 1
    }

    mutating func release(_ slot: Int) {
        rows[slot].pid = 0
        due[slot] = .max
        free.append(Int32(slot))
    }

    mutating func setDue(_ slot: Int, _ time: Int64) { due[slot] = time }

    func slot(of pid: Int32) -> Int? { position(of: pid).map { Int(index[$0].slot) } }

    private func position(of pid: Int32) -> Int? {
        let mask = index.count - 1
        var place = hash(pid) & mask
        while index[place].pid != 0 {
            if index[place].pid == pid { return place }
            place = (place + 1) & mask
        }
        return nil
    }

    private mutating func enter(_ pid: Int32, _ slot: Int) {
        if (filled + 1) * 4 > index.count * 3 { rebuild() }
        let mask = index.count - 1
        var place = hash(pid) & mask
        while index[place].pid > 0 { place = (place + 1) & mask }
        if index[place].pid == 0 { filled += 1 }
        index[place] = Entry(pid: pid, slot: Int32(slot))
    }

    /// Without the freed entries, and larger only if the living ones need it.
    private mutating func rebuild() {
        let old = index
        var size = 512
        while size < (count + 1) * 2 { size *= 2 }
        index = .allocate(capacity: size)
        index.initialize(repeating: Entry(pid: 0, slot: 0))
        filled = 0
        for entry in old where entry.pid > 0 {
            var place = hash(entry.pid) & (size - 1)
            while index[place].pid != 0 { place = (place + 1) & (size - 1) }
            index[place] = entry
            filled += 1
        }
        old.deallocate()
    }

    private mutating func grow() {
        let larger = max(256, capacity + capacity / 4)
        let newRows = UnsafeMutablePointer<ProcessRow>.allocate(capacity: larger)
        newRows.moveInitialize(from: rows, count: used)
        let newDue = UnsafeMutablePointer<Int64>.allocate(capacity: larger)
        newDue.moveInitialize(from: due, count: used)
        rows.deallocate()
        due.deallocate()
        (rows, due, capacity) = (newRows, newDue, larger)
    }
}

/// Pids come in sequence: a multiplication spreads them.
@inline(__always)
private func hash(_ pid: Int32) -> Int { Int(truncatingIfNeeded: UInt32(bitPattern: pid) &* 2_654_435_769 >> 7) }
