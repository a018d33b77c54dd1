import Foundation
import Testing

@testable import NightjarInspect

@Suite("Targets that cannot be read", .serialized) struct HostileTests {
    /// nightjar-inspect, built beside the test bundle.
    static let tool: String? = {
        var folder = Bundle.main.bundleURL
        for _ in 0..<4 {
            let path = folder.appending(path: "nightjar-inspect").path
            if FileManager.default.isExecutableFile(atPath: path) { return path }
            folder.deleteLastPathComponent()
        }
        return nil
    }()

    func inspect(_ words: String...) throws -> (status: Int32, text: String) {
        try LiveTarget.run(#require(Self.tool), words)
    }

    func reason(_ body: () throws -> Void) -> InspectError.Code? {
        do { try body() } catch { return (error as? InspectError)?.code }
        return nil
    }

    @Test func `a process that does not exist is one sentence and exit code 3`() throws {
        let answer = try inspect("heap", "99999999")
        #expect(answer.status == 3)
        #expect(answer.text == "nightjar-inspect: there is no process 99999999; nightjar ps lists those that run\n")
    }

    @Test func `usage is exit code 2`() throws {
        #expect(try inspect("heap").status == 2)
        #expect(try inspect("heap", "1", "--by", "colour").status == 2)
    }

    @Test func `a program that is not Swift is said to be none`() throws {
        let sleep = try LiveTarget("/bin/sleep", ["30"], waitsForReady: false)
        usleep(200_000)
        let answer = try inspect("leaks", "\(sleep.pid)")
        #expect(answer.status == 3)
        #expect(answer.text.contains("no Swift objects") || answer.text.contains("no heap of glibc"))
    }

    @Test func `another user's process needs the right to trace`() throws {
        guard getuid() == 0, FileManager.default.isExecutableFile(atPath: "/usr/bin/setpriv") else { return }
        let zoo = try LiveTarget(zoo: 30)
        let tool = try #require(Self.tool)
        let copy = FileManager.default.temporaryDirectory.appending(path: "nightjar-inspect-\(getpid())").path
        try? FileManager.default.removeItem(atPath: copy)
        try FileManager.default.copyItem(atPath: tool, toPath: copy)
        defer { try? FileManager.default.removeItem(atPath: copy) }
        let answer = try LiveTarget.run(
            "/usr/bin/setpriv", ["--reuid=65534", "--regid=65534", "--clear-groups", copy, "heap", "\(zoo.pid)"])
        #expect(answer.status == 3 || answer.status == 127)
        #expect(answer.text.contains("CAP_SYS_PTRACE") || answer.status == 127)
    }

    @Test func `a pid that belongs to another process by now is refused`() throws {
        let zoo = try LiveTarget(zoo: 30)
        #expect(reason { _ = try Target(pid: zoo.pid, startTime: 1) } == .gone)
    }

    @Test func `a process that ends while it is read is said to be gone`() throws {
        let zoo = try LiveTarget(zoo: 30)
        let target = try zoo.target()
        kill(zoo.pid, SIGKILL)
        usleep(100_000)
        #expect(reason { _ = try Census.take(of: target) } != nil)
    }

    @Test func `a process that becomes another program while it is read is said so`() throws {
        let zoo = try LiveTarget(zoo: 30)
        let target = try zoo.target()
        try zoo.send("exec")
        usleep(200_000)
        let code = reason { _ = try Census.take(of: target) }
        #expect(code == .replaced || code == .gone || code == .otherAllocator)
    }

    @Test(arguments: [
        ("jemalloc", "libjemalloc.so.2"), ("mimalloc", "libmimalloc.so.2"), ("tcmalloc", "libtcmalloc_minimal.so.4"),
    ])
    func `another allocator is named, and nothing is done to its process`(name: String, file: String) throws {
        let folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"]
        guard
            let library = folders.map({ "\($0)/\(file)" }).first(where: { FileManager.default.fileExists(atPath: $0) })
        else { return }
        let zoo = try LiveTarget(
            LiveTarget.program("zoo", .release), ["30"], environment: ["LD_PRELOAD": library])
        for command in ["heap", "leaks"] {
            let answer = try inspect(command, "\(zoo.pid)")
            #expect(answer.status == 3)
            #expect(answer.text.contains("uses \(name) (\(file)"))
            #expect(answer.text.split(separator: "\n").count == 1)
        }
        try zoo.tell("more 1")
    }

    @Test func `a limit of memory ends the search with a sentence`() throws {
        let zoo = try LiveTarget(zoo: 300)
        let answer = try inspect("leaks", "\(zoo.pid)", "--memory-limit", "1000")
        #expect(answer.status == 3)
        #expect(answer.text.contains("--memory-limit"))
    }

    @Test func `a stop that takes too long is ended without an answer`() throws {
        let zoo = try LiveTarget(zoo: 300)
        let answer = try inspect("leaks", "\(zoo.pid)", "--snapshot", "stop", "--pause-limit", "0")
        #expect(answer.status == 3)
        #expect(answer.text.contains("raise --pause-limit"))
        try zoo.tell("more 1")
    }

    @Test func `a traced process is not stopped twice`() throws {
        let zoo = try LiveTarget(zoo: 30)
        let stopped = try StoppedProcess(pid: zoo.pid, procRoot: "/proc")
        let answer = try inspect("leaks", "\(zoo.pid)")
        stopped.resume()
        #expect(answer.status == 3)
        #expect(answer.text.contains("another debugger or tracer"))
        try zoo.tell("more 1")
    }

    @Test func `the target goes on when its inspector dies in the middle of a stop`() throws {
        let zoo = try LiveTarget(zoo: 300)
        try zoo.tell("churn 3", until: "churning")
        for _ in 0..<5 {
            let child = try LiveTarget(#require(Self.tool), ["leaks", "\(zoo.pid)"], waitsForReady: false)
            usleep(30_000)
            kill(child.pid, SIGKILL)
        }
        try zoo.tell("more 1")
    }

    @Test func `a table fits the terminal that it is for`() throws {
        let zoo = try LiveTarget(zoo: 30)
        let narrow = try inspect("heap", "\(zoo.pid)", "--width", "40").text.split(separator: "\n")
        #expect(narrow.allSatisfy { $0.count <= 40 } && narrow.contains { $0.hasSuffix("…") })
        #expect(try inspect("heap", "\(zoo.pid)").text.split(separator: "\n").contains { $0.count > 60 })
    }

    @Test func `JSON keeps its contract`() throws {
        let zoo = try LiveTarget(zoo: 30)
        let heap = try inspect("heap", "\(zoo.pid)", "--format", "json", "--diff", "0.1")
        let object = try #require(
            JSONSerialization.jsonObject(with: Data(heap.text.utf8)) as? [String: Any])
        for key in ["pid", "heap_bytes", "typed_bytes", "free_bytes", "paused_ms", "types", "untyped", "growth"] {
            #expect(object[key] != nil)
        }
        let leaks = try inspect("leaks", "\(zoo.pid)", "--format", "json")
        #expect(leaks.status == 1)
        let found = try #require(JSONSerialization.jsonObject(with: Data(leaks.text.utf8)) as? [String: Any])
        let first = try #require((found["unreachable"] as? [[String: Any]])?.first)
        for key in ["type", "count", "bytes", "cycle"] { #expect(first[key] != nil) }
    }
}
