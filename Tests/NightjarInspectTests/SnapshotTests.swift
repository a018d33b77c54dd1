import Foundation
import Testing

@testable import NightjarInspect

@Suite("A picture that stands still", .serialized) struct SnapshotTests {
    /// Lines that a program of ours wrote so far, from a file.
    struct Sleepers {
        let process: Process
        let output: URL
        var pid: Int32 { process.processIdentifier }
        var lines: [String] {
            ((try? String(contentsOf: output, encoding: .utf8)) ?? "").split(separator: "\n").map(String.init)
        }
        var complaints: [String] { lines.filter { $0.hasPrefix("BAD") } }

        init(_ words: [String] = []) throws {
            output = FileManager.default.temporaryDirectory.appending(path: "sleepers-\(UUID().uuidString)")
            _ = FileManager.default.createFile(atPath: output.path, contents: nil)
            process = Process()
            process.executableURL = URL(filePath: try LiveTarget.program("sleepers", .release))
            process.arguments = words
            process.standardOutput = try FileHandle(forWritingTo: output)
            try process.run()
            for _ in 0..<400 where !lines.contains("ready") { usleep(10_000) }
            try #require(lines.contains("ready"))
        }

        func target() throws -> Target { try Target(pid: pid) }

        /// Waits until it has gone on for some beats.
        func goesOn() throws {
            let before = lines.count
            for _ in 0..<600 where lines.count < before + 3 { usleep(10_000) }
            try #require(lines.count >= before + 3, "the program does not go on")
        }

        func end() {
            kill(pid, SIGKILL)
            try? FileManager.default.removeItem(at: output)
        }
    }

    func children(_ pid: Int32) -> [Int32] {
        Threads.list(pid, "/proc").flatMap { Threads.children(pid, thread: $0, "/proc") }
    }

    @Test(arguments: [SnapshotWay.fork, .stop])
    func `a program whose threads wait in every kind of call notices nothing`(way: SnapshotWay) throws {
        let program = try Sleepers()
        defer { program.end() }
        let threads = Threads.list(program.pid, "/proc")
        for round in 0..<44 {
            // Each thread in turn is the one that is made to copy the process.
            let snapshot = try Snapshot.take(program.target(), way, asking: threads[round % threads.count])
            #expect(snapshot.states.count == threads.count)
            let pause = snapshot.release()
            #expect(pause.way == way && pause.seconds > 0 && pause.reason == nil)
        }
        try program.goesOn()
        #expect(program.complaints == [])
        #expect(children(program.pid) == [], "a copy was left behind")
    }

    @Test func `a copy keeps the moment while the program goes on`() throws {
        let zoo = try LiveTarget(zoo: 300)
        let snapshot = try Snapshot.take(zoo.target(), .fork)
        try zoo.tell("more 5000")
        let before = try Census.take(of: Target(snapshot))
        snapshot.release()
        #expect(before.count("zoo.Request") == 3000)
        #expect(try Census.take(of: zoo.target()).count("zoo.Request") == 8000)
        #expect(children(zoo.pid) == [])
    }

    @Test(arguments: [SnapshotWay.fork, .stop])
    func `an exact census of a program at work is exact`(way: SnapshotWay) throws {
        let zoo = try LiveTarget(zoo: 300)
        try zoo.tell("churn 300", until: "churning")
        usleep(200_000)
        for _ in 0..<5 {
            let census = try Census.takeExactly(of: zoo.target(), way: way)
            // One may be on its way: made, and not yet in the place of the one that it replaces.
            #expect((13_000...13_001).contains(census.count("zoo.Session")))
            #expect(census.count("zoo.Request") == 3000)
            #expect(census.missedBytes == 0 && census.pause.way == way && census.pause.seconds > 0)
        }
    }

    @Test(arguments: [SnapshotWay.fork, .stop])
    func `both ways find the same cycles`(way: SnapshotWay) throws {
        let zoo = try LiveTarget(zoo: 300)
        let report = try LeakSearch(zoo.target()).run(way: way)
        let rows = Dictionary(uniqueKeysWithValues: report.unreachable.map { ($0.type.name, $0) })
        #expect((1198...1200).contains(rows["zoo.Session"]?.count ?? 0))
        #expect(rows["zoo.Owner"]?.cycle == ["Owner.part", "Part.owners"])
        #expect(report.pause.way == way)
    }

