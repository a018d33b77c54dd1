// Reads the blocks that a bitmap names, in the order of their addresses, near ones together.

/// Hands out the contents of chosen blocks.
final class BlockReader {
    private static let batchBytes = 1 << 19
    private let index: HeapIndex
    private let memory: any TargetMemory
    private let buffer: UnsafeMutableRawPointer

    init(_ index: HeapIndex, memory: any TargetMemory) {
        self.index = index
        self.memory = memory
        buffer = .allocate(byteCount: Self.batchBytes, alignment: 4096)
    }

    deinit { buffer.deallocate() }

    /// Tells `body` of every chosen block: granule, user address, its words. Of a block larger than 512 KiB it tells in
    /// parts, each with the address at which the part begins.
    func forEach(
        _ chosen: Bitmap,
        _ body: (_ granule: Int, _ address: UInt64, _ words: UnsafePointer<UInt64>, _ count: Int) -> Void
    ) {
        var batch: [(granule: Int, start: UInt64, length: Int, offset: Int)] = []
        var pieces: [(start: UInt64, length: Int, offset: Int)] = []
        var used = 0
        func flush() {
            let requests = pieces.map {
                ReadRequest(address: $0.start, length: $0.length, destination: buffer + $0.offset)
            }
            requests.withUnsafeBufferPointer { memory.readScattered($0) }
            for block in batch {
                let words = UnsafePointer((buffer + block.offset).assumingMemoryBound(to: UInt64.self))
                body(block.granule, block.start, words, block.length / 8)
            }
            batch.removeAll(keepingCapacity: true)
            pieces.removeAll(keepingCapacity: true)
            used = 0
        }
        func add(_ granule: Int, _ start: UInt64, _ length: Int) {
            if let open = pieces.last, start >= open.start, start < open.start + UInt64(open.length) + Marker.nearby {
                let offset = open.offset + Int(start - open.start)
                if offset + length <= Self.batchBytes {
                    pieces[pieces.count - 1].length = max(open.length, offset + length - open.offset)
                    batch.append((granule, start, length, offset))
                    used = max(used, (offset + length + 15) & ~15)
                    return
                }
            }
            if used + length > Self.batchBytes || pieces.count == 512 { flush() }
            pieces.append((start, length, used))
            batch.append((granule, start, length, used))
            used += (length + 15) & ~15
        }
        for number in index.ranges.indices {
            var granule = index.bases[number] - 1
            while true {
                granule = chosen.next(above: granule, ceiling: index.bases[number + 1])
                if granule >= index.bases[number + 1] { break }
                let chunk = index.chunk(at: granule, inRange: number)
                var at = chunk.start + 16
                let end = min(chunk.end + 8, index.ranges[number].end)
                while at < end {
                    let length = Int(min(end - at, UInt64(Self.batchBytes)))
                    add(granule, at, length)
                    at += UInt64(length)
                }
            }
        }
        flush()
    }
}
