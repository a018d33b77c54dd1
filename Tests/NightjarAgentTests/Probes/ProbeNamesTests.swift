import NightjarSymbols
import NightjarWire
import Testing

@testable import NightjarAgent

@Suite("Names of a service's addresses") struct ProbeNamesTests {
    private func span(_ build: UInt8) -> ModuleSpan {
        ModuleSpan(start: 0x1000, end: 0x9000_0000, bias: 0, buildID: [build], path: "/srv/shop")
    }

    private func frames(_ function: String) -> [SymbolizedFrame] {
        [SymbolizedFrame(address: 0x2000, function: function)]
    }

    @Test func `the stacks of a stall are named once, however often it is told`() {
        let names = ProbeNames()
        for _ in 0..<3 {
            for address: UInt64 in [0x2000, 0x3000] {
                #expect(names.frames(at: address, in: span(1)) { frames("f()") }[0].function == "f()")
            }
        }
        #expect(names.lookedUp == 2 && names.known == 4)
    }

    @Test func `another build at the same address has names of its own`() {
        let names = ProbeNames()
        _ = names.frames(at: 0x2000, in: span(1)) { frames("old()") }
        #expect(names.frames(at: 0x2000, in: span(2)) { frames("new()") }[0].function == "new()")
    }

    @Test func `what lies in no known file is looked up each time`() {
        let names = ProbeNames()
        for _ in 0..<2 { _ = names.frames(at: 0x2000, in: nil) { frames("f()") } }
        #expect(names.lookedUp == 2)
    }

    @Test func `however many addresses come, no more than the limit are held`() {
        let names = ProbeNames()
        for address in 0..<UInt64(ProbeNames.most) * 10 {
            _ = names.frames(at: 0x2000 + address, in: span(1)) { frames("f()") }
        }
        #expect(names.held <= ProbeNames.most)
    }
}
