import Foundation
import NightjarModel
import Testing

@testable import NightjarSinks

@Suite("A hook") struct HookTests {
    let bench: Workbench

    init() throws { bench = try Workbench() }

    func sink(_ command: [String], limit: Duration = .seconds(20), atOnce: Int = 4, queue: Int = 64) -> HookSink {
        HookSink(HookSink.Settings(command: command, timeLimit: limit, atOnce: atOnce, queue: queue))
    }

    /// Children of this process with this name, dead or alive.
    func children(named name: String) -> [String] {
        let folders = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return folders.compactMap { pid in
            guard let status = try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8),
                status.contains("Name:\t\(name)\n"), status.contains("PPid:\t\(getpid())\n")
            else { return nil }
            return status.split(separator: "\n").first { $0.hasPrefix("State:") }.map(String.init)
        }
    }

    @Test func `it gets arguments, environment and the alert as JSON, and no shell`() throws {
        let script = try bench.script(
            "hook",
            "printf '%s\\n' \"$@\" >\"$HERE/args\"; env | sort >\"$HERE/env\"; cat >\"$HERE/json\"; pwd >\"$HERE/pwd\"")
        let sink = sink([script, "--to", "$(touch /tmp/no) `x` ; y"])
        #expect(sink.deliver(.open(alert(name: "$(reboot)\n", contact: "shop")), at: night) == .queued)
        sink.finish(within: .seconds(20))
        #expect(sink.counters.delivered == 1)
        #expect(
            bench.content("args").split(separator: "\n") == [
                "--to", "$(touch /tmp/no) `x` ; y", "firing", "HeapGrowth", "3f09a1c2-1",
            ])
        let environment = bench.content("env").split(separator: "\n").filter {
            !$0.hasPrefix("_=") && !$0.hasPrefix("SHLVL=") && !$0.hasPrefix("PWD=")
        }
        try expectGolden(environment.joined(separator: "\n") + "\n", "hook-environment.txt")
        #expect(bench.content("pwd") == "/\n")
        let json = try JSONSerialization.jsonObject(with: Data(bench.content("json").utf8)) as? [String: Any]
        #expect(json?["name"] as? String == "$(reboot)\n")
        #expect((json?["evidence"] as? [String: Any])?["to_bytes"] as? Int == 132 << 20)
    }

    @Test func `one that hangs is killed with everything it started, and leaves no zombie`() throws {
        let script = try bench.script("nj-hang", "sleep 1000 & echo $! >\"$HERE/grandchild\"; trap '' TERM; sleep 1000")
        let sink = sink([script], limit: .milliseconds(300))
        _ = sink.deliver(.open(alert()), at: night)
        #expect(eventually { sink.counters.failed == 1 })
        #expect(sink.counters.lastError?.code == .late)
        #expect(eventually { children(named: "nj-hang").isEmpty })
        let grandchild = Int32(bench.content("grandchild").trimmingCharacters(in: .whitespacesAndNewlines)) ?? 0
        #expect(grandchild > 0)
        #expect(eventually { isGone(grandchild) })
    }

    @Test func `what it leaves running in its group ends with it`() throws {
        let script = try bench.script("nj-left", "sleep 1000 & echo $! >\"$HERE/grandchild\"")
        let sink = sink([script])
        _ = sink.deliver(.open(alert()), at: night)
        #expect(eventually { sink.counters.delivered == 1 })
        let grandchild = Int32(bench.content("grandchild").trimmingCharacters(in: .whitespacesAndNewlines)) ?? 0
        #expect(eventually { isGone(grandchild) })
    }

    /// Gone, or a zombie that nobody here can reap: it belongs to init.
    func isGone(_ pid: Int32) -> Bool {
        guard let status = try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8) else { return true }
        return status.contains("State:\tZ")
    }

    @Test func `not more run at once than may, the rest waits, and what does not fit is counted`() throws {
        let script = try bench.script(
            "nj-slow", "echo x >>\"$HERE/began\"; while [ ! -e \"$HERE/go\" ]; do sleep 0.05; done")
        let sink = sink([script], atOnce: 3, queue: 5)
        let results = (0..<4).map { _ in sink.deliver(.open(alert()), at: night) }
        #expect(results.allSatisfy { $0 == .queued })
        #expect(eventually { bench.content("began").count == 6 })
        // Three run, one waits; four more places.
        let more = (0..<10).map { _ in sink.deliver(.open(alert()), at: night) }
        #expect(more.count { $0 == .queued } == 4)
        #expect(sink.counters.overflowed == 6)
        usleep(100_000)
        #expect(bench.content("began").count == 6)
        try Data().write(to: bench.folder.appending(path: "go"))
        #expect(eventually { sink.counters.delivered == 8 })
        #expect(children(named: "nj-slow").isEmpty)
    }

    @Test func `it may print without end and leave its input unread`() throws {
        let script = try bench.script("nj-loud", "exec <&-; head -c 20000000 /dev/zero | tr '\\0' 'x'; exit 3")
        let sink = sink([script])
        _ = sink.deliver(.open(alert(sentence: String(repeating: "y", count: 1_000_000))), at: night)
        #expect(eventually { sink.counters.failed == 1 })
        let error = sink.counters.lastError
        #expect(error?.detail.hasPrefix("exit code 3: xxxx") == true)
        #expect((error?.detail.utf8.count ?? 0) < 5000)
    }

    @Test func `what cannot be started, fails, or is killed says so in one line`() throws {
        let failing = try bench.script("failing", "echo 'no such room'; exit 2")
        let dying = try bench.script("dying", "kill -SEGV $$")
        let proofs = [["/nowhere/hook"], [failing], [dying], ["/bin/true"]].map { sink($0).prove(at: night) }
        #expect(
            proofs == [
                .failed("hook: /nowhere/hook: cannot start: No such file or directory"),
                .failed("hook: \(failing): exit code 2: no such room\\x0a"),
                .failed("hook: \(dying): ended by signal 11"), .proved("hook '/bin/true' ended with exit code 0"),
            ])
    }

    @Test func `a thousand runs leave neither descriptors nor zombies behind`() throws {
        func descriptors() -> Int { (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count) ?? 0 }
        let sink = sink(["/bin/true"], atOnce: 8, queue: 300)
        for _ in 0..<8 { _ = sink.deliver(.open(alert()), at: night) }
        #expect(eventually { sink.counters.waiting == 0 })
        let before = descriptors()
        for _ in 0..<250 { _ = sink.deliver(.open(alert()), at: night) }
        #expect(eventually { sink.counters.waiting == 0 })
        #expect(sink.counters.delivered == 258)
        // Other tests open descriptors too; a leak would be at least one a run.
        #expect(descriptors() - before < 100)
        #expect(children(named: "true").isEmpty)
    }

    @Test func `at the end of the agent, what hangs is killed`() throws {
        let script = try bench.script("nj-stuck", "touch \"$HERE/began\"; sleep 1000")
        let sink = sink([script], limit: .seconds(600))
        _ = sink.deliver(.open(alert()), at: night)
        #expect(eventually { FileManager.default.fileExists(atPath: bench.path("began")) })
        sink.finish(within: .milliseconds(50))
        #expect(sink.counters.overflowed == 1)
        #expect(eventually { children(named: "nj-stuck").isEmpty })
    }
}
