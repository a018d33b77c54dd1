import NightjarModel
import NightjarTestKit
import Testing

@testable import NightjarDetectors

@Suite("A recorded trace") struct TraceReaderTests {
    private func reader(_ text: String) throws -> TraceReader { try TraceReader(bytes: Array(text.utf8), name: "x") }

    private func message(_ text: String) -> String {
        do {
            return try replay(trace: Array(text.utf8), name: "x").json.text
        } catch {
            return "\(error)"
        }
    }

    @Test func `has a head, columns and rows`() throws {
        var trace = try reader(
            "# nightjar-trace v1; source=real; speedup=3000; KiB\nt,rss,anon\n0.5,2,1\r\n\n1.5,3,-2.25\n")
        #expect(trace.head.speedup == 3000)
        #expect(trace.head["source"] == "real")
        #expect(trace.columns == ["t", "rss", "anon"])
        #expect(try trace.next())
        #expect(try trace.number(0) == 0.5)
        #expect(try trace.next())
        #expect(try trace.number(2) == -2.25)
        #expect(try trace.numberIfAny(trace.column("swap")) == nil)
        #expect(try !trace.next())
    }

    @Test(arguments: [
        ("", "x: no column names"),
        ("# nightjar-trace v1\n", "x: no column names"),
        ("t,anon\n1,2\n2\n", "x, line 3: expected 2 cells, found 1"),
        ("t,anon\n1,lots\n", "x, line 2: expected a number in column 'anon', found 'lots'"),
        ("t,anon\n1,nan\n", "x, line 2: expected a number in column 'anon', found 'nan'"),
        ("t,anon\n1,\n", "x, line 2: expected a number in column 'anon', found ''"),
        ("t,anon\n1,-5\n", "x, line 2: expected a size in KiB in column 'anon', found '-5'"),
        ("t,anon\n2,5\n1,5\n", "x, line 3: time goes back from 2.0 s to 1.0 s"),
        ("t,t,anon\n", "x, line 1: column 't' twice"),
        ("t,,anon\n", "x, line 1: a column without a name"),
        ("a,b\n1,2\n", "x: cannot tell what it records by its columns 'a,b'"),
        ("anon,b\n1,2\n", "x: no column 't' among 'anon,b'"),
        ("# kind=weather\nt,anon\n", "x: unknown kind 'weather'"),
        ("# x; speedup=0\nt,anon\n", "x, line 1: expected a number above 0 for 'speedup', found '0'"),
        ("# x; speedup=fast\nt,anon\n", "x, line 1: expected a number above 0 for 'speedup', found 'fast'"),
    ])
    func `says in one line what is wrong and where`(trace: String, says: String) {
        #expect(message(trace) == says)
    }

    @Test func `reads numbers as the C library does`() throws {
        for text in [
            "0", "007", "1.5", "-0.125", "123456789012345678901234", "1e3", "2.5E-3", "0.1", "86400.001", ".5", "5.",
        ] {
            var trace = try reader("t\n\(text)\n")
            #expect(try trace.next())
            let expected = try #require(Double(text.hasSuffix(".") ? text + "0" : text))
            #expect(try trace.number(0) == expected, "\(text)")
        }
    }

    @Test func `is told by head or columns what it records`() throws {
        #expect(try TraceKind(of: reader("t,anon\n")) == .memory)
        #expect(try TraceKind(of: reader("t,size,free\n")) == .disk)
        #expect(try TraceKind(of: reader("t,source,bytes\n")) == .log)
        #expect(try TraceKind(of: reader("# nightjar-stall v1; beat_ms=10\nt,lag_us\n")) == .stall)
        #expect(try TraceKind(of: reader("# nightjar-trace v1; kind=disk\nt,anon\n")) == .disk)
    }

    @Test func `survives any bytes`() throws {
        let good = Array("# nightjar-trace v1; source=real; speedup=3000\nt,rss,anon\n0.1,20,10\n0.2,21,11\n".utf8)
        var random = SplitMix(seed: 99)
        for _ in 0..<4_000 {
            var bytes = good
            for _ in 0..<(1 + random.next() % 6) {
                let place = Int(random.next() % UInt64(bytes.count))
                switch random.next() % 4 {
                case 0: bytes[place] = UInt8(truncatingIfNeeded: random.next())
                case 1: bytes.insert(UInt8(truncatingIfNeeded: random.next()), at: place)
                case 2: bytes.removeSubrange(place..<min(bytes.count, place + 5))
                default: bytes.insert(contentsOf: Array("9e99,-,\n#;=".utf8), at: place)
                }
                if bytes.isEmpty { bytes = [10] }
            }
            do {
                let result = try replay(trace: bytes, name: "fuzz")
                #expect(result.speedup > 0)
            } catch {
                #expect(!error.description.contains("\n") || bytes.contains(13))
            }
        }
    }
}
