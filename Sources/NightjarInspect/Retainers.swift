// Who keeps the objects of one type alive? We walk backwards. All its instances are level 0; whatever refers to a block
// of level n and has no level yet is level n + 1; each level is one reading of the heap. When a root (a global, a stack)
// refers to a block of the newest level there is a chain, and the walk forward along it, from the root down the levels,
// counts how many objects stand on each step and how many instances the chain holds in the end. Levels are followed until
// the chains explain half of the instances: so one instance that happens to lie on a stack does not hide the list
// that holds the other 30,000. Four bits of level for 16 bytes of heap: 3 % of it, whatever its size.

/// One step of a retaining chain.
public struct RetainingStep: Hashable, Sendable {
    /// `Emitter.handlers`, `closure #1 in handle(_:)`, `Request`.
    public var name: String
    /// How many objects stand on this step.
    public var count: Int64
}

/// A way from a root to instances of the type.
public struct RetainingChain: Hashable, Sendable {
    /// `global emitter`, `stack of main in serve(_:)`.
    public var root: String
    /// From the instances to the object that the root refers to.
    public var steps: [RetainingStep]
    /// How many instances it holds.
    public var holds: Int64
    /// Whether the root outlives the call that made the chain: a global rather than a stack.
    public var isGlobal: Bool

    /// `Request ← closure #1 in handle(_:) ← Emitter.handlers ← global emitter`
    public var sentence: String { (steps.map(\.name) + [root]).joined(separator: " ← ") }
}

/// What `nightjar why` answers.
public struct RetainingReport: Hashable, Sendable {
    public var pid: Int32
    public var type: TypeInfo
    public var count: Int64
    public var bytes: Int64
    /// Those that hold most instances first.
    public var chains: [RetainingChain]
    public var seconds: Double
    public var bytesRead: UInt64

    /// Whether some chain holds half of the instances. If not, a collection may have moved while it was looked at.
    var isConclusive: Bool { chains.contains { $0.holds * 2 >= count } }
}

extension RetainingReport {
    /// Reports on one type or several from one walk of the heap; walks once more where the first was not conclusive.
    static func of(_ names: [String], open: () throws -> Target) throws -> [String: RetainingReport] {
        var reports: [String: RetainingReport] = [:]
        for attempt in 0..<2 {
            let missing = names.filter { reports[$0]?.isConclusive != true }
            if missing.isEmpty { break }
            let retainers = try Retainers(open())
            for name in missing {
                do {
                    reports[name] = try retainers.report(name)
                } catch let error as InspectError where names.count > 1 || attempt > 0 {
                    if error.code == .overBudget { throw error }
                }
            }
            try retainers.target.checkStillThere()
        }
        return reports
    }
}

/// Walks backwards from the instances of a type to roots.
final class Retainers {
    /// Levels that fit into four bits, level 0 being written as 1.
    static let deepest = 13
    /// Roots of one level that are followed.
    static let rootsPerLevel = 6
    /// Chains that are told.
    static let chains = 3

    let search: LeakSearch
    let target: Target
    let index: HeapIndex
    let types: BlockTypes
    private let levels: Bitmap
    private let reader: BlockReader
    private let roots: [RootRegion]
    private var found: [RetainingChain] = []
    private var explained: Int64 = 0

    /// One walk over the heap tells all types; any number of them may be asked for afterwards.
    init(_ target: Target) throws {
        self.target = target
        search = try LeakSearch(target)
        try target.budget.check(
            memory: HeapIndex.memory(of: search.ranges, maps: 8), for: "retaining chains in this heap")
        index = search.index
        try search.walk()
        types = BlockTypes(target, table: search.visitor.tally.table, ranges: search.ranges)
        levels = try Bitmap(bits: index.granules * 4)
        reader = BlockReader(index, memory: target.memory)
        let stacks = target.isLive ? Threads.stackPointers(target.pid, target.procRoot) : [:]
        roots = Roots.find(target.map, heaps: search.ranges, stacks: stacks)
    }

    /// The chains that hold the type of this name.
    func report(_ name: String) throws -> RetainingReport {
        let began = monotonicSeconds()
        let type = try match(name)
        let keys = Set(types.all.filter { $0.type == type }.map(\.key))
        levels.clearAll()
        (found, explained) = ([], 0)
        let (count, bytes) = markInstances(keys)
        if count == 0 { throw InspectError(.noSuchType, "the last \(type.name) went away while the heap was read") }
        var level = 0
        var last = Self.deepest
        while level < last {
            try follow(rootsOf(level), level: level, of: type, instances: count)
            // A stack explains them as well, but a global explains them better: it gets two more levels to show.
            if explained * 2 >= count { last = min(last, level + 3) }
            if found.contains(where: { $0.isGlobal && $0.holds * 2 >= count }) { break }
            if try !raise(level) { break }
            level += 1
        }
        return RetainingReport(
            pid: target.pid, type: type, count: count, bytes: bytes,
            chains: Array(found.sorted { Self.explainsBetter($0, $1, of: count) }.prefix(Self.chains)),
            seconds: monotonicSeconds() - began, bytesRead: target.memory.bytesRead)
    }

