// A census: every live block of the target, counted by type. One walk, no stop, no help from the target.
//
//     maps ─▶ heaps ─▶ chunks ─▶ first word ─▶ (count, bytes) ─▶ names of the few thousand distinct first words
//
// The sums reconcile: typed + untyped + free = mapped. What a heap keeps for itself (headers, tcache tables, a chain that
// broke because the target was at work) is part of untyped and shown as such.

/// Count and bytes of one type.
public struct CensusEntry: Hashable, Sendable {
    public var type: TypeInfo
    public var count: Int64
    public var bytes: Int64

    public init(type: TypeInfo, count: Int64, bytes: Int64) {
        self.type = type
        self.count = count
        self.bytes = bytes
    }
}

/// What is on the heap of one process at one time.
public struct Census: Hashable, Sendable {
    public var pid: Int32
    /// Largest first.
    public var entries: [CensusEntry]
    /// Blocks without a Swift type, by size class: `limit` is the largest chunk of the class.
    public var untyped: [SizeGroup]
    /// Blocks without a Swift type by what their first word points to, where that tells: most bytes first.
    public var owners: [UntypedOwner]
    public var heapBytes: Int64
    public var typedBytes: Int64
    public var untypedCount: Int64
    /// With `bookkeepingBytes` and `missedBytes` in it.
    public var untypedBytes: Int64
    /// Free lists, tcaches, fastbins and the tops of the heaps.
    public var freeBytes: Int64
    /// heap_info, malloc_state, lead of aligned blocks.
    public var bookkeepingBytes: Int64
    /// Behind a chain of chunks that broke while it was read.
    public var missedBytes: Int64
    public var heaps: Int
    public var fragmentation: Fragmentation
    /// How long the walk took, and how much it read.
    public var seconds: Double
    public var bytesRead: UInt64
    /// How long the target stood still for it.
    public var pause = Pause()
    /// The same by metadata record: what two censuses are compared by, because a record's name may get better.
    var records: [UInt64: CensusEntry]

    /// Less than this has no owner looked up.
    static let smallestOwner: UInt64 = 4096

    public var typedCount: Int64 { entries.reduce(0) { $0 + $1.count } }
}

/// Blocks that are no Swift objects, by what their first word points to.
public struct UntypedOwner: Hashable, Sendable {
    /// `_dispatch_source_vtable`, `of libstdc++.so.6`.
    public var name: String
    public var count: Int64
    public var bytes: Int64
}

/// Blocks of one size class that carry no type.
public struct SizeGroup: Hashable, Sendable {
    public var limit: Int64
    public var count: Int64
    public var bytes: Int64
}

extension Census {
    /// Takes a census. Reads the whole heap once; about 0.2 s a GB.
    public static func take(of target: Target) throws -> Census {
        try Census(CensusRun(target).finished())
    }

    /// Takes a census of one moment: the target stands still while it is copied, or while it is read.
    public static func takeExactly(of target: Target, way: SnapshotWay = .auto) throws -> Census {
        let snapshot = try Snapshot.take(target, way)
        defer { snapshot.release() }
        let run = try CensusRun(Target(snapshot)).finished()
        // A stop need not last until all types have their names.
        if snapshot.pause.way == .stop { snapshot.release() }
        var census = try Census(run)
        census.pause = snapshot.release()
        return census
    }
}

/// The working state of one census.
struct CensusRun {
    let target: Target
    let ranges: [HeapRange]
    var tally: CensusTally
    var missed: UInt64 = 0
    var seconds = 0.0

    init(_ target: Target) throws {
        self.target = target
        ranges = try target.findHeaps()
        tally = CensusTally(metadata: target.metadata, ranges: ranges)
    }

    func finished() throws -> CensusRun {
        var run = self
        let began = monotonicSeconds()
        let walker = HeapWalker(target.memory)
        for range in ranges {
            run.missed &+= walker.walk(range, &run.tally).missed
            try target.budget.check(target.memory.bytesRead, since: began)
        }
        try target.checkStillThere()
        run.seconds = monotonicSeconds() - began
        return run
    }
}

extension Census {
    init(_ run: CensusRun) throws {
        let tally = run.tally
        var byType: [TypeInfo: (count: UInt64, bytes: UInt64)] = [:]
        var untyped = tally.untyped
        let namer = BlockNamer(run.target, ranges: run.ranges)
        var named: [(TallyTable.Entry, TypeInfo)] = []
        var owners: [String: (count: UInt64, bytes: UInt64)] = [:]
        tally.table.forEach { if $0.tag == CensusTally.Tag.none, $0.count > 0 { namer.candidates.insert($0.key) } }
        tally.table.forEach { entry in
            guard entry.count > 0 else { return }
            if let type = namer.type(of: entry) {
                named.append((entry, type))
            } else {
                let index = SizeClass.index(entry.bytes / entry.count)
                untyped[index].count &+= entry.count
                untyped[index].bytes &+= entry.bytes
                if entry.bytes >= Self.smallestOwner, let owner = namer.owner(of: entry) {
                    let sum = owners[owner] ?? (0, 0)
                    owners[owner] = (sum.count + entry.count, sum.bytes + entry.bytes)
                }
            }
        }
        records = [:]
        for (entry, type) in namer.withFunctions(named) {
            records[entry.key] = CensusEntry(type: type, count: Int64(entry.count), bytes: Int64(entry.bytes))
            let sum = byType[type] ?? (0, 0)
            byType[type] = (sum.count + entry.count, sum.bytes + entry.bytes)
        }
        let entries = byType.map { CensusEntry(type: $0, count: Int64($1.count), bytes: Int64($1.bytes)) }
        let mapped = run.ranges.reduce(0) { $0 + $1.mapped }
        let typed = byType.values.reduce(0) { $0 + $1.bytes }
        let free = tally.free.bytes + tally.cached.bytes
        let blocks = untyped.reduce(0) { $0 + $1.bytes } + tally.table.evictedBytes
        let rest = mapped &- typed &- free &- blocks

        pid = run.target.pid
        self.entries = entries.sorted { ($1.bytes, $0.type.name) < ($0.bytes, $1.type.name) }
        self.untyped = untyped.enumerated().filter { $1.count > 0 }.map {
            SizeGroup(limit: Int64(SizeClass.limit($0)), count: Int64($1.count), bytes: Int64($1.bytes))
        }
        self.owners = owners.map { UntypedOwner(name: $0, count: Int64($1.count), bytes: Int64($1.bytes)) }
            .sorted { ($1.bytes, $0.name) < ($0.bytes, $1.name) }
        heapBytes = Int64(mapped)
        typedBytes = Int64(typed)
        untypedCount = Int64(untyped.reduce(0) { $0 + $1.count } + tally.table.evictedCount)
        freeBytes = Int64(free)
        missedBytes = Int64(run.missed)
        bookkeepingBytes = Int64(rest) - Int64(run.missed)
        untypedBytes = Int64(blocks) + Int64(rest)
        heaps = run.ranges.count { $0.kind != .mmapped }
        fragmentation = Fragmentation(
            used: Int64(typed + blocks), free: Int64(free), heap: Int64(mapped), trimmable: Int64(tally.trimmable),
            largestHoles: tally.holes.sizes.map { Int64($0) })
        seconds = run.seconds
        bytesRead = run.target.memory.bytesRead
    }
}
