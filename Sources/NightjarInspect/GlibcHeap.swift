// Where glibc keeps its blocks, found from outside by what the memory looks like:
//
//     [heap] mapping      main arena:   |chunk|chunk|…|top|
//     64 MiB-aligned      thread arena: |heap_info|malloc_state|chunk|…|top|      first heap of an arena
//                                       |heap_info|chunk|…|fencepost|             its further heaps
//     page-aligned        mmapped:      |prev 0, size|2|user bytes…|              blocks above the mmap threshold
//     near a page's end   mmapped for an aligned block: |lead…|prev = lead, size|2|user bytes…|
//
// Two full heaps beside each other show as one mapping, so *every* 64 MiB-aligned address of an anonymous writable
// mapping is tested, not only its start: missing this loses a third of a large heap. The sizes of heap_info and
// malloc_state changed between glibc versions; candidates are tried and the one whose chain of chunks holds is taken.

/// A run of glibc chunks, or one mmapped block.
struct HeapRange: Hashable, Sendable {
    enum Kind: Hashable, Sendable { case main, arena, mmapped }
    var kind: Kind
    /// Address of the first chunk's header.
    var start: UInt64
    /// Where the chunks end.
    var end: UInt64
    /// Bytes of the mapping that belong to the allocator, `start`…`end` and what it keeps before them.
    var mapped: UInt64
    /// Address of the arena's `malloc_state`, 0 for the main arena and for mmapped blocks.
    var arena: UInt64

    @inline(__always) func contains(_ address: UInt64) -> Bool { address >= start && address < end }
}

/// Finds the heaps of glibc's malloc in a memory map.
struct HeapFinder {
    static let heapSize: UInt64 = 64 << 20
    static let pageSize: UInt64 = 4096
    /// sizeof(heap_info) + sizeof(malloc_state) rounded to 16, in a first heap: glibc 2.35 and later first.
    static let firstOffsets: [UInt64] = [0x8d0, 0x8c0, 0x8b0, 0x8e0, 0x890, 0x8a0]
    /// sizeof(heap_info), in further heaps: glibc 2.35 and later first.
    static let furtherOffsets: [UInt64] = [0x30, 0x20, 0x40]
    /// An mmapped block is at least this long; shorter ones are not believed, because small numbers are everywhere.
    static let smallestMapped: UInt64 = 32 << 10
    /// Without the page table (pagemap), larger mappings are only looked at where a heap may begin.
    static let largestBlind: UInt64 = 1 << 30

    let memory: any TargetMemory
    let map: TargetMap
    /// Tells which pages were ever touched; nil where that cannot be read.
    let touched: (any TouchedPages)?

    /// All ranges, in the order of their addresses.
    func find() -> [HeapRange] {
        var found: [HeapRange] = []
        for region in map.regions where region.writable && region.readable && region.anonymous && !region.shared {
            if region.path == "[heap]" {
                if let main = mainHeap(region) { found.append(main) }
            } else if region.path.isEmpty || region.path.utf8.starts(with: "[anon".utf8) {
                search(region, into: &found)
            }
        }
        return found.sorted { $0.start < $1.start }
    }

    private func mainHeap(_ region: TargetRegion) -> HeapRange? {
        for offset in [UInt64(0), 8, 16] where chainHolds(from: region.start + offset, to: region.end, steps: 16) {
            return HeapRange(
                kind: .main, start: region.start + offset, end: region.end, mapped: region.length, arena: 0)
        }
        // The break does not start on a page in some static programs: the first chunk lies where its tcache size stands.
        guard let words = Optional(memory.words(at: region.start, count: 512)), words.count == 512 else { return nil }
        for index in stride(from: 1, to: 512, by: 2) where words[index] == 0x291 {
            let start = region.start + UInt64(index - 1) * 8
            guard chainHolds(from: start, to: region.end, steps: 16) else { continue }
            return HeapRange(kind: .main, start: start, end: region.end, mapped: region.length, arena: 0)
        }
        return nil
    }

    /// Whether a chain of plausible chunks starts here.
    private func chainHolds(from start: UInt64, to end: UInt64, steps: Int) -> Bool {
        var at = start
        for _ in 0..<steps {
            guard at + 16 <= end, let size = memory.word(at: at + 8).map({ $0 & ~7 }) else { return false }
            if at + size == end { return size >= 16 }
            guard size >= 32, size % 16 == 0, at + size < end else { return size <= 16 && at + 64 >= end }
            at += size
        }
        return true
    }

