import Testing

@testable import NightjarInspect

@Suite("Heaps of glibc, found by how they look") struct HeapFinderTests {
    let arenaBase: UInt64 = 0x7f00_0400_0000  // a multiple of 64 MiB

    func find(_ heaps: [FakeHeap], _ maps: String) -> [HeapRange] {
        let target = target(heaps, maps: maps)
        return HeapFinder(memory: target.memory, map: target.map, touched: nil).find()
    }

    @Test func `the main heap begins at its mapping and ends with its top`() {
        var heap = FakeHeap(at: 0x1000_0000)
        heap.chunk(0x290)
        heap.chunk(64)
        heap.top(upTo: 0x21000)
        let found = find([heap], "10000000-10021000 rw-p 0 0:0 0 [heap]\n")
        #expect(found == [HeapRange(kind: .main, start: 0x1000_0000, end: 0x1002_1000, mapped: 0x21000, arena: 0)])
    }

    /// glibc before 2.35 has a heap_info of 0x20 bytes.
    @Test(arguments: [(info: 0x30, header: 0x8d0), (info: 0x20, header: 0x8c0), (info: 0x20, header: 0x8b0)])
    func `an arena's first heap is found with any version's headers`(sizes: (info: Int, header: Int)) {
        var heap = FakeHeap(at: arenaBase)
        heap.arenaHeader(info: sizes.info, header: sizes.header, size: 0x21000)
        for size in [48, 64, 4096] { heap.chunk(size, flags: 4) }
        heap.top(upTo: 0x21000)
        let found = find([heap], "7f0004000000-7f0004021000 rw-p 0 0:0 0\n")
        #expect(found.map(\.start) == [arenaBase + UInt64(sizes.header)])
        #expect(found.map(\.kind) == [.arena])
    }

    @Test func `two heaps that lie beside each other in one mapping are two heaps`() {
        var first = FakeHeap(at: arenaBase)
        first.arenaHeader(info: 0x30, header: 0x8d0, size: 64 << 20)
        first.chunk((64 << 20) - 0x8d0 - 0x30, flags: 4)
        first.chunk(16)
        first.chunk(32)
        var second = FakeHeap(at: arenaBase + 64 << 20)
        for value in [arenaBase + 0x30, arenaBase, 0x21000, 0x21000, 0, 0] { second.word(value) }
        second.chunk(64)
        second.top(upTo: 0x21000)
        let found = find([first, second], "7f0004000000-7f0008021000 rw-p 0 0:0 0\n")
        #expect(found.map(\.start) == [arenaBase + 0x8d0, arenaBase + 64 << 20 + 0x30])
    }

    @Test func `a block above the mmap threshold is found inside a merged mapping`() {
        var block = FakeHeap(at: 0x7f11_0000_0000)
        block.zeros(0x3000)
        block.word(0)
        block.word(0x20000 | 2)
        block.zeros(0x20000 - 16)
        let found = find([block], "7f1100000000-7f1100023000 rw-p 0 0:0 0\n")
        #expect(
            found == [
                HeapRange(
                    kind: .mmapped, start: 0x7f11_0000_3000, end: 0x7f11_0002_3000, mapped: 0x20000, arena: 0)
            ])
    }

    @Test func `an aligned mmapped block is found behind its lead`() {
        var block = FakeHeap(at: 0x7f11_0000_0000)
        block.zeros(0xff0)
        block.word(0xff0)
        block.word((0x20000 - 0xff0) | 2)
        block.zeros(0x20000 - 0x1000)
        let found = find([block], "7f1100000000-7f1100020000 rw-p 0 0:0 0\n")
        #expect(found.map(\.start) == [0x7f11_0000_0ff0])
        #expect(found.map(\.mapped) == [0x20000])
    }

    @Test func `memory that only resembles a heap is none`() {
        var fake = FakeHeap(at: arenaBase)
        // Points to itself as an arena does, but the chain of chunks breaks.
        fake.arenaHeader(info: 0x30, header: 0x8d0, size: 0x21000)
        fake.chunk(64)
        fake.word(0)
        fake.word(7)
        fake.zeros(0x21000 - fake.bytes.count)
        #expect(find([fake], "7f0004000000-7f0004021000 rw-p 0 0:0 0\n").isEmpty)
    }

    @Test func `shared and file mappings are never taken for heaps`() {
        var heap = FakeHeap(at: 0x1000_0000)
        heap.top(upTo: 0x21000)
        #expect(find([heap], "10000000-10021000 rw-s 0 0:0 0 [heap]\n").isEmpty)
        #expect(find([heap], "10000000-10021000 rw-p 0 8:1 77 /tmp/x\n").isEmpty)
    }
}