    @Test(arguments: [
        ("seccomp", "a filter of system calls watches it (seccomp)"),
        ("nproc", "the kernel refused it another process (Resource temporarily unavailable)"),
        ("dontfork", "part of its memory is kept from copies (MADV_DONTFORK)"),
    ])
    func `where a copy could do harm there is none, and the reason is told`(word: String, reason: String) throws {
        let program = try Sleepers([word])
        defer { program.end() }
        let target = try program.target()
        do {
            _ = try Snapshot.take(target, .fork)
            Issue.record("a copy was made")
        } catch let error as InspectError {
            #expect(error.sentence == "no copy of process \(program.pid): \(reason); try --snapshot stop")
        }
        let pause = try Snapshot.take(target, .auto).release()
        #expect(pause.way == .stop && pause.reason == reason)
        #expect(pause.words.hasSuffix("ms, no copy: \(reason)"))
        try program.goesOn()
        #expect(program.complaints == [])
    }

    @Test func `a host that counts every page in advance is asked for no copy`() throws {
        let zoo = try LiveTarget(zoo: 30)
        // The real /proc, but for one setting.
        let files = FileManager.default
        let proc = files.temporaryDirectory.appending(path: "proc-\(UUID().uuidString)")
        try files.createDirectory(at: proc.appending(path: "sys/vm"), withIntermediateDirectories: true)
        defer { try? files.removeItem(at: proc) }
        for name in ["\(zoo.pid)", "self", "thread-self", "meminfo", "cpuinfo"] {
            try files.createSymbolicLink(
                atPath: proc.appending(path: name).path, withDestinationPath: "/proc/\(name)")
        }
        try "2\n".write(to: proc.appending(path: "sys/vm/overcommit_memory"), atomically: false, encoding: .utf8)
        let pause = try Snapshot.take(Target(pid: zoo.pid, procRoot: proc.path), .auto).release()
        #expect(pause.way == .stop)
        #expect(pause.reason == "the host forbids memory that may not be there (vm.overcommit_memory 2)")
        try zoo.tell("more 1")
    }

    @Test func `memory that copies find empty is read from the program itself`() throws {
        let program = try Sleepers(["wipe"])
        defer { program.end() }
        let snapshot = try Snapshot.take(program.target(), .fork)
        #expect(snapshot.wiped.map(\.length) == [8192])
        snapshot.release()
    }

