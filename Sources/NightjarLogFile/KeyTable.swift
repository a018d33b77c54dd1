// Counting by key without a lock: how often each kind of record came, which were left out, and what the next one that is
// written stands for.
//
// A table of slots, found by a 64-bit hash with linear probing over a neighbourhood of sixteen. Two keys never share a
// slot (a shared one would let a busy key starve a rare one): when the neighbourhood is full a slot that has been
// quiet for two seconds is taken over, and while there is none the record is written in full.
//
//     slot   hash | second:32 count:32 | pending weight | left out | …
//
// One atomic addition to the window word counts a record and tells its place in the second. "First N, then every Mth"
// needs nothing else: the weight of a record follows from the places alone.

import Glibc
import Synchronization

/// A table in zero-filled pages: untouched slots cost no memory.
final class KeyTable: @unchecked Sendable {
    struct Slot: ~Copyable {
        let hash: Atomic<UInt64>
        /// Second and count within it.
        let window: Atomic<UInt64>
        /// Weight of records left out since the last one written.
        let pending: Atomic<UInt64>
        /// Records left out since the beginning.
        let leftOut: Atomic<UInt64>
        /// Records written since the beginning.
        let kept: Atomic<UInt64>
        /// Call sites only: the log that its records go to.
        let owner: Atomic<UInt64>
        /// Call sites only: where its file name stands, and `line << 16 | length`.
        let name: Atomic<UInt64>
        let place: Atomic<UInt64>
    }

    private let slots: UnsafeMutablePointer<Slot>
    /// Indices of the used slots in the order of their making, so that whoever reads the table touches no empty page.
    private let order: UnsafeMutablePointer<Atomic<UInt32>>
    private let used = Atomic<Int>(0)
    let capacity: Int
    static let neighbourhood = 16
    private let takeOver = Guarded(())
    /// Records of keys whose slot was taken over before their weight was written.
    let forgottenWeight = Atomic<UInt64>(0)
    let fullCount = Atomic<UInt64>(0)