    /// A global that holds half of them stands first, then what holds most, then what is short.
    private static func explainsBetter(_ a: RetainingChain, _ b: RetainingChain, of count: Int64) -> Bool {
        let (first, second) = (a.isGlobal && a.holds * 2 >= count, b.isGlobal && b.holds * 2 >= count)
        if first != second { return first }
        return (a.holds, b.steps.count) > (b.holds, a.steps.count)
    }

    /// The type that is meant: its full name, its name without module, or the only one that contains the words.
    func match(_ name: String) throws -> TypeInfo {
        let all = Set(types.all.map(\.type))
        if let exact = all.first(where: { $0.name == name }) { return exact }
        let short = all.filter { BlockTypes.withoutModule($0) == name }
        if let only = short.first, short.count == 1 { return only }
        let similar = (short.isEmpty ? all.filter { $0.name.contains(name) } : short).sorted { $0.name < $1.name }
        if let only = similar.first, similar.count == 1 { return only }
        if similar.isEmpty {
            throw InspectError(.noSuchType, "no object of type '\(name)' is on the heap of process \(target.pid)")
        }
        let some = similar.prefix(5).map(\.name).joined(separator: ", ")
        throw InspectError(.noSuchType, "'\(name)' could be \(similar.count) types, say which: \(some)")
    }

    // MARK: Levels

    @inline(__always) private func level(_ granule: Int) -> Int {
        Int(levels.words[granule &>> 4] &>> UInt64((granule & 15) &* 4) & 15) &- 1
    }

    @inline(__always) private func setLevel(_ granule: Int, _ level: Int) {
        levels.words[granule &>> 4] |= UInt64(level &+ 1) &<< UInt64((granule & 15) &* 4)
    }

    /// Level 0: blocks of the type, as far as they are in use.
    private func markInstances(_ keys: Set<UInt64>) -> (Int64, Int64) {
        var visitor = InstanceVisitor(keys: AddressSet(keys.filter { $0 < 1 << 56 }))
        // Error boxes and tasks are told apart by a word of the block.
        visitor.special = AddressSet(
            types.specialMetadata(
                errors: keys.contains { $0 & CensusTally.errorMark != 0 },
                tasks: keys.contains { $0 & CensusTally.taskMark != 0 }))
        let walker = HeapWalker(target.memory)
        var (count, bytes) = (Int64(0), Int64(0))
        for (number, range) in index.ranges.enumerated() {
            visitor.found.removeAll(keepingCapacity: true)
            _ = walker.walk(range, &visitor)
            for (address, size, isSpecial, first) in visitor.found {
                let granule = index.granule(ofChunk: address &- 16, inRange: number)
                // A block that was made since the index was built is not known.
                guard index.chunks[granule], search.marker.white[granule] else { continue }
                if isSpecial, !(types.key(first: first, at: address).map { keys.contains($0) } ?? false) { continue }
                setLevel(granule, 0)
                count += 1
                bytes += Int64(size)
            }
        }
        return (count, bytes)
    }

    /// Gives level + 1 to whatever refers to a block of this level; answers whether there is any.
    private func raise(_ level: Int) throws -> Bool {
        var any = false
        let tables = search.marker.sideTables
        try forEachHeapWord { address, place in
            let block = index.block(holding: address)
            guard block >= 0, self.level(block) == level else { return }
            let source = index.block(holding: place)
            guard source >= 0, self.level(source) < 0, search.marker.white[source] else { return }
            // The runtime's side table points to its object, but keeps nothing.
            if !tables.isEmpty, tables.contains(source) { return }
            setLevel(source, level + 1)
            any = true
        }
        return any
    }

