// Walks the chunks of a heap from the first to the top:
//
//     x      x+8              x+16                    x+size
//     │ prev │ size │ M A P │ user bytes …            │ prev │ size │ … P = 1: the chunk at x is in use
//
// Memory is read in pieces of 256 KiB. When a chunk's successor lies past the piece, the next piece begins at that chunk;
// for a chunk larger than a piece only the successor's size is read. The target runs meanwhile, so a chain may break:
// the walk stops there and says how many bytes it did not see; the caller may try that heap again.

/// Told of every chunk, in the order of addresses.
protocol ChunkVisitor {
    /// A block that the program holds (or that sits in a tcache or fastbin, which looks the same).
    /// `user` points to the first bytes: min(size − 16, 64) of them may be read.
    mutating func used(_ address: UInt64, size: UInt64, user: UnsafeRawPointer)
    /// A chunk on a free list, or the top chunk of the heap.
    mutating func free(_ address: UInt64, size: UInt64, isTop: Bool)
}

/// How one walk ended.
struct WalkOutcome: Hashable {
    /// Bytes that were not walked, because the chain broke.
    var missed: UInt64 = 0
}

/// Walks heaps with one buffer.
final class HeapWalker {
    static let pieceSize = 1 << 18
    /// Bytes behind a chunk's user address that a visitor may look at.
    static let peek: UInt64 = 64

    private let memory: any TargetMemory
    private let buffer: UnsafeMutableRawPointer
    private var bufferStart: UInt64 = 0
    private var bufferEnd: UInt64 = 0

    init(_ memory: any TargetMemory) {
        self.memory = memory
        buffer = .allocate(byteCount: Self.pieceSize + 64, alignment: 4096)
    }

    deinit { buffer.deallocate() }

    private func fill(from address: UInt64, to end: UInt64) {
        let want = Int(min(UInt64(Self.pieceSize), end - address))
        let got = memory.read(address, into: UnsafeMutableRawBufferPointer(start: buffer, count: want))
        bufferStart = address
        bufferEnd = address + UInt64(got)
    }

    func walk<Visitor: ChunkVisitor>(_ range: HeapRange, _ visitor: inout Visitor) -> WalkOutcome {
        if range.kind == .mmapped { return walkMapped(range, &visitor) }
        var at = range.start
        bufferEnd = 0
        while at < range.end {
            if at + 32 + Self.peek > bufferEnd, bufferEnd < range.end || bufferEnd == 0 {
                fill(from: at, to: range.end)
            }
            guard at + 16 <= bufferEnd else { return WalkOutcome(missed: range.end - at) }
            at = walkPiece(from: at, range, &visitor)
            let state = step
            if state == .finished { break }
            if state == .broken { return WalkOutcome(missed: range.end - at) }
            if state == .large {
                guard let next = passLarge(at, range, &visitor) else { return WalkOutcome(missed: range.end - at) }
                at = next
            } else if state == .refill, at != bufferStart {
                fill(from: at, to: range.end)
            }
        }
        return WalkOutcome()
    }

    private enum Step { case refill, large, finished, broken }
    private var step = Step.refill

    /// The hot loop: all chunks that lie wholly in the buffer.
    @inline(__always)
    private func walkPiece<Visitor: ChunkVisitor>(
        from first: UInt64, _ range: HeapRange, _ visitor: inout Visitor
    ) -> UInt64 {
        let base = UnsafeRawPointer(buffer)
        let (start, filled, end) = (bufferStart, bufferEnd, range.end)
        var at = first
        while true {
            if at &+ 16 > filled {
                step = at >= end ? .finished : .refill
                return at
            }
            let chunk = base + Int(at &- start)
            let size = chunk.load(fromByteOffset: 8, as: UInt64.self) & ~7
            let next = at &+ size
            if size < 32 || size & 15 != 0 || next > end || next < at {
                step = isFencepost(at, size, end) ? .finished : .broken
                return at
            }
            if next &+ 16 > end {
                visitor.free(at, size: size, isTop: true)
                step = .finished
                return next
            }
            if next &+ 16 > filled || at &+ 16 &+ min(size &- 16, Self.peek) > filled {
                step = at == start ? .large : .refill
                return at
            }
            if chunk.load(fromByteOffset: Int(size) &+ 8, as: UInt64.self) & 1 != 0 {
                visitor.used(at &+ 16, size: size, user: chunk + 16)
            } else {
                visitor.free(at, size: size, isTop: false)
            }
            at = next
        }
    }

    /// The end of a heap that its arena has left: a chunk of 16 bytes and one of none.
    @inline(__always)
    private func isFencepost(_ at: UInt64, _ size: UInt64, _ end: UInt64) -> Bool {
        (size == 16 && at &+ 48 >= end) || (size == 0 && at &+ 32 >= end)
    }

    /// A chunk longer than the buffer, which begins the buffer.
    private func passLarge<Visitor: ChunkVisitor>(
        _ at: UInt64, _ range: HeapRange, _ visitor: inout Visitor
    ) -> UInt64? {
        let size = buffer.load(fromByteOffset: 8, as: UInt64.self) & ~7
        guard let following = memory.word(at: at + size + 8) else { return nil }
        if following & 1 != 0 {
            visitor.used(at + 16, size: size, user: UnsafeRawPointer(buffer) + 16)
        } else {
            visitor.free(at, size: size, isTop: false)
        }
        return at + size
    }

    private func walkMapped<Visitor: ChunkVisitor>(_ range: HeapRange, _ visitor: inout Visitor) -> WalkOutcome {
        let head = UnsafeMutableRawBufferPointer(start: buffer, count: 16 + Int(Self.peek))
        guard memory.read(range.start, into: head) == head.count else {
            return WalkOutcome(missed: range.end - range.start)
        }
        visitor.used(range.start + 16, size: range.end - range.start, user: UnsafeRawPointer(buffer) + 16)
        return WalkOutcome()
    }
}