    @Test func `a child of vfork that writes to its memory is waited for, then told`() throws {
        let program = try Sleepers(["vfork"])
        defer { program.end() }
        let target = try program.target()
        do {
            _ = try Snapshot.take(target, .auto)
            Issue.record("a snapshot was taken beside a child that writes")
        } catch let error as InspectError { #expect(error.code == .sharedMemory) }
        usleep(2_500_000)
        #expect(try Snapshot.take(target, .fork).release().way == .fork)
    }

    @Test func `a thread that stops too late is let go all the same`() throws {
        let program = try Sleepers(["vfork"])
        defer { program.end() }
        usleep(200_000)  // by now the child runs
        let stopped = try StoppedProcess(pid: program.pid, procRoot: "/proc")
        #expect(stopped.unstopped != nil)
        stopped.resume()
        #expect(try Snapshot.take(program.target(), .fork).release().way == .fork)
        try program.goesOn()
        // A traced thread gets even the signals that its program ignores, here SIGCHLD, and the kernel may end the wait of
        // whichever thread takes it; only that may be seen.
        #expect(program.complaints.filter { !$0.hasPrefix("BAD loops_masked errno 4") } == [])
    }

    @Test func `a program that was stopped by its terminal is copied and stays stopped`() throws {
        let program = try Sleepers()
        defer { program.end() }
        kill(program.pid, SIGSTOP)
        usleep(100_000)
        #expect(try Snapshot.take(program.target(), .fork).release().way == .fork)
        usleep(50_000)
        #expect(StatusFile("/proc/\(program.pid)/status")["State"]?.hasPrefix("T") == true)
        kill(program.pid, SIGCONT)
        try program.goesOn()
    }

    @Test func `the first process of a container is copied like any other`() throws {
        guard getuid() == 0, FileManager.default.isExecutableFile(atPath: "/usr/bin/unshare") else { return }
        let zoo = try LiveTarget(
            "/usr/bin/unshare", ["--pid", "--fork", "--kill-child", LiveTarget.program("zoo", .release), "300"])
        let inside = try #require(children(zoo.pid).first)
        let status = StatusFile("/proc/\(inside)/status")
        try #require(status["NSpid"]?.split(separator: "\t").last == "1")
        let report = try LeakSearch(Target(pid: inside)).run(way: .fork)
        #expect(report.unreachable.contains { $0.type.name == "zoo.Owner" })
        #expect(children(inside) == [])
        try zoo.tell("more 1")
    }

    @Test func `a search that is killed anywhere leaves the program as it was`() throws {
        let tool = try #require(HostileTests.tool)
        let killer = try LiveTarget.program("dies", .release)
        let program = try Sleepers()
        defer { program.end() }
        var survived = 0
        for call in 1...200 where survived < 2 {
            let status = try LiveTarget.run(
                "/usr/bin/env",
                [
                    "LD_PRELOAD=\(killer)", "DIES_AT=\(call)", tool, "heap", "\(program.pid)", "--exact", "--snapshot",
                    "fork",
                ]
            ).status
            survived += status == SIGKILL || status == 137 ? 0 : 1
        }
        // It went through all calls of ptrace in turn, and then twice to its end.
        #expect(survived == 2)
        try program.goesOn()
        // The kernel itself ends a few calls with EINTR when a tracer goes; only that may be seen.
        let excused = ["loops errno 4", "loops_masked errno 4", "signals errno 4", "waitpid"]
        #expect(program.complaints.filter { line in !excused.contains { line.hasPrefix("BAD \($0)") } } == [])
        // Nothing runs on, and the search that came through took the remains of the others with it.
        usleep(100_000)
        let left = children(program.pid).filter { StatusFile("/proc/\($0)/status")["State"]?.hasPrefix("Z") != true }
        #expect(left == [])
        #expect(children(program.pid).count <= 8)
    }

    @Test func `a copy ends soon after the program that it shows`() throws {
        let zoo = try LiveTarget(zoo: 300)
        let snapshot = try Snapshot.take(zoo.target(), .fork)
        let memory = snapshot.memory
        let place = try #require(snapshot.map.regions.first { $0.path == "[heap]" }).start
        #expect(memory.words(at: place, count: 16_384).count == 16_384)
        kill(zoo.pid, SIGKILL)
        usleep(100_000)
        #expect(memory.words(at: place, count: 16_384).isEmpty)
        snapshot.release()
    }
}

@Suite("Room for a copy") struct MemoryHeadroomTests {
    /// A /proc and a cgroup tree with the figures of one process 7.
    func tree(available: Int, unified: Bool, limits: [(folder: String, limit: String, used: Int)]) throws -> URL {
        let root = FileManager.default.temporaryDirectory.appending(path: "headroom-\(UUID().uuidString)")
        func write(_ path: String, _ text: String) throws {
            let file = root.appending(path: path)
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try text.write(to: file, atomically: true, encoding: .utf8)
        }
        let mount = root.appending(path: "cgroup").path
        try write("meminfo", "MemTotal: 99999999 kB\nMemAvailable: \(available) kB\n")
        try write(
            "self/mounts", unified ? "cgroup2 \(mount) cgroup2 rw 0 0\n" : "cgroup \(mount) cgroup rw,memory 0 0\n")
        try write("7/cgroup", unified ? "0::/a/b\n" : "4:cpu:/\n3:memory:/a/b\n")
        let names = unified ? ("memory.max", "memory.current") : ("memory.limit_in_bytes", "memory.usage_in_bytes")
        for (folder, limit, used) in limits {
            try write("cgroup\(folder)/\(names.0)", "\(limit)\n")
            try write("cgroup\(folder)/\(names.1)", "\(used)\n")
            try write("cgroup\(folder)/memory.stat", "inactive_file 1000\n")
        }
        return root
    }

    func shortage(_ root: URL, wanted: UInt64) -> String? {
        defer { try? FileManager.default.removeItem(at: root) }
        return MemoryHeadroom.shortage(for: 7, wanted, root.path)
    }

    @Test(arguments: [true, false])
    func `the smallest room of all cgroups above it counts`(unified: Bool) throws {
        let limits = [("/a/b", "max", 5 << 20), ("/a", "\(100 << 20)", 60 << 20)]
        #expect(try shortage(tree(available: 1 << 20, unified: unified, limits: limits), wanted: 30 << 20) == nil)
        #expect(
            try shortage(tree(available: 1 << 20, unified: unified, limits: limits), wanted: 50 << 20)
                == "its cgroup has too little memory left (40 MiB)")
    }

    @Test func `a host that is nearly full gets no copy`() throws {
        #expect(
            try shortage(tree(available: 20_480, unified: true, limits: []), wanted: 30 << 20)
                == "the host has too little memory left (20 MiB)")
    }

    @Test func `what cannot be read is no room`() {
        #expect(MemoryHeadroom.shortage(for: 7, 1, "/nowhere") == "how much memory is free cannot be read")
    }
}
