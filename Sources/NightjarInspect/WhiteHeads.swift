// Blocks that nothing reached are asked how they begin: the first word tells the type, a hash of the first eight whether
// anybody writes to them. There may be millions: they are read by the hundred.

/// A block that nothing reached.
struct WhiteBlock {
    var granule: Int
    var start: UInt64
    var size: UInt64
    /// Its first word: metadata, where it is a Swift object.
    var first: UInt64
    /// A hash of how it begins.
    var beginning: UInt64
}

/// Reads the beginnings of blocks.
struct WhiteHeads {
    /// Blocks that are read at a time.
    static let most = 512
    private static let words = 8

    private let index: HeapIndex
    private let marker: Marker
    private var buffer = [UInt64](repeating: 0, count: most * words)
    private var blocks: [WhiteBlock] = []
    /// Granules come in rising order nearly always: the next is mostly in the range of the one before.
    private var range = 0

    init(_ search: LeakSearch) {
        index = search.index
        marker = search.marker
        blocks.reserveCapacity(Self.most)
    }

    /// At most `most` of them.
    mutating func read(_ granules: some Collection<Int>) -> [WhiteBlock] {
        blocks.removeAll(keepingCapacity: true)
        for granule in granules.prefix(Self.most) {
            if granule < index.bases[range] || granule >= index.bases[range + 1] {
                range = index.range(ofGranule: granule)
            }
            let chunk = index.chunk(at: granule, inRange: range)
            blocks.append(
                WhiteBlock(granule: granule, start: chunk.start, size: chunk.end - chunk.start, first: 0, beginning: 0))
        }
        buffer.withUnsafeMutableBufferPointer { buffer in
            let requests = blocks.indices.map { number in
                ReadRequest(
                    address: blocks[number].start + 16, length: Self.length(blocks[number]),
                    destination: buffer.baseAddress! + number * Self.words)
            }
            requests.withUnsafeBufferPointer { marker.memory.readScattered($0) }
        }
        for number in blocks.indices {
            let words = buffer[number * Self.words..<number * Self.words + Self.length(blocks[number]) / 8]
            blocks[number].first = words.first ?? 0
            blocks[number].beginning = words.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ $1) &* 0x100_0000_01b3 }
        }
        return blocks
    }

    private static func length(_ block: WhiteBlock) -> Int { Int(min(UInt64(words * 8), block.size - 16)) }
}
