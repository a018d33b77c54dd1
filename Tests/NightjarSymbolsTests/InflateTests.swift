import CZlib
import Testing

@testable import NightjarSymbols

@Suite("Compressed sections") struct InflateTests {
    /// A zlib stream as the system's library packs it, out of its gzip stream; nil where there is no such library.
    private func packed(_ bytes: [UInt8], level: Int32) -> [UInt8]? {
        guard let stream = nj_gzip_open(level) else { return nil }
        defer { nj_gzip_close(stream) }
        var out = [UInt8](repeating: 0, count: bytes.count + bytes.count / 100 + 1000)
        var (inCount, outCount) = (bytes.count, out.count)
        guard nj_gzip_step(stream, bytes, &inCount, &out, &outCount, 1) == 1 else { return nil }
        let (a, b) = bytes.reduce((UInt32(1), UInt32(0))) { sums, byte in
            let a = (sums.0 + UInt32(byte)) % 65_521
            return (a, (sums.1 + a) % 65_521)
        }
        let checksum = [UInt8(b >> 8), UInt8(b & 255), UInt8(a >> 8), UInt8(a & 255)]
        return [0x78, 0x9C] + out[10..<outCount - 8] + checksum
    }

    /// Noise, text-like repetition, long runs and nothing: blocks of all three kinds, short and long distances.
    private var documents: [[UInt8]] {
        var random = Mutation(seed: 5)
        let noise = (0..<70_000).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        let words: [[UInt8]] = (0..<200).map { _ in
            (0..<random.below(9) + 1).map { _ in UInt8(97 + random.below(26)) }
        }
        var text: [UInt8] = []
        for _ in 0..<40_000 { text += words[random.below(random.below(200) + 1)] + [32] }
        return [[], [7], Array("abcabcabcabc".utf8), [UInt8](repeating: 0, count: 300_000), noise, text]
    }

    @Test(arguments: [1, 6, 9]) func `what zlib packed comes out as it was`(_ level: Int32) throws {
        for document in documents {
            guard let packed = packed(document, level: level) else { return }
            let isSame = Inflate.expand(packed, count: document.count) == document
            #expect(isSame, "\(document.count) bytes")
        }
    }

    @Test func `another length than the stream's own is refused`() throws {
        let document = Array("the quick brown fox the quick brown fox".utf8)
        guard let packed = packed(document, level: 9) else { return }
        for count in [0, 1, document.count - 1, document.count + 1, 1 << 20] {
            #expect(Inflate.expand(packed, count: count) == nil)
        }
    }

    @Test func `a known stream needs no library to be read`() {
        // python3 -c 'import zlib; print(list(zlib.compress(b"nightjar nightjar")))'
        let stream: [UInt8] = [120, 156, 203, 203, 76, 207, 40, 201, 74, 44, 82, 200, 131, 50, 0, 61, 70, 6, 207]
        let text = Inflate.expand(stream, count: 17).map { String(decoding: $0, as: UTF8.self) }
        #expect(text == "nightjar nightjar")
    }

    @Test func `damaged streams neither trap nor give other bytes`() throws {
        var random = Mutation(seed: 99)
        for document in [documents[2], Array(documents[5].prefix(20_000)), Array(documents[4].prefix(3000))] {
            guard let packed = packed(document, level: 6) else { return }
            for _ in 0..<150 {
                let damaged = random.mutated(packed)
                let out = Inflate.expand(damaged, count: document.count)
                let isRight = out == nil || out == document
                #expect(isRight)
            }
        }
        for _ in 0..<300 {
            let noise = [0x78, 0x9C] + (0..<random.below(400)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            #expect(Inflate.expand(noise, count: 1000) == nil)
        }
    }
}
