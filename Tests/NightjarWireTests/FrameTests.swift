import Testing

@testable import NightjarWire

/// One of each message, with every field set.
private let messages: [Frame] = [
    .hello(
        Hello(
            service: "checkout", pid: 4242, pageLength: 266_240, slots: 256, stallThresholdNanoseconds: 50_000_000,
            clock: 123_456_789)),
    .welcome(Welcome(reportsPerMinute: 60)),
    .refusal(Refusal(.version, detail: "this agent speaks version 1")),
    .stall(stall),
    .stacksPlease(StacksPlease(request: 7)),
    .stacks(StacksReport(request: 7, isLast: true, threads: stall.threads, modules: stall.modules)),
]

private let stall = StallReport(
    number: 3, phase: .ended, slot: 2, loop: "http 0", cause: .lock, startedAt: 1_000_000, uncertaintyNanoseconds: 2000,
    lastedNanoseconds: 312_000_000, ranNanoseconds: 1_000_000, waitedNanoseconds: 500_000, majorFaults: 1, tid: 4243,
    call: 202, target: "worker (thread 4250)", suppressed: 5,
    samples: [
        StallSample(offsetNanoseconds: 25_000_000, doing: .blocked, addresses: [0x5555_0000_1234, 0x5555_0000_5678])
    ],
    threads: [
        ThreadReport(tid: 4250, role: .holder, doing: .running, call: -1, name: "worker", addresses: [0x5555_0000_9ABC])
    ],
    modules: [
        ModuleSpan(
            start: 0x5555_0000_0000, end: 0x5555_0001_0000, bias: 0x5555_0000_0000, buildID: [1, 2, 3],
            path: "/usr/bin/checkout")
    ])

struct FrameTests {
    @Test(arguments: messages)
    func `a message comes out as it went in`(_ message: Frame) throws {
        #expect(try Frame(decoding: message.encoded()) == message)
    }

