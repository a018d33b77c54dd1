import NightjarDetectors
import NightjarModel
import NightjarTestKit
import Testing

@testable import NightjarAgent

@Suite("Configuration") struct ConfigTests {
    private func problems(_ text: String) -> [String] { Config(text: text).problems.map(\.description) }

    @Test func `an empty file is the defaults`() {
        let config = Config(text: "")
        #expect(config.problems.isEmpty)
        #expect(config.duration("Agent", "Interval") == .seconds(1))
        #expect(config.value("Agent", "Interval").origin == nil)
    }

    @Test func `a value remembers its file and line`() {
        let config = Config(text: "# mine\n[Agent]\nInterval = 2s\n")
        #expect(config.duration("Agent", "Interval") == .seconds(2))
        #expect(config.value("Agent", "Interval").origin == ConfigOrigin(file: "nightjar.conf", line: 3))
    }

    @Test func `a later file wins, an empty value goes back to the default`() {
        var config = Config(text: "[Agent]\nInterval=5s\n[HTTP]\nGroup=ops\n", file: "a.conf")
        config.apply("[Agent]\nInterval=7s\n[HTTP]\nGroup=\n", file: "b.conf")
        #expect(config.duration("Agent", "Interval") == .seconds(7))
        #expect(config.text("HTTP", "Group") == "nightjar")
    }

    @Test func `lists add up, and an empty assignment clears them`() {
        #expect(Config(text: "[Mail]\nTo=a@x\nTo=b@x \"c d@x\"").list("Mail", "To") == ["a@x", "b@x", "c d@x"])
        #expect(Config(text: "[Logs]\nPaths=").list("Logs", "Paths") == [])
    }

    @Test func `a backslash continues a line and comments inside are skipped`() {
        let config = Config(text: "[Hook]\nCommand=/bin/page \\\n# not this\n  --to ops\n")
        #expect(config.list("Hook", "Command") == ["/bin/page", "--to", "ops"])
    }

    @Test(arguments: [
        ("[Agent]\nIntervall=2s", "nightjar.conf:2: unknown key 'Intervall' in [Agent]; did you mean Interval?"),
        ("[Agnet]\nInterval=2s", "nightjar.conf:2: unknown section [Agnet]; did you mean [Agent]?"),
        (
            "[Agent]\nInterval=soon",
            "nightjar.conf:2: Interval=soon is not a time span such as 500ms, 30s, 5min, 1h 30min, 2d"
        ),
        ("Interval=2s", "nightjar.conf:1: 'Interval=2s' stands before any [Section]; put it into one"),
        ("[Agent]\nInterval", "nightjar.conf:2: 'Interval' is no setting; write Key=Value"),
        ("[Agent\nInterval=2s", "nightjar.conf:1: '[Agent' is no section; write [Name] or [Name subject]"),
        ("[Agent]\n=2s", "nightjar.conf:2: a value without a key; write Key=Value"),
        ("[Unit]\nHeapLimit=4G", "nightjar.conf:2: [Unit] needs a subject: write [Unit NAME]"),
        ("[Unit x]\nHeapLimit=lots", "nightjar.conf:2: HeapLimit=lots is not a size such as 512K, 64M, 4G"),
        ("[Agent]\nInterval=2s\\", "nightjar.conf:2: the file ends inside a line that a \\ continues"),
    ])
    func `a mistake is named with its place and what to write`(_ text: String, _ expected: String) {
        #expect(problems(text) == [expected])
    }

    @Test func `one run names every mistake`() {
        #expect(problems("[Agent]\nA=1\nInterval=x\n[Nope]\nB=2\n[Mail]\nSeverity=loud").count == 4)
    }

    @Test func `subject sections match by glob, and the last match wins`() {
        let config = Config(
            text: """
                [Unit postgresql*.service]
                HeapLimit=4G
                [Unit postgresql@main.service]
                HeapLimit=8G
                [Mount /data]
                Contact=storage team
                """)
        let unit = Subject(.process, name: "postgres", unit: "postgresql@main.service")
        #expect(config.assignments(for: unit).map(\.value) == ["4G", "8G"])
        #expect(config.assignments(for: Subject(.mount, name: "/data")).map(\.value) == ["storage team"])
        #expect(config.assignments(for: Subject(.process, name: "redis")).isEmpty)
    }

