// From any address to the block that holds it, in bounded memory: one bit for every 16 bytes of heap says where a chunk
// begins (glibc's chunks are multiples of 16), a second one which of these are candidates. That is 1.6 % of the heap,
// whatever the number of blocks. An interior pointer is resolved by looking backwards for the nearest set bit.
//
// Ranges are found through a table of 1 MiB slots. Heaps lie in a few clusters far apart (the break, the mmap area), so
// there is one table a cluster and most words of a heap are refused by two subtractions.

/// Finds blocks by address.
final class HeapIndex {
    static let slotShift: UInt64 = 20
    /// Ranges this far apart get tables of their own.
    static let clusterGap: UInt64 = 1 << 30

    struct Cluster {
        var low: UInt64
        var high: UInt64
        var firstSlot: Int
    }

    let ranges: [HeapRange]
    /// The number of each range's first granule (16 bytes), and one past the last.
    let bases: [Int]
    let clusters: [Cluster]
    private let slots: [Int32]
    /// Where chunks begin.
    let chunks: Bitmap

    /// Bytes that an index of these ranges takes, `maps` further maps of the same size included.
    static func memory(of ranges: [HeapRange], maps: Int) -> UInt64 {
        ranges.reduce(0) { $0 + ($1.kind == .mmapped ? 8 : ($1.end - $1.start) / 128) } * UInt64(1 + maps)
    }

    init(_ ranges: [HeapRange]) throws {
        self.ranges = ranges
        var bases: [Int] = []
        var next = 0
        for range in ranges {
            bases.append(next)
            let granules = range.kind == .mmapped ? 64 : Int((range.end - range.start) / 16) + 1
            next += (granules + 63) & ~63
        }
        self.bases = bases + [next]
        chunks = try Bitmap(bits: next)
        (clusters, slots) = Self.clusters(ranges)
        for (index, range) in ranges.enumerated() where range.kind == .mmapped { chunks.set(bases[index]) }
    }

    var granules: Int { bases[bases.count - 1] }

    private static func clusters(_ ranges: [HeapRange]) -> ([Cluster], [Int32]) {
        var clusters: [Cluster] = []
        var slots: [Int32] = []
        var first = 0
        while first < ranges.count {
            var last = first
            while last + 1 < ranges.count, ranges[last + 1].start - ranges[last].end < clusterGap { last += 1 }
            let low = ranges[first].start & ~((1 << slotShift) - 1)
            clusters.append(Cluster(low: low, high: ranges[last].end, firstSlot: slots.count))
            var index = first
            var at = low
            while at < ranges[last].end {
                while ranges[index].end <= at { index += 1 }
                slots.append(Int32(index))
                at += 1 << slotShift
            }
            first = last + 1
        }
        return (clusters, slots)
    }

    /// Which range holds the address; -1 for none.
    @inline(__always) func range(of address: UInt64) -> Int {
        for cluster in clusters where address &- cluster.low < cluster.high &- cluster.low {
            var index = Int(slots[cluster.firstSlot &+ Int((address &- cluster.low) &>> Self.slotShift)])
            while ranges[index].end <= address { index &+= 1 }
            return ranges[index].start <= address ? index : -1
        }
        return -1
    }

    /// The granule at which the block that holds `address` begins; -1 where no block's user bytes hold it.
    @inline(__always) func block(holding address: UInt64) -> Int {
        let index = range(of: address)
        if index < 0 { return -1 }
        let range = ranges[index]
        if range.kind == .mmapped { return address >= range.start &+ 16 ? bases[index] : -1 }
        let granule = bases[index] &+ Int((address &- range.start) &>> 4)
        // The granule of a chunk's own header belongs to nobody: user bytes begin one further.
        return chunks.last(atOrBelow: granule &- 1, floor: bases[index])
    }

    /// Which range a granule belongs to.
    func range(ofGranule granule: Int) -> Int {
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = (low + high) / 2
            if bases[middle + 1] <= granule { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Address of the chunk that begins at a granule, and of the chunk after it.
    func chunk(at granule: Int) -> (start: UInt64, end: UInt64) {
        chunk(at: granule, inRange: range(ofGranule: granule))
    }

    @inline(__always) func chunk(at granule: Int, inRange index: Int) -> (start: UInt64, end: UInt64) {
        let range = ranges[index]
        if range.kind == .mmapped { return (range.start, range.end) }
        let start = range.start &+ UInt64(granule &- bases[index]) &* 16
        let limit = bases[index] &+ Int((range.end &- range.start) &>> 4)
        let next = chunks.next(above: granule, ceiling: limit)
        return (start, range.start &+ UInt64(next &- bases[index]) &* 16)
    }

    /// The granule of a chunk that a walk has met.
    @inline(__always) func granule(ofChunk address: UInt64, inRange index: Int) -> Int {
        let range = ranges[index]
        return range.kind == .mmapped ? bases[index] : bases[index] &+ Int((address &- range.start) &>> 4)
    }
}
