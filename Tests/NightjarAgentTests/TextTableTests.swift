import Testing

@testable import NightjarAgent

@Suite("Tables") struct TextTableTests {
    private func table(width: Int) -> [Substring] {
        var table = TextTable([.init("ID"), .init("WHO", isFlexible: true), .init("SAYS", isFlexible: true)])
        table.add(["7", "checkout (checkout.service, pid 4242)", String(repeating: "memory rises ", count: 10)])
        return table.text(width: width, colour: false).split(separator: "\n")
    }

    @Test func `the widest column gives way first`() {
        let lines = table(width: 100)
        #expect(lines.allSatisfy { $0.count <= 100 })
        #expect(lines[1].contains("checkout (checkout.service, pid 4242)"))
        #expect(lines[1].hasSuffix("…"))
    }

    @Test func `nothing is cut where there is room`() { #expect(table(width: 300)[1].contains("rises memory rises")) }

    @Test func `control characters do not reach the terminal`() {
        #expect(TextTable.cut("a\u{1B}[31mb\n", to: 20) == "a?[31mb?")
    }
}
