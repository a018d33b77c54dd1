// Conservative marking: every word that could be an address inside a block keeps that block. What no word keeps, starting
// from the roots, is unreachable. Three maps of one bit per 16 bytes:
//
//     chunks   where blocks begin
//     white    candidates: in use and not reached yet
//     grey     reached, but not looked into yet
//
// Grey blocks are taken in the order of their addresses: those that lie near each other are read as one piece, many pieces
// with one system call, and whatever turns grey within a piece is looked into at once. A sweep finds what lies ahead
// and leaves what lies behind to the next sweep, so memory stays bounded (2.4 % of the heap) however deep the graph is. Swift keeps tags in the top byte of references: it is
// masked off. A side table (what weak references point to) is a block of the runtime that points back to its object:
// that pointer keeps nothing, and the object keeps its side table, whose address stands shifted in its header.

/// Marks what can be reached.
final class Marker {
    static let addressMask: UInt64 = (1 << 56) - 1
    static let batchBytes = 1 << 18
    static let batchPieces = 128
    /// Blocks closer than this are read as one piece, and a piece is at least this long: a system call's cost for one
    /// more piece is that of about so many bytes.
    static let nearby: UInt64 = 2048

    let index: HeapIndex
    /// Whose memory is read; a copy of the target takes its place once there is one.
    var memory: any TargetMemory
    let white: Bitmap
    private let grey: SparseBitmap
    /// Granules of the runtime's side tables.
    var sideTables: Set<Int> = []
    /// Metadata of blocks that hold no references: strings, arrays of numbers.
    var leaves: Set<UInt64> = []
    private let buffer: UnsafeMutableRawPointer

    init(_ index: HeapIndex, memory: any TargetMemory) throws {
        self.index = index
        self.memory = memory
        white = try Bitmap(bits: index.granules)
        grey = try SparseBitmap(bits: index.granules)
        buffer = .allocate(byteCount: Self.batchBytes + 4096, alignment: 4096)
    }

    deinit { buffer.deallocate() }

    /// Notes that a word may refer to a block.
    @inline(__always) func meet(_ word: UInt64) {
        let address = word & Self.addressMask
        for cluster in index.clusters where address &- cluster.low < cluster.high &- cluster.low {
            reach(address)
            return
        }
    }

    private func reach(_ address: UInt64) {
        let granule = index.block(holding: address)
        if granule >= 0, white[granule] {
            white.clear(granule)
            grey.set(granule)
        }
    }

    /// Takes a block out of the candidates and has it looked into.
    func rescue(_ granule: Int) {
        white.clear(granule)
        grey.set(granule)
    }

    func scan(_ words: UnsafePointer<UInt64>, _ count: Int) {
        let clusters = index.clusters
        if clusters.count == 2 {
            let (low0, span0) = (clusters[0].low, clusters[0].high - clusters[0].low)
            let (low1, span1) = (clusters[1].low, clusters[1].high - clusters[1].low)
            for at in 0..<count {
                let address = words[at] & Self.addressMask
                if address &- low0 < span0 || address &- low1 < span1 { reach(address) }
            }
        } else {
            for at in 0..<count { meet(words[at]) }
        }
    }

    /// Scans memory that is no heap: words at `start`…`end`.
    func scanRoot(_ start: UInt64, _ end: UInt64) {
        var at = (start + 7) & ~7
        while at < end {
            let want = Int(min(UInt64(Self.batchBytes), end - at))
            let got = memory.read(at, into: UnsafeMutableRawBufferPointer(start: buffer, count: want))
            scan(buffer.assumingMemoryBound(to: UInt64.self), got / 8)
            if got < want { at = (at + UInt64(got) & ~4095) + 4096 } else { at += UInt64(got) }
        }
    }

    // MARK: Grey blocks

    /// A run of heap in the buffer.
    private struct Piece {
        var range: Int
        var start: UInt64
        var end: UInt64
        var offset: Int
        /// The first grey block that it was read for.
        var first: Int
    }

    /// What need not be followed.
    private struct Skips {
        var leaves: AddressSet?
        var sideTables: AddressSet?
    }

    /// Looks into grey blocks until there are none. `goOn` is asked between batches.
    func drain(_ goOn: () throws -> Void) rethrows {
        let skips = Skips(
            leaves: leaves.isEmpty ? nil : AddressSet(leaves),
            sideTables: sideTables.isEmpty ? nil : AddressSet(sideTables.map { UInt64($0) }))
        var from = 0
        var found = false
        while true {
            guard let first = grey.first(from: from) else {
                if !found { return }
                (from, found) = (0, false)
                continue
            }
            found = true
            from = lookInto(first, skips)
            try goOn()
        }
    }

