import NightjarModel
import NightjarTestKit
import Testing

@testable import NightjarDetectors

@Suite("HeapGrowth over a restart") struct HeapGrowthStateTests {
    @Test func `restarted every day it decides exactly as if it never had been`() throws {
        for trace in MadeTrace.set(seed: 31, perKind: 1) {
            var steady = HeapGrowth()
            var restarted = HeapGrowth()
            var nextRestart = oneDay
            for (t, kibibytes) in zip(trace.seconds, trace.kibibytes) {
                if t >= nextRestart {
                    nextRestart += oneDay
                    var bytes: [UInt8] = []
                    restarted.encode(into: &bytes)
                    var reader = ByteReader(bytes)
                    restarted = try #require(HeapGrowth(decoding: &reader))
                    #expect(reader.isAtEnd)
                }
                let sample = HeapSample(
                    time: Moment(seconds: t), live: Bytes(Int64(kibibytes * 1024)), threads: Int(t / 9000))
                #expect(steady.step(sample) == restarted.step(sample))
            }
            #expect(steady == restarted, "\(trace.name)")
            let subject = Subject(.process, name: "x")
            #expect(steady.finding(of: subject) == restarted.finding(of: subject))
        }
    }

    @Test func `a life is at most 1.1 KiB of bytes, and a flat one 60`() {
        var random = SplitMix(seed: 1)
        var busy = HeapGrowth()
        var idle = HeapGrowth()
        for t in stride(from: 0, to: 3 * oneDay, by: 60) {
            busy.step(HeapSample(time: Moment(seconds: t), live: Bytes(Int64(random.uniform(1e8, 2e8)))))
            idle.step(HeapSample(time: Moment(seconds: t), live: .mebi(8)))
        }
        var busyBytes: [UInt8] = []
        var idleBytes: [UInt8] = []
        busy.encode(into: &busyBytes)
        idle.encode(into: &idleBytes)
        #expect(busyBytes.count <= 1126)
        #expect(idleBytes.count <= 64)
    }

    @Test func `lives are written and read`() throws {
        var lives = UnitLives()
        lives.append(
            Life(
                endedAt: Moment(seconds: 5), lived: .hours(60), floorFrom: .mebi(1), floorTo: .mebi(9),
                shape: .rising, end: .killedForMemory))
        var bytes: [UInt8] = []
        lives.encode(into: &bytes)
        var reader = ByteReader(bytes)
        #expect(try #require(UnitLives(decoding: &reader)) == lives)
    }

    @Test func `bytes of another version, cut or changed are refused or harmless`() {
        var growth = HeapGrowth()
        for sample in History(6, { t, random in 200 + 12 * t / oneDay + random.normal() }).samples() {
            growth.step(sample)
        }
        var good: [UInt8] = []
        growth.encode(into: &good)
        for count in stride(from: 0, to: good.count, by: 7) {
            var reader = ByteReader(Array(good.prefix(count)))
            #expect(HeapGrowth(decoding: &reader) == nil)
        }
        var random = SplitMix(seed: 77)
        for _ in 0..<1500 {
            var bytes = good
            for _ in 0...random.below(4) { bytes[random.below(bytes.count)] = UInt8(truncatingIfNeeded: random.next()) }
            var reader = ByteReader(bytes)
            guard var read = HeapGrowth(decoding: &reader) else { continue }
            for hour in [0.0, 1, 200, 201] {
                read.step(HeapSample(time: Moment(seconds: 6 * oneDay + hour * 3600), live: .mebi(300)))
                _ = read.finding(of: .host, limit: .gibi(1))
            }
        }
    }
}