    @Test func `the default file is accepted and changes nothing`() {
        let config = Config(text: Config.defaultFile)
        #expect(config.problems.isEmpty)
        #expect(config.effective.allSatisfy { $0.value.origin == nil })
    }

    @Test func `every default can be read as its kind`() {
        for spec in ConfigTable.all where !spec.defaultText.isEmpty {
            #expect(spec.kind.accepts(spec.defaultText), "[\(spec.section)] \(spec.key)=\(spec.defaultText)")
        }
    }

    @Test func `any bytes are read without a crash, and each problem names a line that exists`() {
        var random = SplitMix(seed: 11)
        let seeds = ["[Agent]\nInterval=2s\\\n[Unit a b]\nHeapLimit=1G\n", "[\"\n'=\\\r\0é\u{1F4A3}\n"].map {
            Array($0.utf8)
        }
        for _ in 0..<3_000 {
            var bytes = seeds[Int(random.next() % 2)]
            for _ in 0..<Int(random.next() % 12) {
                let at = Int(random.next() % UInt64(bytes.count))
                switch random.next() % 3 {
                case 0: bytes[at] = UInt8(truncatingIfNeeded: random.next())
                case 1: bytes.insert(UInt8(truncatingIfNeeded: random.next()), at: at)
                default: if bytes.count > 1 { bytes.remove(at: at) }
                }
            }
            let text = String(decoding: bytes, as: UTF8.self)
            let lines = text.utf8.split(separator: 10, omittingEmptySubsequences: false).count
            for problem in Config(text: text).problems { #expect((1...lines).contains(problem.origin.line)) }
        }
    }
}

@Suite("Values in the configuration") struct ConfigValueTests {
    @Test(arguments: [
        ("500ms", 0.5), ("90", 90), ("1h 30min", 5_400), ("2d", 172_800), ("1.5h", 5_400), ("1w", 604_800),
    ])
    func `time spans`(_ text: String, _ seconds: Double) {
        #expect(SettingText.duration(text)?.inSeconds == seconds)
    }

    @Test(arguments: ["", "soon", "5 parsecs", "-3s", "1e3s", "s", "99999999999w"])
    func `what is no time span`(_ text: String) { #expect(SettingText.duration(text) == nil) }

    @Test(arguments: [("64M", 64 << 20), ("512K", 512 << 10), ("1.5G", 3 << 29), ("10", 10), ("7B", 7)])
    func `sizes`(_ text: String, _ bytes: Int) { #expect(SettingText.bytes(text) == Bytes(Int64(bytes))) }

    @Test(arguments: ["", "M", "lots", "-1G", "1Q", "99999999999P"])
    func `what is no size`(_ text: String) { #expect(SettingText.bytes(text) == nil) }

    @Test(arguments: [("95%", 0.95), ("0.5", 0.5), ("100%", 1)])
    func `shares`(_ text: String, _ share: Double) { #expect(SettingText.share(text) == share) }

    @Test(arguments: ["150%", "2", "x%"])
    func `what is no share`(_ text: String) { #expect(SettingText.share(text) == nil) }
}

@Suite("API requests") struct APIRequestTests {
    @Test func `path and query are taken apart and unescaped`() {
        let request = APIRequest(
            method: "GET", uri: "/api/v1/alerts%2Fx?a=1&b=two+words&c=%41%zz&d", accept: nil, isLocal: true)
        #expect(request.path == "/api/v1/alerts/x")
        #expect(request.query == ["a": "1", "b": "two words", "c": "A%zz", "d": ""])
    }

    @Test(arguments: ["plain", "a b&c=d", "ünïcode/é", "100%", "*.service"])
    func `what is escaped comes back`(_ text: String) {
        let request = APIRequest(method: "GET", uri: "/?q=\(APIRequest.escaped(text))", accept: nil, isLocal: true)
        #expect(request.query["q"] == text)
    }

    @Test(arguments: ["127.0.0.1:9477", "[::1]:80", "localhost:0"])
    func `loopback addresses are served`(_ text: String) { #expect(Agent.loopback(text) != nil) }

    @Test(arguments: ["0.0.0.0:9477", "10.0.0.1:80", "127.0.0.1", "example.org:80", "[::]:80", "127.0.0.1:99999"])
    func `nothing is served off the host`(_ text: String) { #expect(Agent.loopback(text) == nil) }
}
