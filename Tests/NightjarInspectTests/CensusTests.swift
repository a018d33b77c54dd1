import Testing

@testable import NightjarInspect

@Suite("The census's books") struct CensusTests {
    func census(_ heap: FakeHeap) throws -> Census {
        try Census.take(of: target([heap], maps: "10000000-10021000 rw-p 0 0:0 0 [heap]\n"))
    }

    @Test func `typed, untyped and free are the whole heap`() throws {
        var heap = FakeHeap(at: 0x1000_0000)
        for size in [48, 64, 640, 4000] { heap.chunk(size, inUse: size != 640) }
        heap.top(upTo: 0x21000)
        let census = try census(heap)
        #expect(census.typedBytes + census.untypedBytes + census.freeBytes == census.heapBytes)
        #expect(census.heapBytes == 0x21000)
        #expect(census.untypedCount == 3)
        #expect(census.untypedBytes == 48 + 64 + 4000)
    }

    @Test func `blocks that lie in a tcache or fastbin are free, not in use`() throws {
        var heap = FakeHeap(at: 0x1000_0000)
        let first = heap.start + 16
        heap.chunk(48, [first >> 12])  // the last of a list
        let second = heap.end + 16
        heap.chunk(48, [first ^ (second >> 12)])  // links to the first
        heap.chunk(48, [0x1234])
        heap.top(upTo: 0x21000)
        let census = try census(heap)
        #expect(census.untypedCount == 1)
        #expect(census.untypedBytes == 48)
    }

    @Test func `a heap that is mostly free is told as no leak`() throws {
        let used: Int64 = 37 << 20
        let scattered = Fragmentation(
            used: used, free: 365 << 20, heap: 402 << 20, trimmable: 1 << 20, largestHoles: [640])
        #expect(scattered.verdict == .fragmented)
        #expect(
            scattered.sentence
                == "not a leak: 37 MiB in use in 402 MiB, the rest in holes too small to return "
                + "(largest 640 B, malloc_trim(0) could return 1.0 MiB)")
        var whole = scattered
        whole.trimmable = 350 << 20
        #expect(whole.verdict == .trimmable)
        #expect(whole.sentence == "not a leak: 37 MiB in use in 402 MiB; malloc_trim(0) could return up to 350 MiB")
        let busy = Fragmentation(used: 300 << 20, free: 102 << 20, heap: 402 << 20, trimmable: 0, largestHoles: [])
        #expect(busy.verdict == .inUse && busy.sentence == nil)
    }

    @Test func `sizes without a type fall into classes that hold them`() {
        for size: UInt64 in [32, 33, 48, 1024, 1025, 2048, 2049, 1 << 20, 1 << 40] {
            let index = SizeClass.index(size)
            #expect(SizeClass.limit(index) >= size)
            #expect(index == 0 || SizeClass.limit(index - 1) < size)
        }
    }
}

@Suite("A verdict on what grows") struct VerdictTests {
    let inUse = Fragmentation(used: 10, free: 0, heap: 10, trimmable: 0, largestHoles: [])

    func growing(
        steady: Bool = true, gone: Double? = 0, touched: Double? = 0, chain: String? = "Emitter.handlers",
        bytes: Int64 = 1 << 20
    ) -> GrowingType {
        GrowingType(
            type: TypeInfo(name: "app.Request", kind: .class, module: "app"), count: 9000, bytes: bytes * 2,
            countGrowth: 3000, byteGrowth: bytes, bytesPerSecond: 1000, steady: steady, gone: gone, touched: touched,
            chain: chain.map {
                RetainingChain(
                    root: "global app.it", steps: [RetainingStep(name: $0, count: 1)], holds: 9000, isGlobal: true)
            })
    }

    @Test func `forgotten objects that gather steadily and are held are a leak`() {
        #expect(GrowthStudy.verdict([growing()], inUse) == .leak)
    }

    @Test func `objects that come and go are churn`() {
        #expect(GrowthStudy.verdict([growing(gone: 0.3)], inUse) == .churn)
        #expect(GrowthStudy.verdict([growing(steady: false)], inUse) == .churn)
    }

    @Test func `objects that are still written to may be a cache that fills`() {
        #expect(GrowthStudy.verdict([growing(touched: 0.4)], inUse) == .cache)
    }

    @Test func `what calls itself a cache is left to memory`() {
        #expect(GrowthStudy.verdict([growing(chain: "ImageCache.pages")], inUse) == .cache)
    }

    @Test func `what nothing reaches is a leak without a chain`() {
        var type = growing(chain: nil)
        #expect(GrowthStudy.verdict([type], inUse) == .churn)
        type.unreachable = 9000
        type.cycle = ["A.next", "B.owner"]
        #expect(type.heldBy == "unreachable cycle A.next → B.owner → A.next")
        #expect(GrowthStudy.verdict([type], inUse) == .leak)
    }

    @Test func `a little growth is not worth a word`() {
        #expect(GrowthStudy.verdict([growing(bytes: 1000)], inUse) == .churn)
    }

    @Test func `a heap that is mostly free is fragmentation, not growth`() {
        let free = Fragmentation(used: 1 << 20, free: 99 << 20, heap: 100 << 20, trimmable: 0, largestHoles: [])
        #expect(GrowthStudy.verdict([], free) == .fragmentation)
    }
}

@Suite("The inspector's command line") struct InspectCommandTests {
    @Test func `options are read in any order`() throws {
        let command = try #require(
            InspectCommand([
                "heap", "42", "--format", "json", "--diff", "1.5s", "--by", "module", "--memory-limit", "1000000",
            ]))
        #expect(command.verb == .heap && command.pid == 42 && command.json && command.grouping == .module)
        #expect(command.difference == .seconds(1.5) && command.budget.memory == 1_000_000)
        #expect(InspectCommand(["why", "42", "checkout.Request"])?.type == "checkout.Request")
    }

    @Test(arguments: [
        [], ["heap"], ["heap", "x"], ["heap", "-3"], ["heap", "0"], ["look", "3"], ["why", "3"],
        ["heap", "3", "--diff"],
        ["heap", "3", "--format", "xml"], ["heap", "3", "--by", "colour"], ["heap", "3", "--top", "0"],
        ["census", "3", "--count", "1"],
    ]) func `what makes no sense is refused`(words: [String]) {
        #expect(InspectCommand(words) == nil)
    }
}
