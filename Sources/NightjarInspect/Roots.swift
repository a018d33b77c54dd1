// Where a program's references begin: its globals, the stacks of its threads from the stack pointer up, thread-local
// storage, registers, and every other writable memory that is not heap. A stack's dead part, below the stack pointer,
// is left out: it is full of references that hold nothing.

/// Memory whose words keep blocks alive.
struct RootRegion: Hashable {
    enum Kind: Hashable {
        /// Data and bss of a file.
        case globals
        /// The stack of a thread.
        case stack(thread: Int32)
        /// Anything else that can be written: thread-local storage, memory that the program mapped itself.
        case other
    }
    var kind: Kind
    var start: UInt64
    var end: UInt64
}

enum Roots {
    /// A shared or foreign mapping larger than this is no program's data but a file or a reservation.
    static let largestOther: UInt64 = 1 << 30

    /// All root regions. `stacks` are the stack pointers by thread, as far as they are known; `anchors` are further
    /// addresses that live threads hold. A stack (what lies right above a guard) that no thread points into is left out:
    /// it belongs to a thread that ended and is kept by the C library, or to one whose stack pointer is not known yet.
    static func find(
        _ map: TargetMap, heaps: [HeapRange], stacks: [Int32: UInt64], anchors: [UInt64] = []
    ) -> [RootRegion] {
        var found: [RootRegion] = []
        var owners: [UInt64: (thread: Int32, pointer: UInt64)] = [:]
        for (thread, pointer) in stacks {
            if let region = map.region(at: pointer) { owners[region.start] = (thread, pointer) }
        }
        let anchored = Set(anchors.compactMap { map.region(at: $0)?.start })
        for (position, region) in map.regions.enumerated() where region.readable && region.writable {
            if region.shared || region.path.utf8.starts(with: "/dev/".utf8), region.length > largestOther { continue }
            var region = region
            var kind = region.anonymous ? RootRegion.Kind.other : .globals
            // bss follows its file's data without a name.
            if position > 0, region.anonymous, region.path.isEmpty, map.regions[position - 1].end == region.start,
                !map.regions[position - 1].anonymous
            {
                kind = .globals
            }
            if let owner = owners[region.start] {
                kind = .stack(thread: owner.thread)
                // The red zone of 128 bytes below the stack pointer is in use.
                region.start = max(region.start, owner.pointer &- 128)
            } else if looksLikeStack(position, map), !anchored.contains(region.start) {
                continue
            }
            cut(region, heaps, kind, &found)
        }
        return found
    }

    private static func looksLikeStack(_ position: Int, _ map: TargetMap) -> Bool {
        let region = map.regions[position]
        if region.path == "[stack]" { return true }
        guard region.anonymous, position > 0 else { return false }
        let before = map.regions[position - 1]
        return before.end == region.start && !before.readable && !before.writable && before.length <= 1 << 20
    }

    /// What remains of a region when the heaps in it are taken out.
    private static func cut(
        _ region: TargetRegion, _ heaps: [HeapRange], _ kind: RootRegion.Kind, _ found: inout [RootRegion]
    ) {
        var at = region.start
        for heap in heaps where heap.end > region.start && heap.start < region.end {
            if heap.start > at { found.append(RootRegion(kind: kind, start: at, end: heap.start)) }
            at = max(at, heap.end)
        }
        if at < region.end { found.append(RootRegion(kind: kind, start: at, end: region.end)) }
    }
}