    @Test func `the bytes of a greeting never change`() {
        let bytes = messages[0].encoded().map { String($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        #expect(
            bytes == "4e4a01012c000000" + "0800636865636b6f7574" + "92100000" + "00100400" + "0001" + "80f0fa0200000000"
                + "15cd5b0700000000")
    }

    @Test func `the bytes of a stall never change`() {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in messages[3].encoded() { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        #expect(messages[3].encoded().count == 212)
        #expect(hash == 10_511_544_751_110_160_339)
    }

    @Test func `another version is refused by its number`() {
        #expect(throws: Frame.Defect.wrongVersion(9)) { try Frame(decoding: messages[0].encoded(version: 9)) }
    }

    @Test func `a refusal is understood whatever its version`() throws {
        #expect(try Frame(decoding: messages[2].encoded(version: 9)) == messages[2])
    }

    @Test func `an unknown kind says which`() {
        var bytes = messages[1].encoded()
        bytes[2] = 99
        #expect(throws: Frame.Defect.unknownKind(99)) { try Frame(decoding: bytes) }
    }

    @Test(arguments: messages)
    func `every truncation is a defect and none a crash`(_ message: Frame) {
        let bytes = message.encoded()
        for length in 0..<bytes.count {
            #expect(throws: Frame.Defect.self) { try Frame(decoding: Array(bytes[..<length])) }
        }
        #expect(throws: Frame.Defect.self) { try Frame(decoding: bytes + [0]) }
    }

    @Test func `random damage is a defect or another message, never a crash`() {
        var state: UInt64 = 99
        func random(_ limit: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % limit
        }
        for round in 0..<20_000 {
            var bytes = messages[round % messages.count].encoded()
            for _ in 0...random(6) { bytes[random(bytes.count)] = UInt8(random(256)) }
            if random(4) == 0 { bytes.removeLast(random(bytes.count)) }
            if let frame = try? Frame(decoding: bytes) { #expect(frame.encoded().count <= Limits.frame) }
        }
    }

    @Test func `a frame longer than the limit is refused unread`() {
        #expect(throws: Frame.Defect.tooLong) { try Frame(decoding: [UInt8](repeating: 0x4E, count: Limits.frame + 1)) }
    }

    @Test func `names cannot draw on a terminal`() throws {
        let hello = Hello(
            service: "a\u{1B}[31m\nb", pid: 1, pageLength: 0, slots: 0, stallThresholdNanoseconds: 0, clock: 0)
        guard case .hello(let read) = try Frame(decoding: Frame.hello(hello).encoded()) else { return }
        #expect(read.service == "a?[31m?b")
    }

    @Test func `a long name is cut at a character's edge`() throws {
        var writer = FrameWriter()
        writer.text(String(repeating: "ä", count: 200), limit: 5)
        var reader = FrameReader(writer.bytes)
        #expect(reader.text() == "ää")
    }
}

struct SharedPageTests {
    private func page(_ change: (inout [UInt8]) -> Void = { _ in }) -> PageReading? {
        var bytes = [UInt8](repeating: 0, count: PageLayout.length)
        func put(_ value: UInt64, _ offset: Int, _ count: Int = 8) {
            for index in 0..<count { bytes[offset + index] = UInt8(truncatingIfNeeded: value >> UInt64(index * 8)) }
        }
        put(PageLayout.magic, 0)
        put(UInt64(Frame.version), PageLayout.versionOffset, 4)
        put(4242, PageLayout.pidOffset, 4)
        put(UInt64(PageLayout.slots), PageLayout.slotCountOffset, 4)
        let slot = PageLayout.headerLength + PageLayout.slotLength
        put(UInt64(LoopState.stalled.rawValue), slot + PageLayout.stateOffset, 4)
        put(5_000_000_000, slot + PageLayout.openSinceOffset)
        put(2, slot + PageLayout.openDepthOffset, 4)
        put(0x1234, slot + PageLayout.openFramesOffset)
        for (index, byte) in "http 0".utf8.enumerated() { bytes[slot + PageLayout.nameOffset + index] = byte }
        change(&bytes)
        return bytes.withUnsafeBytes { PageReading($0) }
    }

    @Test func `the state of a loop is read from outside`() throws {
        let reading = try #require(page())
        #expect(reading.pid == 4242)
        let slot = try #require(reading.slots.first)
        #expect(reading.slots.count == 1 && slot.index == 1)
        #expect(slot.name == "http 0" && slot.state == .stalled)
        #expect(slot.openSince == 5_000_000_000 && slot.openFrames == [0x1234, 0])
    }

    @Test func `a page that is not ours says nothing`() {
        #expect(page { $0[0] = 1 } == nil)
        #expect(page { $0[PageLayout.versionOffset] = 77 } == nil)
        #expect([UInt8](repeating: 0, count: 100).withUnsafeBytes { PageReading($0) } == nil)
    }

    @Test func `a lying page is bounded`() throws {
        let reading = page { bytes in
            for index in 8..<bytes.count where index % 3 == 0 && !(8..<12).contains(index) { bytes[index] = 0xFF }
        }
        let slots = try #require(reading).slots
        #expect(slots.count <= PageLayout.slots)
        #expect(slots.allSatisfy { $0.openFrames.count <= PageLayout.openFrames })
    }
}

struct LagHistogramTests {
    @Test func `edges rise by half octaves from 100 µs`() {
        #expect(LagHistogram.edge(0) == 100_000)
        #expect(LagHistogram.edge(2) == 200_000)
        for bucket in 1..<PageLayout.lagBuckets { #expect(LagHistogram.edge(bucket) > LagHistogram.edge(bucket - 1)) }
        #expect(
            LagHistogram.bucket(of: 0) == 0 && LagHistogram.bucket(of: 100_000) == 0
                && LagHistogram.bucket(of: 100_001) == 1)
        #expect(LagHistogram.bucket(of: .max) == PageLayout.lagBuckets - 1)
    }

    @Test func `a quantile is the edge below which that share lies`() {
        var lags = LagHistogram()
        #expect(lags.quantile(0.5) == nil)
        lags.add(0, times: 99)
        lags.add(1_000_000_000)
        #expect(lags.quantile(0.5) == 100_000)
        #expect(lags.quantile(0.99) == 100_000)
        #expect(lags.quantile(1)! >= 1_000_000_000)
    }

    @Test func `a restart counts from zero`() {
        var earlier = LagHistogram()
        var later = LagHistogram()
        earlier.add(0, times: 10)
        later.add(0, times: 4)
        #expect(later.since(earlier).total == 4)
    }
}
