import NightjarModel
import NightjarSources
import NightjarTestKit
import Testing

private func mine(_ lines: [String], weight: Double = 100, at seconds: Double = 0) -> TemplateMiner {
    var miner = TemplateMiner()
    for line in lines { miner.observe(line, weight: weight, at: seconds) }
    return miner
}

extension TemplateMiner {
    fileprivate mutating func observe(_ line: String, weight: Double = 100, level: LogLevel? = nil, at seconds: Double)
    {
        var line = line
        line.withUTF8 { observe($0, weight: weight, level: level, at: Moment(seconds: seconds)) }
    }
}

@Suite("TemplateMiner") struct TemplateMinerTests {
    @Test func `lines that differ in their variable parts are one template`() {
        let miner = mine((0..<20).map { "2026-11-26T04:37:05 DEBUG cache: miss for key=\($0)f3a in \($0)ms" })
        #expect(miner.top().map(\.text) == ["<*> DEBUG cache: miss for key=<*> in <*>"])
        #expect(miner.top().first?.level == .debug)
        #expect(miner.top().first?.share == 1)
        #expect(miner.debugShare == 1)
    }

    @Test func `words that change become variable though they have no digits`() {
        let names = ["ann", "bob", "carl", "dora", "emil", "fritz", "gerda", "hans", "ida", "jo"]
        let miner = mine((0..<40).map { "user \(names[$0 % 10]) logged in from the office" })
        #expect(miner.top().map(\.text) == ["user <*> logged in from the office"])
    }

    @Test func `the flooding message is named with its share and its first time`() {
        var miner = TemplateMiner()
        for second in 0..<200 {
            miner.observe("INFO request served in \(second) ms", weight: 50, at: Double(second))
            if second >= 100 {
                for _ in 0..<9 { miner.observe("DEBUG pool state free \(second)", weight: 100, at: Double(second)) }
            }
        }
        let top = miner.top(1)[0]
        #expect(top.text == "DEBUG pool state free <*>")
        #expect(top.share > 0.85)
        #expect(top.firstSeen == Moment(seconds: 100))
    }

    @Test(
        arguments: [
            (#"{"ts":1764131825,"level":"debug","msg":"cache miss","key":"9f3a"}"#, "cache miss", LogLevel.debug),
            (#"{"time":"x","severity":"WARNING","message":"pool \"a\" is low","n":3}"#, "pool <*> is low", .warning),
            ("level=error msg=failed attempt=3", "level=<*> msg=<*> attempt=<*>", .error),
            ("[INFO] started", "[INFO] started", .info), ("<warn> slow query", "<warn> slow query", .warning),
            ("ERROR: it broke", "ERROR: it broke", .error),
            ("[2026-11-26 04:00:01] TRACE enter", "<*> TRACE enter", .trace),
            (#"say "hello Ann" now"#, "say <*> now", nil), ("the debugger is fine", "the debugger is fine", nil),
        ] as [(String, String, LogLevel?)]) func `levels and messages are read where loggers put them`(
            _ line: String, _ text: String, _ level: LogLevel?
        )
    {
        let miner = mine(Array(repeating: line, count: 8))
        #expect(miner.top().map(\.text) == [text])
        #expect(miner.top().first?.level == level)
    }

    @Test func `the journal's priority counts where the text says nothing`() {
        var miner = TemplateMiner()
        for _ in 0..<8 { miner.observe("polling the device", level: LogLevel(priority: 7), at: 0) }
        #expect(miner.debugShare == 1)
    }

    @Test func `what is said only a few times is never kept`() {
        let miner = mine(["the password of Ann is tulip"] + (0..<100).map { "tick \($0)" })
        #expect(miner.top(32).map(\.text) == ["tick <*>"])
        #expect(!"\(miner)".contains("tulip"))
    }

    @Test func `shares speak of now, the first time stays`() {
        var miner = mine(Array(repeating: "old message again", count: 50))
        for minute in 1...60 {
            for _ in 0..<5 { miner.observe("new words every time", at: Double(minute) * 60) }
        }
        #expect(miner.top(1)[0].text == "new words every time")
        #expect(miner.top(1)[0].share > 0.95)
        #expect(miner.top(2)[1].firstSeen == Moment(seconds: 0))
    }

    @Test func `its memory has a bound, whatever the log says`() {
        var miner = TemplateMiner()
        var random = SplitMix(seed: 3)
        for second in 0..<5_000 {
            let words = (0..<random.below(40)).map { _ in
                String((0..<(1 + random.below(9))).map { _ in Character(UnicodeScalar(97 + random.below(26))!) })
            }
            miner.observe(words.joined(separator: " "), at: Double(second))
        }
        #expect(miner.count <= TemplateMiner.maximumTemplates)
        #expect(miner.top(99).allSatisfy { $0.text.utf8.count <= 160 })
    }

    @Test func `binary data is called so, and never shown`() {
        let line = String(decoding: (0..<200).map { UInt8($0 % 32) }, as: UTF8.self)
        #expect(mine(Array(repeating: line, count: 20)).top().map(\.text) == ["(binary data)"])
    }

    @Test func `one line of ten megabytes costs no more than its beginning`() {
        let line = [UInt8](repeating: UInt8(ascii: "x"), count: 10 << 20)
        var miner = TemplateMiner()
        for _ in 0..<10 {
            line.withUnsafeBufferPointer { miner.observe($0, weight: 1e7, at: Moment(seconds: 0)) }
        }
        #expect(miner.top().map(\.text) == ["<*>"])
    }

    @Test func `hostile lines are survived`() {
        let seeds = [
            #"{"level":"debug","msg":"a \"b\" c","x":[1,{"y":"z"}]}"#, "level=debug a=\"b c\" d", "[] <> = == \"\"\"",
            "{\"",
            #"{"msg":"cut \"#, "\u{1B}[31mERROR\u{1B}[0m red", "ä ö ü 日本語 🦅", "=", "\"", "{", "", " ", "\t\t",
        ].map { Array($0.utf8) }
        var random = SplitMix(seed: 17)
        var miner = TemplateMiner()
        for round in 0..<20_000 {
            var line = seeds[random.below(seeds.count)]
            for _ in 0..<random.below(5) where !line.isEmpty {
                line[random.below(line.count)] = UInt8(truncatingIfNeeded: random.next())
            }
            line = Array(line.prefix(random.below(line.count + 1)))
            line.withUnsafeBufferPointer {
                miner.observe($0, weight: Double(round % 3) - 0.5, at: Moment(seconds: Double(round)))
            }
        }
        #expect(miner.count <= TemplateMiner.maximumTemplates)
        #expect(miner.top(32).allSatisfy { (0...1).contains($0.share) })
    }
}
