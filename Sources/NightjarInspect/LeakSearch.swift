// Which objects does nothing reach any more? Three steps, of which only the last stops the target:
//
//   1. Walk the heap once: where blocks begin, which are in use, which types there are.
//   2. Mark from the roots while the target runs. The picture is blurred: a reference that moves from a place not yet
//      seen to one already seen is missed, so some white blocks are alive. If no white block carries a Swift type,
//      nothing is leaked, and the target is never stopped.
//   3. Have the target stand still (Snapshot.swift), read everything that is not white once more, and rescue what it
//      refers to. This is exact: garbage can neither change nor be reached again, so what step 2 missed must be visible
//      from memory that is not white. Only words near white blocks are looked at closely; a table of one bit per 64 KiB
//      refuses the others.
//
// Where a copy of the target could be taken, step 3 reads the copy, and the target stands still only while it is made.
// Else it stands still for one reading of its heap, shared by two threads.

import Glibc

/// Unreachable objects of one type.
public struct UnreachableType: Hashable, Sendable {
    public var type: TypeInfo
    public var count: Int64
    public var bytes: Int64
    /// The cycle that keeps it, one step a reference: `["Session.next", "Session.owner"]`; empty where there is none:
    /// then it hangs from another unreachable object, or was retained and never released.
    public var cycle: [String]
}

/// What a leak search found.
public struct LeakReport: Hashable, Sendable {
    public var pid: Int32
    /// Most bytes first.
    public var unreachable: [UnreachableType]
    /// Unreachable blocks without a Swift type: often memory of C libraries with references in forms of their own.
    public var untypedCount: Int64
    public var untypedBytes: Int64
    public var heapBytes: Int64
    public var pause: Pause
    public var seconds: Double
    public var bytesRead: UInt64
}

/// One leak search.
final class LeakSearch {
    let target: Target
    let ranges: [HeapRange]
    let index: HeapIndex
    let marker: Marker
    /// How long what seems to be garbage is watched, and how much of it.
    private static let moment = 0.25
    private static let mostBeginnings = 65_536
    /// A hash of how each of them begins.
    private var beginnings: [(granule: Int, hash: UInt64)] = []
    /// When the target was what they show.
    private var shownAt = 0.0
    /// White blocks that were Swift objects at the moment of the snapshot.
    let typed: Bitmap
    var visitor: IndexVisitor
    /// Of the memory that is read: the target's, or its copy's.
    private var touched: (any TouchedPages)?
    private let began = monotonicSeconds()
    private(set) var pause = Pause()

    init(_ target: Target) throws {
        self.target = target
        touched = target.touched
        ranges = try target.findHeaps()
        try target.budget.check(memory: HeapIndex.memory(of: ranges, maps: 3), for: "a leak search in this heap")
        index = try HeapIndex(ranges)
        marker = try Marker(index, memory: target.memory)
        typed = try Bitmap(bits: index.granules)
        visitor = IndexVisitor(
            tally: CensusTally(metadata: target.metadata, ranges: ranges), index: index, marker: marker)
    }

    /// Searches. Where the target may not be stopped, a few of the objects named may be alive: those that were on their
    /// way from one place to another while it was read.
    func run(mayStop: Bool = true, way: SnapshotWay = .auto) throws -> LeakReport {
        try walk()
        try markWhileItRuns()
        if try hasTypedCandidates() {
            if mayStop { try rescueWhileItStands(way) } else { try noteWhileItRuns() }
            if target.isLive { releaseWhatMoves() }
        }
        try target.checkStillThere()
        return try Garbage(self).report(seconds: monotonicSeconds() - began)
    }

    func check() throws { try target.budget.check(target.memory.bytesRead, since: began) }

    /// Finds the blocks and their types.
    func walk() throws {
        let walker = HeapWalker(target.memory)
        for (number, range) in ranges.enumerated() {
            visitor.range = number
            _ = walker.walk(range, &visitor)
            try check()
        }
        if visitor.tally.table.isEmpty {
            throw InspectError(
                .notSwift, "process \(target.pid) has no Swift objects on its heap: nothing to search for")
        }
        visitor.resolveSideTables()
        marker.leaves = leafMetadata()
    }