@Suite("A walk over a heap") struct HeapWalkerTests {
    func walk(_ heap: FakeHeap) -> (Collector, WalkOutcome) {
        let target = target([heap], maps: "10000000-20000000 rw-p 0 0:0 0 [heap]\n")
        var collector = Collector()
        let range = HeapRange(kind: .main, start: heap.start, end: heap.end, mapped: 0, arena: 0)
        let outcome = HeapWalker(target.memory).walk(range, &collector)
        return (collector, outcome)
    }

    @Test func `used, free and top chunks are told apart`() {
        var heap = FakeHeap(at: 0x1000_0000)
        heap.chunk(48)
        heap.chunk(64, inUse: false)
        heap.chunk(80)
        heap.top(upTo: 4096)
        let (found, outcome) = walk(heap)
        #expect(found.used == [48, 80])
        #expect(found.free == [64])
        #expect(found.top == UInt64(4096 - 48 - 64 - 80))
        #expect(outcome.missed == 0)
    }

    @Test func `chunks across the reader's pieces are each told once`() {
        var heap = FakeHeap(at: 0x1000_0000)
        var sizes: [UInt64] = []
        for index in 0..<40_000 {
            let size = 32 + 16 * (index % 7)
            heap.chunk(size)
            sizes.append(UInt64(size))
        }
        heap.chunk(3 << 20)
        heap.chunk(64)
        heap.top(upTo: heap.bytes.count + 4096)
        let (found, outcome) = walk(heap)
        #expect(found.used == sizes + [3 << 20, 64])
        #expect(outcome.missed == 0)
    }

    @Test func `a broken chain ends the walk and says how much was not seen`() {
        var heap = FakeHeap(at: 0x1000_0000)
        heap.chunk(48)
        let broken = heap.end
        heap.word(0)
        heap.word(24)
        heap.zeros(4096)
        let (found, outcome) = walk(heap)
        #expect(found.used == [])
        #expect(outcome.missed == heap.end - broken || outcome.missed == heap.end - heap.start)
    }

    @Test func `a heap that its arena has left ends with fenceposts`() {
        var heap = FakeHeap(at: 0x1000_0000)
        heap.chunk(48)
        heap.chunk(96)
        heap.chunk(16)
        heap.word(0)
        heap.word(1)
        let (found, outcome) = walk(heap)
        #expect(found.used == [48, 96])
        #expect(outcome.missed == 0)
    }

    @Test func `any bytes at all are walked without harm`() {
        var random = SplitMix(state: 7)
        for _ in 0..<400 {
            var heap = FakeHeap(at: 0x1000_0000)
            for _ in 0..<50 { heap.chunk(32 + 16 * Int(random.next() % 20), inUse: random.next() % 3 > 0) }
            heap.top(upTo: heap.bytes.count + 512)
            for _ in 0..<5 { heap.set(Int(random.next() % UInt64(heap.bytes.count - 8)), random.next()) }
            let (found, outcome) = walk(heap)
            let seen = found.used.reduce(0, +) + found.free.reduce(0, +) + found.top
            #expect(seen + outcome.missed <= heap.end - heap.start)
        }
    }
}

/// A small generator with a seed, so that what is found can be found again.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
