// What is left white when the marking is done, told by type, and the cycles among it, found on real objects: from some
// objects of each type we follow references through white blocks until we are back.

/// Groups the unreachable blocks.
struct Garbage {
    /// Objects of one type from which a cycle is looked for, and blocks that one search may visit.
    static let samples = 8
    static let visits = 4096
    /// Bytes of one block that are searched for references.
    static let longestBlock = 1 << 16

    private let search: LeakSearch
    private let types: BlockTypes
    private var index: HeapIndex { search.index }
    private var white: Bitmap { search.marker.white }

    init(_ search: LeakSearch) {
        self.search = search
        types = BlockTypes(search.target, table: search.visitor.tally.table, ranges: search.ranges)
    }

    fileprivate struct Group {
        var count: Int64 = 0
        var bytes: Int64 = 0
        var samples: [Int] = []
    }

    func report(seconds: Double) throws -> LeakReport {
        var groups: [TypeInfo: Group] = [:]
        var untyped = Group()
        try search.forEachWhite { block in
            if search.typed[block.granule], let type = types.type(first: block.first, at: block.start + 16) {
                groups[type, default: Group()].add(block.size, block.granule)
            } else {
                untyped.add(block.size, block.granule)
            }
            return true
        }
        var unreachable: [UnreachableType] = []
        for (type, group) in groups {
            try search.check()
            unreachable.append(
                UnreachableType(type: type, count: group.count, bytes: group.bytes, cycle: cycle(type, group.samples)))
        }
        let heap = search.ranges.reduce(0) { $0 + $1.mapped }
        return LeakReport(
            pid: search.target.pid,
            unreachable: unreachable.sorted { ($1.bytes, $0.type.name) < ($0.bytes, $1.type.name) },
            untypedCount: untyped.count, untypedBytes: untyped.bytes, heapBytes: Int64(heap),
            pause: search.pause, seconds: seconds, bytesRead: search.target.memory.bytesRead)
    }

    private struct Step {
        var from: Int
        var offset: UInt64
    }

    /// The shortest cycle through one of the samples. Bodies of collections take no step of their own.
    private func cycle(_ type: TypeInfo, _ samples: [Int]) -> [String] {
        for sample in samples {
            if let steps = cycle(through: sample) {
                let names = steps.compactMap { step -> String? in
                    let user = index.chunk(at: step.from).start + 16
                    guard let first = search.target.memory.word(at: user) else { return nil }
                    guard let type = types.type(first: first, at: user) else { return "block without a type" }
                    return types.holder(type, first: first, offset: step.offset)
                }
                return rotated(names)
            }
        }
        return []
    }

    /// The same cycle begins with the same step for each of its types.
    private func rotated(_ names: [String]) -> [String] {
        guard let smallest = names.min(), let place = names.firstIndex(of: smallest) else { return names }
        return Array(names[place...] + names[..<place])
    }

    private func cycle(through start: Int) -> [Step]? {
        var reachedFrom: [Int: Step] = [:]
        var queue = [start]
        var next = 0
        while next < queue.count, queue.count < Self.visits {
            let block = queue[next]
            next += 1
            for (target, offset) in references(from: block) {
                if target == start { return path(to: block, reachedFrom, start) + [Step(from: block, offset: offset)] }
                if reachedFrom[target] == nil {
                    reachedFrom[target] = Step(from: block, offset: offset)
                    queue.append(target)
                }
            }
        }
        return nil
    }

    private func path(to block: Int, _ reachedFrom: [Int: Step], _ start: Int) -> [Step] {
        var steps: [Step] = []
        var at = block
        while at != start, let step = reachedFrom[at] {
            steps.append(step)
            at = step.from
        }
        return steps.reversed()
    }

    /// White blocks that a block refers to.
    private func references(from block: Int) -> [(Int, UInt64)] {
        let chunk = index.chunk(at: block)
        let length = min(Self.longestBlock, Int(chunk.end - chunk.start) - 8)
        let words = search.target.memory.words(at: chunk.start + 16, count: length / 8)
        var found: [(Int, UInt64)] = []
        for (position, word) in words.enumerated() where position != 1 {
            let target = index.block(holding: word & Marker.addressMask)
            if target >= 0, white[target] { found.append((target, UInt64(position * 8))) }
        }
        return found
    }
}

extension Garbage.Group {
    mutating func add(_ size: UInt64, _ granule: Int) {
        count += 1
        bytes += Int64(size)
        if samples.count < Garbage.samples { samples.append(granule) }
    }
}
