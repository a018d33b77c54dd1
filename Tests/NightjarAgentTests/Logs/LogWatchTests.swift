import Glibc
import NightjarModel
import NightjarSources
import NightjarTestKit
import Testing

@testable import NightjarAgent

/// A service's log in a folder of its own; time is the test's.
private final class FakeService {
    let folder = TemporaryFolder()
    private var line = 0

    var settings: LogWatch.Settings {
        folder.write("proc/self/mountinfo", "1 0 8:1 / / rw - ext4 /dev/vdb rw\n")
        var settings = LogWatch.Settings()
        settings.root = "\(folder.path)/proc"
        settings.patterns = ["\(folder.path)/log/*.log"]
        settings.journal = false
        settings.patience = .seconds(10)
        return settings
    }

    func log(_ count: Int, _ text: (Int) -> String) {
        folder.makeFolder("log")
        let descriptor = open("\(folder.path)/log/app.log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        defer { close(descriptor) }
        var all: [UInt8] = []
        for _ in 0..<count {
            line += 1
            all += Array(text(line).utf8) + [10]
        }
        _ = all.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
    }

    func info(_ count: Int) { log(count) { "INFO served request \($0) in \($0 % 90) ms" } }
    func debug(_ count: Int) { log(count) { "DEBUG cache miss for key=\($0)ab in shard \($0 % 7)" } }
}

private func finding(_ answers: [WatchAnswer]) -> Finding? {
    for answer in answers { if case .found(let finding) = answer.answer { return finding } }
    return nil
}

@Suite("LogWatch") struct LogWatchTests {
    @Test func `a debug log left on is said as such, with its message, level and first time`() throws {
        let service = FakeService()
        service.info(1)
        var watch = LogWatch(settings: service.settings)
        var found: (hour: Double, finding: Finding)?
        for slot in 0..<(66 * 12) where found == nil {
            service.info(40)
            if slot >= 60 * 12 { service.debug(1200) }
            let answers = watch.round(at: Moment(seconds: Double(slot) * 300))
            if let finding = finding(answers) { found = (Double(slot) / 12, finding) }
        }
        let (hour, flood) = try #require(found)
        #expect((60...63).contains(hour))
        #expect(flood.subject.identity == "log:\(service.folder.path)/log/app.log")
        #expect(flood.verdict == "debug log left on")
        #expect(flood.sentence.contains("times the usual"))
        #expect(
            flood.details.first?.contains("% debug: DEBUG cache miss for key=<*> in shard <*>   first seen") == true)

        let row = try #require(watch.snapshot().rows.first)
        #expect(row.isFlood)
        #expect(row.debugShare > 0.8)
        #expect(row.ratio.map { $0 > 3 } == true)
        let table = LogTable.text(watch.snapshot(), width: 200)
        #expect(table.contains("app.log   flood"))
        #expect(table.contains("mostly of level debug: was a debug log left on?"))
    }

    @Test func `volumes are counted by source, now and over the last hours`() throws {
        let service = FakeService()
        service.info(1)
        var watch = LogWatch(settings: service.settings)
        for round in 0..<30 {
            service.log(100) { _ in String(repeating: "x", count: 99) }
            _ = watch.round(at: Moment(seconds: Double(round) * 600))
        }
        let row = try #require(watch.snapshot().rows.first)
        // The first round only says where counting begins.
        #expect(row.total == 290_000)
        #expect(row.lastDay == Bytes(290_000))
        #expect(row.lastHour.count >= 50_000 && row.lastHour.count <= 60_000)
        #expect((10...20).contains(row.pace))
        #expect(watch.snapshot().metrics.first?.value == 290_000)
    }

    @Test func `a restart keeps the baselines`() {
        let service = FakeService()
        service.info(1)
        var watch = LogWatch(settings: service.settings)
        for slot in 0..<(60 * 12) {
            service.info(4)
            _ = watch.round(at: Moment(seconds: Double(slot) * 300))
        }
        var again = LogWatch(settings: service.settings)
        let state = watch.encodedState()
        let isRestored = again.restore(state)
        #expect(isRestored)
        #expect(again.encodedState() == state)
        let isBrokenRestored = again.restore(Array(state.dropLast(3)))
        #expect(!isBrokenRestored)
    }

    @Test func `silence in the settings is silence`() throws {
        let service = FakeService()
        service.info(1)
        var settings = service.settings
        settings.ignores = { $0.hasSuffix("app.log") }
        var watch = LogWatch(settings: settings)
        for round in 0..<3 {
            service.info(10)
            _ = watch.round(at: Moment(seconds: Double(round)))
        }
        #expect(watch.snapshot().rows.isEmpty)
        #expect(LogTable.text(watch.snapshot()).hasPrefix("no log has written anything yet: "))
    }
}
