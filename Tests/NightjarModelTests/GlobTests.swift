import NightjarModel
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
}