    /// `capacity` is a power of two.
    init(capacity: Int) {
        precondition(capacity & (capacity - 1) == 0, "a table of keys has a power of two of slots")
        self.capacity = capacity
        let memory = mmap(
            nil, KeyTable.bytes(capacity), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        precondition(memory != nil && memory != MAP_FAILED, "no address space for a table of keys")
        // All-zero bytes are an atomic zero.
        slots = memory!.bindMemory(to: Slot.self, capacity: capacity)
        order = (memory! + capacity * MemoryLayout<Slot>.stride).bindMemory(to: Atomic<UInt32>.self, capacity: capacity)
    }

    private static func bytes(_ capacity: Int) -> Int {
        capacity * (MemoryLayout<Slot>.stride + MemoryLayout<Atomic<UInt32>>.stride)
    }

    deinit { munmap(slots, KeyTable.bytes(capacity)) }

    @inline(__always) subscript(index: Int) -> UnsafeMutablePointer<Slot> { slots + index }

    /// The slot of a key, made where it is new. nil where there is no place for it.
    @inline(__always) func find(_ hash: UInt64, second: UInt32) -> UnsafeMutablePointer<Slot>? {
        let index = Int(truncatingIfNeeded: hash) & (capacity - 1)
        let slot = slots + index
        if slot.pointee.hash.load(ordering: .relaxed) == hash { return slot }
        return probe(hash, from: index, second: second)
    }

    @inline(never) private func probe(_ hash: UInt64, from start: Int, second: UInt32) -> UnsafeMutablePointer<Slot>? {
        for step in 0..<KeyTable.neighbourhood {
            let slot = slots + ((start + step) & (capacity - 1))
            let found = slot.pointee.hash.load(ordering: .relaxed)
            if found == hash { return slot }
            if found == 0 {
                let (exchanged, original) = slot.pointee.hash.compareExchange(
                    expected: 0, desired: hash, ordering: .acquiringAndReleasing)
                if exchanged {
                    let place = used.wrappingAdd(1, ordering: .relaxed).oldValue
                    order[place].store(UInt32(slot - slots) + 1, ordering: .releasing)
                }
                if exchanged || original == hash { return slot }
            }
        }
        return replace(hash, from: start, second: second)
    }

    private func replace(_ hash: UInt64, from start: Int, second: UInt32) -> UnsafeMutablePointer<Slot>? {
        takeOver.withLock { _ in
            for step in 0..<KeyTable.neighbourhood {
                let slot = slots + ((start + step) & (capacity - 1))
                if slot.pointee.hash.load(ordering: .relaxed) == hash { return slot }
                let last = UInt32(truncatingIfNeeded: slot.pointee.window.load(ordering: .relaxed) >> 32)
                guard second &- last >= 2, second > last else { continue }
                let weight = slot.pointee.pending.exchange(0, ordering: .relaxed)
                forgottenWeight.add(weight, ordering: .relaxed)
                slot.pointee.window.store(UInt64(second) << 32, ordering: .relaxed)
                slot.pointee.kept.store(0, ordering: .relaxed)
                slot.pointee.leftOut.store(0, ordering: .relaxed)
                slot.pointee.name.store(0, ordering: .relaxed)
                slot.pointee.hash.store(hash, ordering: .releasing)
                return slot
            }
            fullCount.add(1, ordering: .relaxed)
            return nil
        }
    }

    func forEach(_ body: (UnsafeMutablePointer<Slot>) -> Void) {
        for place in 0..<min(used.load(ordering: .acquiring), capacity) {
            let index = order[place].load(ordering: .acquiring)
            if index > 0 { body(slots + Int(index) - 1) }
        }
    }
}

extension UnsafeMutablePointer<KeyTable.Slot> {
    /// Counts one record of this second. Its place (from 1), and the last place of the second before where one just ended.
    @inline(__always) func count(second: UInt32) -> (place: UInt32, before: UInt32) {
        var word = pointee.window.load(ordering: .relaxed)
        while true {
            if UInt32(truncatingIfNeeded: word >> 32) == second {
                let old = pointee.window.wrappingAdd(1, ordering: .relaxed).oldValue
                if UInt32(truncatingIfNeeded: old >> 32) == second { return (UInt32(truncatingIfNeeded: old) &+ 1, 0) }
                // The second ended between the two: the count went to the new one, which is as true.
                return (UInt32(truncatingIfNeeded: old) &+ 1, 0)
            }
            let (exchanged, original) = pointee.window.compareExchange(
                expected: word, desired: UInt64(second) << 32 | 1, ordering: .relaxed)
            if exchanged { return (1, UInt32(truncatingIfNeeded: original)) }
            word = original
        }
    }
}

/// The splitmix64 step: well mixed bits from a counter, for hashing and for sampling without a shared generator.
@inline(__always) func mixed(_ value: UInt64) -> UInt64 {
    var z = value &+ 0x9E37_79B9_7F4A_7C15
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
}

@inline(__always) func hashed(_ bytes: UnsafeBufferPointer<UInt8>, seed: UInt64) -> UInt64 {
    guard let base = bytes.baseAddress else { return mixed(seed) | 1 }
    var hash = seed ^ UInt64(truncatingIfNeeded: bytes.count) &* 0x9E37_79B9_7F4A_7C15
    let raw = UnsafeRawPointer(base)
    var position = 0
    while position + 8 <= bytes.count {
        hash = (hash ^ raw.loadUnaligned(fromByteOffset: position, as: UInt64.self)) &* 0xFF51_AFD7_ED55_8CCD
        hash ^= hash >> 32
        position += 8
    }
    var tail: UInt64 = 0
    while position < bytes.count {
        tail = tail << 8 | UInt64(base[position])
        position += 1
    }
    return mixed(hash ^ tail) | 1
}
