import NightjarModel
import NightjarTestKit
import Testing

@Suite("Glob") struct GlobTests {
    @Test(
        arguments: [
            ("*", ""), ("*", "checkout.service"), ("postgresql*.service", "postgresql@14-main.service"),
            ("?", "a"), ("worker-[0-9]", "worker-7"), ("[!a-c]x", "dx"), ("a*b*c", "aXbYbZc"), ("\\*", "*"),
            ("[", "["), ("[]]", "]"), ("a[", "a["), ("**", "abc"), ("", ""),
        ])
    func `a pattern matches the whole text`(pattern: String, text: String) {
        #expect(Glob(pattern).matches(text))
    }

    @Test(
        arguments: [
            ("", "a"), ("?", ""), ("postgres*.service", "postgres.service2"), ("worker-[0-9]", "worker-x"),
            ("[!a-c]x", "bx"), ("a*b", "acc"), ("\\*", "x"), ("checkout", "checkout.service"), ("[a", "a"),
        ])
    func `a pattern does not match a part, or another class`(pattern: String, text: String) {
        #expect(!Glob(pattern).matches(text))
    }

    @Test func `many stars stay quick on a text that almost fits`() {
        let pattern = Glob(String(repeating: "*a", count: 60) + "b")
        #expect(!pattern.matches(String(repeating: "a", count: 5000)))
    }

    /// The definition, as slow as it may be.
    func slowly(_ pattern: ArraySlice<Character>, _ text: ArraySlice<Character>) -> Bool {
        guard let first = pattern.first else { return text.isEmpty }
        if first == "*" {
            return slowly(pattern.dropFirst(), text) || (!text.isEmpty && slowly(pattern, text.dropFirst()))
        }
        guard let next = text.first, first == "?" || first == next else { return false }
        return slowly(pattern.dropFirst(), text.dropFirst())
    }

    @Test func `it agrees with its definition on random patterns, and no pattern breaks it`() {
        var random = SplitMix(seed: 2)
        func pick(_ letters: [Character], _ most: UInt64) -> String {
            String((0..<random.next() % most).map { _ in letters[Int(random.next() % UInt64(letters.count))] })
        }
        var matched = 0
        for _ in 0..<20_000 {
            let pattern = pick(["a", "b", "*", "?"], 7)
            let text = pick(["a", "b"], 9)
            let expected = slowly(Array(pattern)[...], Array(text)[...])
            #expect(Glob(pattern).matches(text) == expected, "\(pattern) on \(text)")
            matched += expected ? 1 : 0
            _ = Glob(pick(["a", "[", "]", "!", "-", "\\", "*", "é"], 12)).matches(pick(["a", "]", "-", "é"], 12))
        }
        #expect(matched > 1000)
    }
}
