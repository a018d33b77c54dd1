import NightjarDetectors
import NightjarModel
import Testing

@Suite("ThreadLeak") struct ThreadLeakTests {
    @Test func `a thread an hour is a leak after a day`() {
        let spoken = threadLeak("12 +1x48", every: 3600)
        #expect(spoken.last?.said == .found(.warning))
        #expect(spoken.foundAfterHours! < 36)
    }

    @Test func `threads that reach TasksMax are told of while 40 % of their life is left`() {
        // 16 → 4,096 at 8 a minute takes 8.5 h; others in the unit use 40.
        let spoken = threadLeak("16 +8x510", every: 60) {
            TaskBound(limit: 4096, used: $0 + 40, limitedBy: "checkout.service")
        }
        #expect(spoken.foundAfterHours! < 0.6 * 8.5)
        #expect(spoken.worst == .critical)
    }

    @Test(arguments: ["8 +1x56 =x400", "8 +16x4 =x500", "8 200 =x400"])
    func `a thread pool that settles stays quiet`(text: String) {
        #expect(!threadLeak(text, every: 300).everFound)
    }

    @Test func `workers that come and go stay quiet`() {
        let bursts = Array(repeating: "8x10 +8x5 =x5 -8x5", count: 40).joined(separator: " ")
        #expect(!threadLeak(bursts, every: 30).everFound)
    }

    @Test func `a thread for each connection follows the day and stays quiet`() {
        let day = "20 +10x40 =x16 -10x40 =x48"
        #expect(!threadLeak(Array(repeating: day, count: 6).joined(separator: " "), every: 600).everFound)
    }

    @Test func `it says who sets the limit and how much of it is used by all`() throws {
        var detector = ThreadLeak()
        var tasks = TaskBound(limit: 512, used: 0, limitedBy: "checkout.service")
        for (index, count) in counts("16 +1x380").enumerated() {
            tasks.used = count + 20
            _ = detector.step(sample(at: Double(index) * 60, threads: count), under: tasks, .init())
        }
        let finding = try #require(detector.finding(of: checkout.subject, under: tasks))
        #expect(finding.severity == .warning)
        #expect(
            finding.sentence.contains("checkout.service uses 416 of 512, out in about 1.6 h"), "\(finding.sentence)")
        #expect(finding.sentence.hasPrefix("threads "))
    }

    @Test func `a restart of the agent changes nothing`() throws {
        var plain = ThreadLeak()
        var restarted = ThreadLeak()
        for (index, count) in counts("12 +1x60").enumerated() {
            let reading = sample(at: Double(index) * 3600, threads: count)
            #expect(plain.step(reading, under: nil, .init()) == restarted.step(reading, under: nil, .init()))
            var bytes: [UInt8] = []
            restarted.encode(into: &bytes)
            var reader = ByteReader(bytes)
            restarted = try #require(ThreadLeak(decoding: &reader))
        }
    }
}
