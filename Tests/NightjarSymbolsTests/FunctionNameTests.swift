import NightjarSymbols
import Testing

struct FunctionNameTests {
    @Test(arguments: [
        (
            "Checkout.Parser.parse(Swift.String, count: Swift.Int) throws -> Swift.Bool",
            "Checkout.Parser.parse(_:count:)"
        ),
        ("static Checkout.Parser.make() -> Checkout.Parser", "Checkout.Parser.make()"),
        ("Checkout.(parse in _3A5BC0DE)(Swift.String) -> ()", "Checkout.parse(_:)"),
        ("closure #1 (Swift.Int) -> () in Checkout.run() -> ()", "closure #1 in Checkout.run()"),
        (
            "closure #2 () -> () in closure #1 (Swift.Int) -> (Swift.Int) -> () in Checkout.run(at: (Swift.Int, Swift.Int)) -> ()",
            "closure #2 in closure #1 in Checkout.run(at:)"
        ),
        ("partial apply forwarder for closure #1 () -> () in Checkout.run() -> ()", "closure #1 in Checkout.run()"),
        (
            "function signature specialization <Arg[0] = Owned To Guaranteed> of Checkout.sum(of: Swift.Array<Swift.Int>) -> Swift.Int",
            "Checkout.sum(of:)"
        ),
        (
            "generic specialization <Swift.Int> of Checkout.Ring.append<A where A: Swift.Hashable>(A) -> ()",
            "Checkout.Ring.append(_:)"
        ),
        ("Checkout.Order.total.getter : Swift.Int", "Checkout.Order.total.getter"),
        ("(2) suspend resume partial function for Checkout.work() async -> ()", "Checkout.work()"),
        ("(extension in Checkout):Swift.String.words() -> [Swift.Substring]", "Swift.String.words()"),
        ("Checkout.each((Swift.Int) -> Swift.Bool, then: () -> ()) -> ()", "Checkout.each(_:then:)"),
        ("static Checkout.Order.< infix(Checkout.Order, Checkout.Order) -> Swift.Bool", "Checkout.Order.<"),
        ("usleep", "usleep"),
        ("", ""),
    ])
    func `a demangled name is cut to module, types, base name and labels`(demangled: String, short: String) {
        #expect(FunctionName.short(demangled) == short)
    }

    @Test func `the module of a closure is that of the function around it`() {
        #expect(
            FunctionName.module(of: "closure #1 () -> () in Foundation.JSONDecoder.decode(Swift.Int) -> ()")
                == "Foundation")
        #expect(FunctionName.module(of: "usleep") == nil)
    }

    @Test func `what only looks like a Swift name is left alone`() {
        #expect(demangle("usleep") == nil)
        #expect(demangle("$s") == nil)
        #expect(demangle(String(repeating: "$s4main", count: 10_000)) == nil)
        #expect(demangle("$s8Checkout5parseyySSF") == "Checkout.parse(Swift.String) -> ()")
    }

    @Test func `no text makes it trap`() {
        var random = Mutation(seed: 7)
        let seed = Array("closure #1 (Swift.Int) -> () in (extension in A):B.(c in _AB)<D>(e: F, G) -> H".utf8)
        for _ in 0..<5000 {
            let text = String(decoding: random.mutated(seed), as: UTF8.self)
            _ = FunctionName.short(text)
            _ = FunctionName.module(of: text)
        }
    }
}