    private func search(_ region: TargetRegion, into found: inout [HeapRange]) {
        var at = region.start
        var heads = PageHeads(memory: memory, region: region, touched: touched)
        let everyPage = touched != nil || region.length <= Self.largestBlind
        while at < region.end {
            if at % Self.heapSize == 0, let heap = arenaHeap(at, in: region) {
                found.append(heap)
                at += Self.heapSize
                continue
            }
            if everyPage || at == region.start, let block = mappedBlock(at, heads: &heads, in: region) {
                found.append(block)
                at = block.end + Self.pageSize - 1 & ~(Self.pageSize - 1)
                continue
            }
            if everyPage {
                at += heads.step(from: at)
            } else {
                at = (at / Self.heapSize + 1) * Self.heapSize
            }
        }
    }

    /// heap_info: { ar_ptr, prev, size, mprotect_size, … }, and the arena must point to itself.
    private func arenaHeap(_ at: UInt64, in region: TargetRegion) -> HeapRange? {
        let info = memory.words(at: at, count: 4)
        guard info.count == 4 else { return nil }
        let (arena, size, protected) = (info[0], info[2], info[3])
        let first = arena & ~(Self.heapSize - 1)
        guard size > 0, size % Self.pageSize == 0, protected % Self.pageSize == 0, size <= protected,
            protected <= Self.heapSize, Self.furtherOffsets.contains(arena &- first), at + size <= region.end,
            memory.word(at: first) == arena
        else { return nil }
        let candidates = first == at ? Self.firstOffsets : Self.furtherOffsets
        for offset in candidates where chainHolds(from: at + offset, to: at + size, steps: 64) {
            return HeapRange(kind: .arena, start: at + offset, end: at + size, mapped: size, arena: arena)
        }
        return nil
    }

    private func mappedBlock(_ at: UInt64, heads: inout PageHeads, in region: TargetRegion) -> HeapRange? {
        let head = heads.head(at)
        func believable(_ size: UInt64, from chunk: UInt64) -> Bool {
            size & 7 == 2 && size >= Self.smallestMapped && chunk + (size & ~7) <= region.end
        }
        if head.previous == 0, believable(head.size, from: at), (head.size & ~7) % Self.pageSize == 0 {
            let end = at + (head.size & ~7)
            return HeapRange(kind: .mmapped, start: at, end: end, mapped: end - at, arena: 0)
        }
        let chunk = at + Self.pageSize - 16
        if head.lead & 0xfff == 0xff0, believable(head.leadSize, from: chunk), chunk &- head.lead >= region.start,
            (head.lead + (head.leadSize & ~7)) % Self.pageSize == 0
        {
            let end = chunk + (head.leadSize & ~7)
            return HeapRange(kind: .mmapped, start: chunk, end: end, mapped: end - (chunk - head.lead), arena: 0)
        }
        return nil
    }
}

/// The first and the last two words of pages, read 256 pages at a time.
private struct PageHeads {
    struct Head {
        var previous: UInt64 = 0
        var size: UInt64 = 0
        var lead: UInt64 = 0
        var leadSize: UInt64 = 0
    }
    static let window = 256

    let memory: any TargetMemory
    let region: TargetRegion
    let touched: (any TouchedPages)?
    private var start: UInt64 = 0
    private var heads: [Head] = []

    init(memory: any TargetMemory, region: TargetRegion, touched: (any TouchedPages)?) {
        self.memory = memory
        self.region = region
        self.touched = touched
    }

    mutating func head(_ at: UInt64) -> Head {
        if at < start || at >= start + UInt64(heads.count) * HeapFinder.pageSize { fill(from: at) }
        return heads[Int((at - start) / HeapFinder.pageSize)]
    }

    /// How far the next page worth a look is away: over runs that were never touched it jumps.
    mutating func step(from at: UInt64) -> UInt64 {
        guard let touched, (at / HeapFinder.pageSize) % 64 == 0 else { return HeapFinder.pageSize }
        let next = touched.firstTouched(from: at + HeapFinder.pageSize, to: region.end)
        // An aligned heap is tested by its own rule, so it must not be jumped over.
        let aligned = (at / HeapFinder.heapSize + 1) * HeapFinder.heapSize
        return max(HeapFinder.pageSize, min(next, aligned) - at)
    }

    private mutating func fill(from at: UInt64) {
        start = at
        let count = Int(min(UInt64(Self.window), (region.end - at) / HeapFinder.pageSize))
        var read = [Head](repeating: Head(), count: count)
        let skip = touched?.untouched(from: at, count: count) ?? []
        read.withUnsafeMutableBytes { bytes in
            var requests: [ReadRequest] = []
            for index in 0..<count where skip.isEmpty || !skip[index] {
                let page = at + UInt64(index) * HeapFinder.pageSize
                let place = bytes.baseAddress! + index * MemoryLayout<Head>.stride
                requests.append(ReadRequest(address: page, length: 16, destination: place))
                requests.append(
                    ReadRequest(address: page + HeapFinder.pageSize - 16, length: 16, destination: place + 16))
            }
            requests.withUnsafeBufferPointer { memory.readScattered($0) }
        }
        heads = read
    }
}