    /// Types whose bodies hold no references. Their bytes may look like addresses, which would keep garbage.
    private func leafMetadata() -> Set<UInt64> {
        let plain: Set<String> = [
            "Int", "UInt", "Int8", "UInt8", "Int16", "UInt16", "Int32", "UInt32", "Int64", "UInt64", "Double", "Float",
            "Bool",
        ]
        var found: Set<UInt64> = []
        visitor.tally.table.forEach { entry in
            guard entry.tag == CensusTally.Tag.type, let name = target.metadata.typeName(entry.key) else { return }
            let type = TypeInfo.named(name, kind: .class)
            let element = type.name.dropFirst(6).dropLast()
            if type.kind == .string || (type.kind == .array && plain.contains(String(element))) {
                found.insert(entry.key)
            }
        }
        return found
    }

    private func markWhileItRuns() throws {
        let stacks = target.isLive ? Threads.stackPointers(target.pid, target.procRoot) : [:]
        for root in Roots.find(target.map, heaps: ranges, stacks: stacks) {
            scan(root)
            try check()
        }
        try marker.drain(check)
    }

    /// Pages that were never touched hold nothing, and reading them would make the target hold them.
    private func scan(_ root: RootRegion) {
        guard let touched, root.end - root.start > 1 << 16 else {
            return marker.scanRoot(root.start, root.end)
        }
        var at = root.start
        while at < root.end {
            let start = max(at, touched.firstTouched(from: at & ~4095, to: root.end))
            if start >= root.end { return }
            let end = touched.firstUntouched(from: start & ~4095, to: root.end)
            marker.scanRoot(start, end)
            at = end
        }
    }

    /// Whether any white block begins with the metadata of a Swift type.
    private func hasTypedCandidates() throws -> Bool {
        var found = false
        try forEachWhite { block in
            if let entry = self.visitor.tally.table.find(block.first), entry.pointee.tag != CensusTally.Tag.none {
                found = true
            }
            return !found
        }
        return found
    }

    /// Which white blocks are Swift objects is settled at the moment of the snapshot. Later it would be wrong: a block that
    /// lay in a tcache then looks used, has no owner, and may be a new and living object by the time that it is looked at.
    private func noteTyped() throws {
        typed.clearAll()
        beginnings = []
        try forEachWhite { block in
            if let entry = self.visitor.tally.table.find(block.first), entry.pointee.tag != CensusTally.Tag.none {
                self.typed.set(block.granule)
                if self.beginnings.count < Self.mostBeginnings {
                    self.beginnings.append((block.granule, block.beginning))
                }
            }
            return true
        }
    }

    private func noteWhileItRuns() throws {
        shownAt = monotonicSeconds()
        try noteTyped()
    }

    /// Garbage is dead: nobody can write to it, not even a reference count. What has changed a moment later was alive, on
    /// its way through a place that we do not see (a queue in the kernel), and so is what it refers to.
    private func releaseWhatMoves() {
        let wait = shownAt + Self.moment - monotonicSeconds()
        if wait > 0 { usleep(UInt32(wait * 1e6)) }
        var heads = WhiteHeads(self)
        var at = 0
        while at < beginnings.count {
            let some = beginnings[at..<min(at + WhiteHeads.most, beginnings.count)].filter { marker.white[$0.granule] }
            for (block, noted) in zip(heads.read(some.map(\.granule)), some) where block.beginning != noted.hash {
                marker.rescue(block.granule)
            }
            at += WhiteHeads.most
        }
        marker.drain {}
    }

    /// Reads how every white block begins; `body` answers whether to go on.
    func forEachWhite(_ body: (WhiteBlock) throws -> Bool) throws {
        var heads = WhiteHeads(self)
        var some: [Int] = []
        func tell() throws -> Bool {
            defer { some.removeAll(keepingCapacity: true) }
            return try heads.read(some).allSatisfy(body)
        }
        for number in ranges.indices {
            var granule = index.bases[number] - 1
            while true {
                granule = marker.white.next(above: granule, ceiling: index.bases[number + 1])
                if granule >= index.bases[number + 1] { break }
                some.append(granule)
                if some.count == WhiteHeads.most, try !tell() { return }
            }
        }
        _ = try tell()
    }

