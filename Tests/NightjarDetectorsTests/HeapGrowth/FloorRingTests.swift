import NightjarTestKit
import Testing

@testable import NightjarDetectors

@Suite("The ring of floors") struct FloorRingTests {
    private func bucket(_ kibibytes: Float) -> FloorBucket {
        FloorBucket(low: LogLevel(kibibytes: kibibytes), high: LogLevel(kibibytes: kibibytes))
    }

    /// Closes buckets with these floors.
    private func ring(_ floors: some Sequence<Float>) -> FloorRing {
        var ring = FloorRing()
        for floor in floors { ring.append(bucket(floor)) }
        return ring
    }

    @Test func `keeps every floor in order until it is full`() {
        let ring = ring((1...255).map { Float($0 * 1000) })
        #expect(ring.count == 255)
        #expect((0..<255).allSatisfy { ring[$0] == bucket(Float(($0 + 1) * 1000)) })
    }

    @Test func `merges neighbours by minimum and doubles the width when it is full`() {
        let ring = ring((0..<256).map { Float($0 % 2 == 0 ? 2000 : 1000) })
        #expect(ring.count == 128)
        #expect(ring.width == 2 * FloorRing.firstWidth)
        #expect(ring[0].low == LogLevel(kibibytes: 1000))
        #expect(ring[0].high == LogLevel(kibibytes: 2000))
    }

    @Test func `is five minutes wide after a day, as if it had been from the start`() {
        var ring = FloorRing()
        var closed = 0.0
        while closed < 86_400 {
            closed += ring.width
            ring.append(bucket(Float(closed)))
        }
        #expect(ring.width == 600)
        #expect(ring.count == 144)
    }

    @Test func `slides once a bucket is as wide as buckets get`() {
        var ring = ring((0..<300).map { Float(1000 + $0 % 7) })
        while ring.doublings < FloorRing.mostDoublings { ring.append(bucket(1000)) }
        for floor in 0..<1000 { ring.append(bucket(Float(100_000 + floor))) }
        #expect(ring.count == FloorRing.capacity - 1)
        #expect(ring.width == 9600)
        #expect(ring[0] == bucket(Float(100_000 + 745)))
    }

    @Test func `takes no memory while nothing changes`() {
        let ring = ring(repeatElement(5000, count: 10_000))
        #expect(ring.dense.capacity == 0)
        #expect(ring[ring.count - 1] == bucket(5000))
    }

    @Test func `never takes more than 1,056 bytes`() {
        var random = SplitMix(seed: 7)
        var ring = FloorRing()
        var most = 0
        for _ in 0..<5_000 {
            let floor = Float(random.uniform(1e3, 1e6))
            for _ in 0..<(random.next() % 4 == 0 ? 20 : 1) { ring.append(bucket(floor)) }
            most = max(most, ring.dense.capacity)
        }
        // 254 buckets, 32 bytes of the array's own and 8 of the allocator's, which may hand out 16 more than was asked.
        #expect(most * 4 + 32 + 8 <= 1056 + 16)
    }

    @Test func `answers as a plain list does, whatever repeats`() {
        var random = SplitMix(seed: 8)
        var ring = FloorRing()
        var plain: [FloorBucket] = []
        for _ in 0..<700 {
            let next = random.next() % 3 == 0 ? bucket(Float(random.uniform(1e3, 1e4))) : plain.last ?? bucket(1)
            ring.append(next)
            plain.append(next)
            if plain.count == FloorRing.capacity {
                plain = (0..<plain.count / 2).map { plain[2 * $0].merged(with: plain[2 * $0 + 1]) }
            }
            #expect((0..<plain.count).allSatisfy { ring[$0] == plain[$0] } && ring.count == plain.count)
            let from = Int(random.next() % UInt64(plain.count))
            #expect(ring.lowest(from..<plain.count) == plain[from...].map(\.low).min())
        }
    }

    @Test func `keeps sizes to 0.02 per cent`() {
        for kibibytes: Float in [1, 4, 1000, 52_428, 16_777_216, 2e9] {
            let kept = LogLevel(kibibytes: kibibytes).kibibytes
            #expect(abs(kept / kibibytes - 1) < 0.0002)
        }
        #expect(LogLevel(kibibytes: 0) == LogLevel(kibibytes: 1))
        #expect(LogLevel(kibibytes: .greatestFiniteMagnitude).code == .max)
    }
}