    /// Every word of the heap that lies in the span of the heaps, with the place where it stands.
    private func forEachHeapWord(_ body: (_ address: UInt64, _ place: UInt64) -> Void) throws {
        let size = 1 << 20
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 4096)
        defer { buffer.deallocate() }
        let words = UnsafePointer(buffer.baseAddress!.assumingMemoryBound(to: UInt64.self))
        for range in index.ranges {
            var at = range.start
            while at < range.end {
                try search.check()
                let want = Int(min(UInt64(size), range.end - at))
                let got = target.memory.read(at, into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<want]))
                for cluster in index.clusters {
                    let (low, span) = (cluster.low, cluster.high - cluster.low)
                    for position in 0..<(got / 8) {
                        let address = words[position] & Marker.addressMask
                        if address &- low < span { body(address, at &+ UInt64(position) &* 8) }
                    }
                }
                at += UInt64(want)
            }
        }
    }

    // MARK: Roots

    /// Roots that refer to blocks of a level, by name.
    private func rootsOf(_ level: Int) throws -> [RootGroup] {
        var groups: [String: RootGroup] = [:]
        let namer = RootNamer(target)
        for root in roots {
            try search.check()
            forEachWord(of: root) { word, place in
                let block = index.block(holding: word & Marker.addressMask)
                guard block >= 0, self.level(block) == level else { return }
                let name = namer.name(root, place)
                groups[name, default: RootGroup(name: name, kind: root.kind)].blocks.insert(block)
            }
        }
        return groups.values.sorted { ($0.rank, $1.blocks.count, $0.name) < ($1.rank, $0.blocks.count, $1.name) }
    }

    private func forEachWord(of root: RootRegion, _ body: (UInt64, UInt64) -> Void) {
        var at = (root.start + 7) & ~7
        while at < root.end {
            if let touched = target.touched, (at & 4095) == 0 { at = touched.firstTouched(from: at, to: root.end) }
            if at >= root.end { return }
            let words = target.memory.words(at: at, count: Int(min(root.end - at, 1 << 16) / 8))
            for (position, word) in words.enumerated() { body(word, at + UInt64(position * 8)) }
            at += words.isEmpty ? 4096 - at % 4096 : UInt64(words.count * 8)
        }
    }

    private func follow(_ groups: [RootGroup], level: Int, of type: TypeInfo, instances: Int64) throws {
        for group in groups.prefix(Self.rootsPerLevel) {
            guard let chain = try chain(group, level: level, of: type), chain.holds > 0 else { continue }
            found.append(chain)
            explained = max(explained, chain.holds)
            if chain.holds * 2 >= instances { return }
        }
    }

    /// From the root down the levels: how many objects stand on each step, and what they mostly are.
    private func chain(_ group: RootGroup, level: Int, of type: TypeInfo) throws -> RetainingChain? {
        var current = try Bitmap(bits: index.granules)
        for block in group.blocks { current.set(block) }
        var steps: [RetainingStep] = []
        for level in stride(from: level, to: 0, by: -1) {
            try search.check()
            let next = try Bitmap(bits: index.granules)
            var names: [StepKey: Int64] = [:]
            var last = -1
            reader.forEach(current) { granule, address, words, count in
                var offset: UInt64?
                for position in 0..<count {
                    let block = index.block(holding: words[position] & Marker.addressMask)
                    guard block >= 0, self.level(block) == level - 1 else { continue }
                    next.set(block)
                    if offset == nil { offset = UInt64(position * 8) }
                }
                // The first part of a block tells its type.
                if granule != last {
                    names[StepKey(first: words[0], offset: offset ?? 0, user: address), default: 0] += 1
                }
                last = granule
            }
            guard let step = step(names) else { return nil }
            steps.append(step)
            current = next
        }
        let holds = Int64(current.count())
        steps.append(RetainingStep(name: BlockTypes.withoutModule(type), count: holds))
        return RetainingChain(
            root: group.name, steps: Self.shown(steps.reversed()), holds: holds,
            isGlobal: group.kind == .globals)
    }

    /// Without the bodies of collections, and without what repeats: a closure and the thunk around it are one step.
    private static func shown(_ steps: [RetainingStep]) -> [RetainingStep] {
        steps.filter { !$0.name.isEmpty }.reduce(into: []) { shown, step in
            if shown.last?.name != step.name { shown.append(step) }
        }
    }

    /// The commonest holder on a step. Bodies of collections are told by the field that holds them.
    private func step(_ names: [StepKey: Int64]) -> RetainingStep? {
        let total = names.values.reduce(0, +)
        guard total > 0, let (key, _) = names.max(by: { ($0.value, $1.key.offset) < ($1.value, $0.key.offset) }) else {
            return nil
        }
        guard let type = types.type(first: key.first, at: key.user) else {
            return RetainingStep(name: "block without a type", count: total)
        }
        return RetainingStep(name: types.holder(type, first: key.first, offset: key.offset) ?? "", count: total)
    }

    private struct StepKey: Hashable {
        var first: UInt64
        var offset: UInt64
        var user: UInt64
        static func == (a: StepKey, b: StepKey) -> Bool { a.first == b.first && a.offset == b.offset }
        func hash(into hasher: inout Hasher) {
            hasher.combine(first)
            hasher.combine(offset)
        }
    }
}

/// Blocks that one root refers to.
struct RootGroup {
    var name: String
    var kind: RootRegion.Kind
    var blocks: Set<Int> = []

    init(name: String, kind: RootRegion.Kind) {
        self.name = name
        self.kind = kind
    }

    /// Globals explain more than stacks, stacks more than nameless memory.
    var rank: Int {
        switch kind {
        case .globals: 0
        case .stack: 1
        case .other: 2
        }
    }
}

/// Collects the blocks whose first word is one of a few.
struct InstanceVisitor: ChunkVisitor {
    let keys: AddressSet
    var special = AddressSet([])
    var found: [(address: UInt64, size: UInt64, isSpecial: Bool, first: UInt64)] = []

    init(keys: AddressSet) { self.keys = keys }

    @inline(__always) mutating func used(_ address: UInt64, size: UInt64, user: UnsafeRawPointer) {
        let first = user.load(as: UInt64.self)
        if keys.contains(first) {
            found.append((address, size, false, first))
        } else if special.contains(first) {
            found.append((address, size, true, first))
        }
    }

    mutating func free(_ address: UInt64, size: UInt64, isTop: Bool) {}
}
