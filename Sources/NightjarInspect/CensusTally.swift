// What the census does with each chunk. The common case, a block whose first word was met before, is one look-up.
//
// Blocks in a tcache or a fastbin look used. glibc writes a *protected* link over their first word: p ^ (address >> 12),
// where p is 0 or the next block of the list, so they never look typed, and are recognised by undoing the protection.

/// Counts the chunks of all heaps.
struct CensusTally: ChunkVisitor {
    /// How an entry of the table is to be read.
    enum Tag {
        static let none = TallyTable.noType, type: UInt32 = 1, context: UInt32 = 2, genericBox: UInt32 = 3
        static let error: UInt32 = 4, task: UInt32 = 5, perBlockError: UInt32 = 6, perBlockTask: UInt32 = 7
    }
    /// Keys made from a word of the block instead of its metadata carry a mark above the addresses.
    static let errorMark: UInt64 = 1 << 60
    static let taskMark: UInt64 = 1 << 61
    /// Blocks up to this size may sit in a tcache (default `glibc.malloc.tcache_max`), with their 16 bytes of overhead.
    static let largestCached: UInt64 = 1040

    let metadata: SwiftMetadata
    let ranges: [HeapRange]
    let table = TallyTable()

    var typedCount: UInt64 = 0
    var typedBytes: UInt64 = 0
    /// By size in 16-byte steps up to 1 KiB, then by powers of two: count and bytes.
    var untyped = [(count: UInt64, bytes: UInt64)](repeating: (0, 0), count: SizeClass.count)
    var cached: (count: UInt64, bytes: UInt64) = (0, 0)
    var free: (count: UInt64, bytes: UInt64) = (0, 0)
    var top: UInt64 = 0
    /// Whole pages inside free chunks and tops: what malloc_trim(0) could give back at most.
    var trimmable: UInt64 = 0
    var holes = LargestHoles()

    @inline(__always) mutating func used(_ address: UInt64, size: UInt64, user: UnsafeRawPointer) {
        let first = user.load(as: UInt64.self)
        if first & 7 == 0, first > 0x1000, first < 1 << 47, let entry = table.find(first) {
            if entry.pointee.tag > Tag.genericBox {
                special(entry.pointee.tag, address, size, user)
            } else {
                entry.pointee.count &+= 1
                entry.pointee.bytes &+= size
            }
            return
        }
        meetNew(first, address, size, user)
    }

    mutating func free(_ address: UInt64, size: UInt64, isTop: Bool) {
        if isTop { top &+= size }
        free.count &+= 1
        free.bytes &+= size
        // The first 48 bytes of a free chunk hold its links.
        let from = (address &+ 48 &+ 4095) & ~4095
        let to = (address &+ size) & ~4095
        if to > from { trimmable &+= to &- from }
        if !isTop { holes.add(size) }
    }

    /// A first word that was not met before.
    private mutating func meetNew(_ first: UInt64, _ address: UInt64, _ size: UInt64, _ user: UnsafeRawPointer) {
        let plausible = first & 7 == 0 && first > 0x1000 && first < 1 << 47
        if plausible, let kind = metadata.heapKind(first) {
            let tag: UInt32 =
                switch kind {
                case .class: Tag.type
                case .context: Tag.context
                case .genericBox: Tag.genericBox
                case .errorBox: Tag.error
                case .task: Tag.task
                }
            if tag > Tag.genericBox {
                table.insert(.init(key: first, count: 0, bytes: 0, sample: address, tag: tag))
                special(tag, address, size, user)
            } else {
                table.insert(.init(key: first, count: 1, bytes: size, sample: address, tag: tag))
            }
        } else if size <= Self.largestCached, isCached(first, address) {
            cached.count &+= 1
            cached.bytes &+= size
        } else if plausible, metadata.map.region(at: first) != nil {
            table.insert(.init(key: first, count: 1, bytes: size, sample: address, tag: Tag.none))
        } else {
            addUntyped(size)
        }
    }

    mutating func addUntyped(_ size: UInt64) {
        let index = SizeClass.index(size)
        untyped[index].count &+= 1
        untyped[index].bytes &+= size
    }

    /// Error boxes and tasks share one metadata record each: a word of the block tells them apart.
    private mutating func special(_ tag: UInt32, _ address: UInt64, _ size: UInt64, _ user: UnsafeRawPointer) {
        // An error box has its type at +16, a task the function that it will resume at +56.
        let isError = tag == Tag.error
        let offset = isError ? 16 : 56
        guard size >= 16 + UInt64(offset) + 8 else { return addUntyped(size) }
        let word = user.load(fromByteOffset: offset, as: UInt64.self) & (1 << 56 - 1)
        let key = word | (isError ? Self.errorMark : Self.taskMark)
        if let entry = table.find(key) {
            entry.pointee.count &+= 1
            entry.pointee.bytes &+= size
        } else {
            let tag = isError ? Tag.perBlockError : Tag.perBlockTask
            table.insert(.init(key: key, count: 1, bytes: size, sample: address, tag: tag))
        }
    }

    /// Whether the first word is a protected link of a tcache or a fastbin.
    private func isCached(_ first: UInt64, _ address: UInt64) -> Bool {
        let next = first ^ (address >> 12)
        if next == 0 { return true }
        guard next & 15 == 0 else { return false }
        return isInHeap(next)
    }

    private func isInHeap(_ address: UInt64) -> Bool {
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].end <= address { low = middle + 1 } else { high = middle }
        }
        return low < ranges.count && ranges[low].kind != .mmapped && ranges[low].contains(address)
    }
}

/// Classes of block sizes, for blocks without a type.
enum SizeClass {
    static let count = 64 + 40

    static func index(_ size: UInt64) -> Int {
        if size <= 1024 { return Int((size - 1) / 16) }
        return min(count - 1, 64 + 63 - (size - 1).leadingZeroBitCount - 10)
    }

    /// The largest size that belongs to the class.
    static func limit(_ index: Int) -> UInt64 {
        index < 64 ? UInt64(index + 1) * 16 : 2048 << UInt64(index - 64)
    }
}

/// The eight largest free chunks.
struct LargestHoles: Hashable {
    static let count = 8
    private(set) var sizes: [UInt64] = []

    @inline(__always) mutating func add(_ size: UInt64) {
        if sizes.count == Self.count, size <= sizes[Self.count - 1] { return }
        insert(size)
    }

    private mutating func insert(_ size: UInt64) {
        sizes.insert(size, at: sizes.firstIndex { $0 < size } ?? sizes.count)
        if sizes.count > Self.count { sizes.removeLast() }
    }
}