    /// A batch that begins with one grey block; answers where the sweep goes on.
    private func lookInto(_ first: Int, _ skips: Skips) -> Int {
        let range = index.range(ofGranule: first)
        let chunk = index.chunk(at: first, inRange: range)
        if chunk.end - chunk.start > UInt64(Self.batchBytes / 2) {
            grey.clear(first)
            scanLarge(first, chunk.start + 16, chunk.end, skips)
            return first + 1
        }
        let pieces = plan(first, range)
        read(pieces)
        var next = pieces[pieces.count - 1].first + 1
        for piece in pieces.reversed() { next = min(next, scan(piece, skips)) }
        return next
    }

    /// Which runs of heap are to be read for the grey blocks from `first` on.
    private func plan(_ first: Int, _ firstRange: Int) -> [Piece] {
        var pieces: [Piece] = []
        var range = firstRange
        var used = 0
        var at: Int? = first
        while let granule = at, pieces.count < Self.batchPieces {
            while granule >= index.bases[range + 1] { range += 1 }
            let chunk = index.chunk(at: granule, inRange: range)
            let end = chunk.end + 8
            if let open = pieces.last, open.range == range, chunk.start < open.end + Self.nearby {
                let length = max(end, open.end) - open.start
                if open.offset + Int(length) > Self.batchBytes { break }
                pieces[pieces.count - 1].end = open.start + length
                used = open.offset + Int(length)
            } else {
                let offset = (used + 15) & ~15
                let limit = max(end, index.ranges[range].end)
                let wanted = max(end, min(limit, chunk.start + Self.nearby))
                if offset + Int(wanted - chunk.start) > Self.batchBytes { break }
                pieces.append(Piece(range: range, start: chunk.start, end: wanted, offset: offset, first: granule))
                used = offset + Int(wanted - chunk.start)
            }
            at = grey.first(from: granule + 1)
        }
        return pieces
    }

    private func read(_ pieces: [Piece]) {
        let requests = pieces.map {
            ReadRequest(address: $0.start, length: Int($0.end - $0.start), destination: buffer + $0.offset)
        }
        requests.withUnsafeBufferPointer { memory.readScattered($0) }
    }

    /// Looks into the grey blocks of a piece, also those that turn grey meanwhile. Answers the first that it could not:
    /// one that reaches beyond the piece.
    private func scan(_ piece: Piece, _ skips: Skips) -> Int {
        let base = index.bases[piece.range]
        let origin = index.ranges[piece.range].start
        let isMapped = index.ranges[piece.range].kind == .mmapped
        let first = isMapped ? base : base + Int((piece.start - origin) >> 4)
        let end = isMapped ? base + 1 : first + Int((piece.end - piece.start) >> 4)
        var from = first
        var found = false
        while true {
            guard let granule = grey.first(from: from), granule < end else {
                if !found { return .max }
                (from, found) = (first, false)
                continue
            }
            let chunk = index.chunk(at: granule, inRange: piece.range)
            if chunk.end + 8 > piece.end { return granule }
            grey.clear(granule)
            found = true
            from = granule + 1
            let user = buffer + piece.offset + Int(chunk.start + 16 - piece.start)
            scanBlock(
                granule, UnsafePointer(user.assumingMemoryBound(to: UInt64.self)), Int(chunk.end - chunk.start - 8) / 8,
                skips)
        }
    }

    @inline(__always)
    private func scanBlock(_ granule: Int, _ words: UnsafePointer<UInt64>, _ count: Int, _ skips: Skips) {
        if count >= 2, words[1] &>> 62 == 3 { meet(Self.sideTable(words[1])) }
        if let leaves = skips.leaves, leaves.contains(words[0]) { return }
        if let tables = skips.sideTables, tables.contains(UInt64(granule)) { return scan(words + 1, count - 1) }
        scan(words, count)
    }

    /// The upper two bits of the header say "side table", the rest is its address in units of eight.
    static func sideTable(_ header: UInt64) -> UInt64 { (header & (1 << 62 - 1)) << 3 }

    private func scanLarge(_ granule: Int, _ start: UInt64, _ end: UInt64, _ skips: Skips) {
        if let leaves = skips.leaves, let first = memory.word(at: start), leaves.contains(first) { return }
        scanRoot(start, end)
    }
}
