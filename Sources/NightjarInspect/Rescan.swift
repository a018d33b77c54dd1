// One more look at the whole heap while the target stands still, as fast as it can be read: which words refer to white
// blocks, and which white blocks are no longer what they were. Two threads share the work; nothing is written but lists.

import CNightjarLinux
import Glibc
import Synchronization

/// Finds references to white blocks from blocks that are not white.
final class Rescan: @unchecked Sendable {
    static let pieceSize: UInt64 = 1 << 18
    static let coarseShift: UInt64 = 16

    /// Addresses that refer to white blocks from outside them.
    private(set) var rescued: [UInt64] = []
    /// White blocks whose header changed: freed, reused or merged since the walk.
    private(set) var changed: [Int] = []

    private let index: HeapIndex
    private let white: Bitmap
    var memory: any TargetMemory
    /// One map a cluster: is there any white block in this 64 KiB?
    private var coarse: [Bitmap] = []
    private var pieces: [(range: Int, start: UInt64, end: UInt64)] = []
    private let nextPiece = Atomic<Int>(0)
    /// Past this time the target must go on, finished or not.
    var deadline = Double.infinity
    private let late = Atomic<Bool>(false)
    /// Whether the whole heap was looked at.
    var isComplete: Bool { !late.load(ordering: .relaxed) }

    /// Side tables point to their objects and keep nothing.
    private let sideTables: AddressSet

    init(index: HeapIndex, white: Bitmap, sideTables: Set<Int>, memory: any TargetMemory) throws {
        self.sideTables = AddressSet(sideTables.map { UInt64($0) })
        self.index = index
        self.white = white
        self.memory = memory
        for cluster in index.clusters {
            coarse.append(try Bitmap(bits: Int((cluster.high - cluster.low) >> Self.coarseShift) + 1))
        }
        for number in index.ranges.indices { noteWhite(number) }
        for (number, range) in index.ranges.enumerated() {
            for start in stride(from: range.start, to: range.end, by: Int(Self.pieceSize)) {
                pieces.append((number, start, min(start + Self.pieceSize, range.end)))
            }
        }
    }

    private func noteWhite(_ number: Int) {
        var granule = index.bases[number] - 1
        while true {
            granule = white.next(above: granule, ceiling: index.bases[number + 1])
            if granule >= index.bases[number + 1] { return }
            let chunk = index.chunk(at: granule, inRange: number)
            guard let which = index.clusters.firstIndex(where: { chunk.start >= $0.low && chunk.start < $0.high })
            else {
                continue
            }
            let low = index.clusters[which].low
            for part in (chunk.start - low) >> Self.coarseShift...(chunk.end - 1 - low) >> Self.coarseShift {
                coarse[which].set(Int(part))
            }
        }
    }

    /// Reads the whole heap, on two threads where there is enough of it.
    func heap() {
        // Recorded images are small and their reader is made for one thread.
        guard pieces.count > 16, let twin = memory.twin() else { return take(into: Findings()) }
        secondMemory = twin
        var thread = pthread_t()
        let started =
            pthread_create(
                &thread, nil,
                { context in
                    let rescan = Unmanaged<Rescan>.fromOpaque(context!).takeUnretainedValue()
                    rescan.work(rescan.second, rescan.secondMemory!)
                    return nil
                }, Unmanaged.passUnretained(self).toOpaque()) == 0
        let first = Findings()
        work(first, memory)
        if started {
            pthread_join(thread, nil)
            collect(second)
        }
        collect(first)
    }

    /// What one thread found.
    final class Findings {
        var rescued: [UInt64] = []
        var changed: [Int] = []
    }
    private let second = Findings()
    private var secondMemory: (any TargetMemory)?

    private func take(into findings: Findings) {
        work(findings, memory)
        collect(findings)
    }

    private func collect(_ findings: Findings) {
        rescued += findings.rescued
        changed += findings.changed
    }

    private func work(_ findings: Findings, _ memory: any TargetMemory) {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(Self.pieceSize), alignment: 4096)
        defer { buffer.deallocate() }
        while true {
            let number = nextPiece.wrappingAdd(1, ordering: .relaxed).oldValue
            guard number < pieces.count else { return }
            if monotonicSeconds() > deadline { return late.store(true, ordering: .relaxed) }
            let piece = pieces[number]
            let want = UnsafeMutableRawBufferPointer(rebasing: buffer[..<Int(piece.end - piece.start)])
            let got = memory.read(piece.start, into: want)
            let words = UnsafePointer(want.baseAddress!.assumingMemoryBound(to: UInt64.self))
            scan(words, got / 8, at: piece.start, findings)
            if index.ranges[piece.range].kind != .mmapped { verify(words, got / 8, piece, findings) }
        }
    }

    private func scan(_ words: UnsafePointer<UInt64>, _ count: Int, at start: UInt64, _ findings: Findings) {
        // Nearly always two clusters: the break and the mmap area. One pass then serves both.
        guard index.clusters.count == 2 else {
            for (number, cluster) in index.clusters.enumerated() {
                for at in 0..<count {
                    look(words[at], cluster.low, cluster.high - cluster.low, coarse[number].words, start, at, findings)
                }
            }
            return
        }
        let (first, second) = (index.clusters[0], index.clusters[1])
        let (low0, span0, near0) = (first.low, first.high - first.low, coarse[0].words)
        let (low1, span1, near1) = (second.low, second.high - second.low, coarse[1].words)
        for at in 0..<count {
            look(words[at], low1, span1, near1, start, at, findings)
            look(words[at], low0, span0, near0, start, at, findings)
        }
    }

    @inline(__always) private func look(
        _ word: UInt64, _ low: UInt64, _ span: UInt64, _ near: UnsafeMutablePointer<UInt64>, _ start: UInt64, _ at: Int,
        _ findings: Findings
    ) {
        let offset = (word & Marker.addressMask) &- low
        guard offset < span else { return }
        let part = Int(offset &>> Self.coarseShift)
        if near[part &>> 6] &>> UInt64(part & 63) & 1 != 0 {
            closely(offset &+ low, from: start &+ UInt64(at) &* 8, findings)
        }
    }

    /// The word refers to the neighbourhood of a white block: does it refer to one, and from outside?
    private func closely(_ address: UInt64, from place: UInt64, _ findings: Findings) {
        let block = index.block(holding: address)
        guard block >= 0, white[block] else { return }
        let source = index.block(holding: place)
        if source >= 0, white[source] || sideTables.contains(UInt64(source)) { return }
        findings.rescued.append(address)
    }

    /// The chunk headers of white blocks in this piece still say what they said.
    private func verify(
        _ words: UnsafePointer<UInt64>, _ count: Int, _ piece: (range: Int, start: UInt64, end: UInt64),
        _ findings: Findings
    ) {
        let base = index.bases[piece.range]
        let first = base + Int((piece.start - index.ranges[piece.range].start) >> 4)
        let end = first + count / 2
        var granule = first - 1
        while true {
            granule = white.next(above: granule, ceiling: end)
            if granule >= end { return }
            let chunk = index.chunk(at: granule, inRange: piece.range)
            let size = words[(granule - first) * 2 + 1] & ~7
            let after = (granule - first) * 2 + Int((chunk.end - chunk.start) / 8) + 1
            let inUse = after < count ? words[after] & 1 != 0 : true
            if size != chunk.end - chunk.start || !inUse { findings.changed.append(granule) }
        }
    }
}