    // MARK: The stop

    private func rescueWhileItStands(_ way: SnapshotWay) throws {
        // What can be prepared beforehand is: inside a stop every millisecond counts.
        let rescan = try Rescan(
            index: index, white: marker.white, sideTables: marker.sideTables, memory: target.memory)
        guard target.isLive else {
            rescan.heap()
            finish(rescan)
            return try noteTyped()
        }
        let snapshot = try Snapshot.take(target, way)
        defer { snapshot.release() }
        // A copy shows this moment however late it is read; a target that is stopped goes on from its release.
        shownAt = monotonicSeconds()
        (rescan.memory, marker.memory, touched) = (snapshot.memory, snapshot.memory, snapshot.touched)
        scanRoots(of: snapshot)
        if snapshot.pause.way == .stop { rescan.deadline = monotonicSeconds() + target.budget.pause }
        rescan.heap()
        if rescan.isComplete {
            finish(rescan)
            try noteTyped()
        }
        pause = snapshot.release()
        if pause.way == .stop { shownAt = monotonicSeconds() }
        (marker.memory, touched) = (target.memory, target.touched)
        if !rescan.isComplete {
            let paused = Int(pause.seconds * 1000)
            throw InspectError(
                .overBudget,
                "let process \(target.pid) go on after \(paused) ms without an answer: raise --pause-limit, or try when "
                    + "the machine is less busy")
        }
    }

    private func scanRoots(of snapshot: Snapshot) {
        var stacks: [Int32: UInt64] = [:]
        for state in snapshot.states { stacks[state.id] = state.stackPointer }
        // A thread on another stack for a moment still points to its own: its thread pointer lies there.
        let anchors = snapshot.states.flatMap(\.registers)
        for root in Roots.find(snapshot.map, heaps: ranges, stacks: stacks, anchors: anchors) { scan(root) }
        for word in anchors { marker.meet(word) }
        for region in snapshot.wiped {
            for word in target.memory.words(at: region.start, count: Int(region.length / 8)) { marker.meet(word) }
        }
    }

    private func finish(_ rescan: Rescan) {
        for granule in rescan.changed { marker.rescue(granule) }
        for address in rescan.rescued { marker.meet(address) }
        marker.drain {}
    }
}

/// Takes the census and notes where blocks begin.
struct IndexVisitor: ChunkVisitor {
    var tally: CensusTally
    let index: HeapIndex
    let marker: Marker
    var range = 0
    private var sideTables: [UInt64] = []
    /// Side tables that are remembered; a program with more weakly referenced objects loses precision, not safety.
    static let mostSideTables = 1 << 20

    init(tally: CensusTally, index: HeapIndex, marker: Marker) {
        self.tally = tally
        self.index = index
        self.marker = marker
    }

    @inline(__always) mutating func used(_ address: UInt64, size: UInt64, user: UnsafeRawPointer) {
        let granule = index.granule(ofChunk: address &- 16, inRange: range)
        index.chunks.set(granule)
        let cachedBefore = tally.cached.count
        tally.used(address, size: size, user: user)
        if tally.cached.count == cachedBefore { marker.white.set(granule) }
        let header = user.load(fromByteOffset: 8, as: UInt64.self)
        if header &>> 62 == 3 { note(Marker.sideTable(header)) }
    }

    mutating func free(_ address: UInt64, size: UInt64, isTop: Bool) {
        index.chunks.set(index.granule(ofChunk: address, inRange: range))
    }

    private mutating func note(_ sideTable: UInt64) {
        if sideTables.count < Self.mostSideTables { sideTables.append(sideTable) }
    }

    /// After the walk: which blocks the noted addresses are.
    mutating func resolveSideTables() {
        for address in sideTables {
            let granule = index.block(holding: address)
            if granule >= 0, index.chunk(at: granule).start + 16 == address { marker.sideTables.insert(granule) }
        }
        sideTables = []
    }
}
