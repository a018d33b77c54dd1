// The census's one big structure: first word of a block → how many blocks and bytes begin with it. Open addressing, a
// fixed upper size: a Swift process has some thousand distinct types, but a C heap has as many first words as blocks.
// Words that turn out to be no type are kept only to remember that, and are thrown out when the table is full: what
// they had counted goes to the untyped blocks of about that size.

/// Counts blocks by the first word.
final class TallyTable {
    struct Entry {
        var key: UInt64 = 0
        var count: UInt64 = 0
        var bytes: UInt64 = 0
        /// One block that begins so, for what only a block can tell.
        var sample: UInt64 = 0
        /// Index of the kind, or `Self.noType`.
        var tag: UInt32 = 0
    }
    static let noType: UInt32 = 0
    /// 2¹⁸ entries of 40 bytes: 10 MiB at most, and only where a heap has that many first words.
    static let largest = 1 << 18

    private(set) var entries: UnsafeMutablePointer<Entry>
    private(set) var capacity: Int
    private var filled = 0
    /// Told of what is thrown out: count and bytes of blocks without a type.
    private(set) var evictedCount: UInt64 = 0
    private(set) var evictedBytes: UInt64 = 0

    init() {
        capacity = 1 << 12
        entries = .allocate(capacity: capacity)
        entries.initialize(repeating: Entry(), count: capacity)
    }

    deinit { entries.deallocate() }

    @inline(__always) private func firstSlot(_ key: UInt64) -> Int {
        Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> 40) & (capacity &- 1)
    }

    /// The entry of `key`, or nil where it was not met yet.
    @inline(__always) func find(_ key: UInt64) -> UnsafeMutablePointer<Entry>? {
        var slot = firstSlot(key)
        while true {
            let entry = entries + slot
            if entry.pointee.key == key { return entry }
            if entry.pointee.key == 0 { return nil }
            slot = (slot &+ 1) & (capacity &- 1)
        }
    }

    /// Adds a new key. Grows, or throws out what is no type, when three quarters are full.
    func insert(_ entry: Entry) {
        if filled &* 4 >= capacity &* 3 { makeRoom() }
        guard filled &* 8 < capacity &* 7 else {
            evictedCount &+= entry.count
            evictedBytes &+= entry.bytes
            return
        }
        place(entry)
    }

    private func place(_ entry: Entry) {
        var slot = firstSlot(entry.key)
        while entries[slot].key != 0 { slot = (slot &+ 1) & (capacity &- 1) }
        entries[slot] = entry
        filled &+= 1
    }

    private func makeRoom() {
        let old = (entries: entries, capacity: capacity)
        let grows = capacity < Self.largest
        if grows { capacity &*= 4 }
        entries = .allocate(capacity: capacity)
        entries.initialize(repeating: Entry(), count: capacity)
        filled = 0
        for index in 0..<old.capacity where old.entries[index].key != 0 {
            let entry = old.entries[index]
            if grows || entry.tag != Self.noType {
                place(entry)
            } else {
                evictedCount &+= entry.count
                evictedBytes &+= entry.bytes
            }
        }
        old.entries.deallocate()
    }

    /// Whether nothing in it is a type.
    var isEmpty: Bool { !(0..<capacity).contains { entries[$0].key != 0 && entries[$0].tag != Self.noType } }

    func forEach(_ body: (Entry) -> Void) {
        for index in 0..<capacity where entries[index].key != 0 { body(entries[index]) }
    }
}
