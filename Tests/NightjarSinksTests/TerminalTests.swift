import Foundation
import NightjarModel
import NightjarTestKit
import Testing

@testable import NightjarSinks

@Suite("The block on the terminal") struct TerminalTests {
    @Test func `it says who, what, since when, the evidence and the next step`() throws {
        try expectGolden(TerminalBlock(width: 90).text(alert(), at: night), "block.txt")
    }

    @Test func `in colour`() throws {
        try expectGolden(
            TerminalBlock(width: 90, colour: true).text(alert(severity: .critical), at: night), "block-colour.txt")
    }

    @Test func `on a narrow terminal`() throws {
        var narrow = alert(.resolved)
        narrow.mutedBy = "MemoryExhaustion|process:payments.service/payments|"
        narrow.appliedSetting = "HeapLimit at /etc/nightjar/nightjar.conf:12"
        narrow.flaps = 2
        narrow.contact = "shop team"
        try expectGolden(TerminalBlock(width: 44).text(narrow, at: night), "block-narrow.txt")
    }

    @Test func `asked for whole, no evidence is cut`() throws {
        try expectGolden(TerminalBlock(width: 44, isWhole: true).text(alert(), at: night), "block-whole.txt")
    }

    @Test(arguments: [30, 44, 60, 80, 200], [false, true])
    func `no line is wider than the terminal, whatever the names are`(width: Int, isWhole: Bool) {
        var random = SplitMix(seed: UInt64(width))
        for _ in 0..<300 {
            var hostile = alert(name: random.hostileText(), unit: random.hostileText(), sentence: random.hostileText())
            hostile.finding.details = [random.hostileText(), random.hostileText()]
            hostile.finding.nextStep = random.hostileText()
            let text = TerminalBlock(width: width, isWhole: isWhole).text(hostile, at: night)
            let lines = text.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
            for line in lines { #expect(TerminalBlock.columns(String(line)) <= width) }
            #expect(lines.count >= 3)
            #expect(!text.unicodeScalars.contains { $0.value < 0x20 && $0 != "\n" })
        }
    }

    @Test(arguments: [
        ("plain", "plain"), ("a\nb", "a\\x0ab"), ("\u{1B}[31mred", "\\x1b[31mred"), ("\u{202E}evil", "\\u202eevil"),
        ("nul\u{0}", "nul\\x00"), ("zero\u{200B}width", "zero\\u200bwidth"), ("naïve 日本", "naïve 日本"),
        ("\u{9B}2J", "\\x9b2J"),
    ])
    func `what acts on a terminal is shown, not done`(text: String, clean: String) {
        #expect(Clean.line(text) == clean)
    }

    @Test func `cleaning cuts between characters and keeps to its bytes`() {
        for limit in 4...40 {
            let cut = Clean.line(String(repeating: "日\u{1B}é", count: 20), limit: limit)
            #expect(cut.utf8.count <= limit)
            #expect(cut.hasSuffix("…"))
            #expect(!cut.contains("\u{FFFD}"))
        }
    }

    @Test func `a pipe receives plain blocks, and a closed one is counted`() throws {
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        let sink = TerminalSink(descriptor: ends[1])
        #expect(sink.deliver(.open(alert()), at: night) == .queued)
        sink.finish(within: .seconds(10))
        close(ends[1])
        let text = String(
            decoding: FileHandle(fileDescriptor: ends[0], closeOnDealloc: true).readDataToEndOfFile(), as: UTF8.self)
        #expect(text.hasPrefix("HeapGrowth  payments (pid 4242)  firing 4 min  (warning, 3f09a1c2-1)\n"))
        #expect(!text.contains("\u{1B}"))
        #expect(sink.counters.delivered == 1)
    }

    @Test func `a reader that stops reading holds up nobody, what does not fit is counted`() throws {
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        defer { ends.forEach { close($0) } }
        let sink = TerminalSink(descriptor: ends[1])
        let results = (0..<2000).map { _ in sink.deliver(.open(alert()), at: night) }
        #expect(results.contains(.overflowed))
        #expect(sink.counters.overflowed + sink.counters.waiting + sink.counters.delivered == 2000)
        // The worker hangs in write: it is left behind.
        sink.finish(within: .milliseconds(10))
    }
}
