import Glibc
import NightjarModel
import NightjarTestKit
import Testing

@testable import NightjarSources

/// Rounds until `isDone`, in real time: for what another thread has to do first. Bounded.
func waitUntil(_ bench: Bench, _ isDone: () -> Bool) -> Bool {
    for _ in 0..<2000 {
        bench.round(after: .milliseconds(1))
        if isDone() { return true }
        usleep(2000)
    }
    return false
}

@Suite("Who it is") struct IdentityTests {
    @Test func `identity names the process, its user, unit and limits`() throws {
        let bench = try Bench {
            process(7, comm: "payments", cgroup: "0::/system.slice/payments.service\n", limit: "4096") {
                $0.uid = 33
                $0.nice = -5
            }
        }
        bench.round()
        let identity = try #require(bench.sampler.identity(try bench.slot(7)))
        #expect(identity.name == "payments")
        #expect((identity.uid, identity.nice) == (33, -5))
        #expect(identity.unit == "payments.service")
        #expect(identity.cgroup == "/system.slice/payments.service")
        // 100,000 s of uptime, started 50 s after boot.
        #expect(identity.startedAt == bench.clock.now - .seconds(99_950))
        bench.sampler.watch(try bench.slot(7))
        bench.round()
        #expect(bench.samples[7]?.descriptorLimit == 4096)
    }

    @Test func `unlimited descriptors are no limit`() throws {
        let bench = try Bench { process(7, limit: "unlimited") }
        bench.round()
        _ = bench.sampler.identity(try bench.slot(7))
        bench.round()
        #expect(bench.sampler.latest(try bench.slot(7))?.descriptorLimit == nil)
    }

    @Test func `the command line arrives later and is announced`() throws {
        let bench = try Bench { process(7) { $0.commandLine = ["/usr/bin/payments", "--port", "80"] } }
        bench.round()
        let slot = try bench.slot(7)
        #expect(bench.sampler.identity(slot)?.commandLine == "")
        #expect(waitUntil(bench) { bench.sampler.identified == [slot] })
        #expect(bench.sampler.identity(slot)?.commandLine == "/usr/bin/payments --port 80")
    }

    @Test func `a name that the kernel cut is completed from the executable`() throws {
        let bench = try Bench {
            process(7, comm: "prometheus-node") { $0.commandLine = ["/usr/bin/prometheus-node-exporter"] }
            process(8, comm: "sleep") { $0.commandLine = ["/usr/bin/sleep-much-longer"] }
        }
        bench.round()
        let slots = [try bench.slot(7), try bench.slot(8)]
        for slot in slots { _ = bench.sampler.identity(slot) }
        #expect(waitUntil(bench) { slots.allSatisfy { bench.sampler.identity($0)?.commandLine != "" } })
        #expect(slots.map { bench.sampler.identity($0)?.name } == ["prometheus-node-exporter", "sleep"])
    }

    @Test func `exec renames the process`() throws {
        let bench = try Bench { process(7, comm: "sh") }
        bench.round()
        let slot = try bench.slot(7)
        bench.sampler.watch(slot)
        #expect(bench.sampler.identity(slot)?.name == "sh")
        bench.proc.set(process(7, comm: "payments", cgroup: "0::/system.slice/payments.service\n"))
        bench.round()
        #expect(bench.sampler.identified == [slot])
        #expect(bench.sampler.identity(slot)?.name == "payments")
        #expect(bench.sampler.identity(slot)?.unit == "payments.service")
        #expect(bench.newSlots.isEmpty, "it is the same process")
    }

    @Test func `an exec under the same name is noticed while the process is young`() throws {
        let bench = try Bench { process(7, comm: "python3") { $0.commandLine = ["python3", "a.py"] } }
        bench.round()
        let slot = try bench.slot(7)
        bench.sampler.watch(slot)
        #expect(waitUntil(bench) { bench.sampler.identity(slot)?.commandLine == "python3 a.py" })
        bench.proc.set(process(7, comm: "python3") { $0.commandLine = ["python3", "b.py"] })
        bench.round(after: .seconds(11))
        #expect(waitUntil(bench) { bench.sampler.identity(slot)?.commandLine == "python3 b.py" })
    }

    @Test func `control characters in names and arguments are made visible`() throws {
        let bench = try Bench { process(7, comm: "a\u{1B}[2Jb") { $0.commandLine = ["x\ny", "\u{1B}]0;z"] } }
        bench.round()
        let slot = try bench.slot(7)
        #expect(bench.sampler.identity(slot)?.name == "a?[2Jb")
        #expect(waitUntil(bench) { bench.sampler.identity(slot)?.commandLine == "x?y ?]0;z" })
    }

    @Test func `a command line of megabytes is cut`() throws {
        let bench = try Bench {
            process(7) { $0.commandLine = [String](repeating: "argument", count: 200_000) }
        }
        bench.round()
        let slot = try bench.slot(7)
        _ = bench.sampler.identity(slot)
        #expect(waitUntil(bench) { bench.sampler.identity(slot)?.commandLine != "" })
        #expect(bench.sampler.identity(slot)?.commandLine.utf8.count == 256)
    }

    @Test func `a command line behind a held memory lock holds up nobody`() throws {
        var limits = ProcessLimits()
        limits.commandLineTime = .milliseconds(30)
        let bench = try Bench(limits: limits) {
            process(7) { $0.commandLineNeverAnswers = true }
            process(8) { $0.commandLine = ["eight"] }
        }
        bench.round()
        let slots = [try bench.slot(7), try bench.slot(8)]
        for slot in slots { _ = bench.sampler.identity(slot) }
        #expect(waitUntil(bench) { bench.sampler.identity(slots[1])?.commandLine == "eight" })
        #expect(bench.sampler.identity(slots[0])?.commandLine == "")
        #expect(bench.sampler.errors[.tooSlow] == 1)
        let lock = open("\(bench.proc.root)/7/cmdline", O_WRONLY | O_NONBLOCK)
        close(lock)
    }

    @Test func `command lines that all hang leave four threads behind, not more`() throws {
        var limits = ProcessLimits()
        limits.commandLineTime = .milliseconds(5)
        let bench = try Bench(limits: limits) {
            for pid in 10..<30 { process(Int32(pid)) { $0.commandLineNeverAnswers = true } }
        }
        bench.round()
        for pid in 10..<30 { _ = bench.sampler.identity(try bench.slot(Int32(pid))) }
        for _ in 0..<60 {
            bench.round(after: .milliseconds(1))
            usleep(2000)
        }
        #expect(bench.sampler.errors[.tooSlow] == Int64(CommandLineReader.mostLeftBehind))
        for pid in 10..<30 { close(open("\(bench.proc.root)/\(pid)/cmdline", O_WRONLY | O_NONBLOCK)) }
    }

    @Test func `a process in a pid namespace has an inner pid`() throws {
        let bench = try Bench {
            process(7) { $0.namespacePIDs = [17, 1] }
            process(8)
        }
        bench.round()
        #expect(bench.sampler.innerPID(try bench.slot(7)) == 1)
        #expect(bench.sampler.innerPID(try bench.slot(8)) == nil)
    }

    @Test func `kernel threads are told apart and never hot`() throws {
        let bench = try Bench { process(2, comm: "kthreadd") { $0.flags = 0x0020_8040 } }
        bench.round()
        let slot = try bench.slot(2)
        #expect(bench.sampler.isKernelThread(slot))
        for index in 0..<5 {
            bench.proc.set(
                process(2, comm: "kthreadd") {
                    $0.flags = 0x0020_8040; $0.ticks = UInt64(100 * index)
                })
            bench.round()
        }
        #expect(!bench.sampler.isHot(slot))
    }

    @Test(arguments: [("web-1\n", "docker-web-1"), ("we b\n", nil), ("\u{1B}[2J", nil), ("", nil)])
    func `a container is named by its own host name, where that is one`(text: String, expected: String?) throws {
        let id = String(repeating: "a1", count: 32)
        let bench = try Bench { process(7, cgroup: "0::/docker/\(id)\n") { $0.commandLine = ["x"] } }
        bench.proc.write("7/root/etc/hostname", text)
        bench.round()
        let slot = try bench.slot(7)
        #expect(bench.sampler.identity(slot)?.unit == "docker-a1a1a1a1a1a1")
        #expect(waitUntil(bench) { bench.sampler.identity(slot)?.commandLine == "x" })
        #expect(bench.sampler.identity(slot)?.unit == expected ?? "docker-a1a1a1a1a1a1")
    }

    @Test func `a link in a container cannot make us read the host's files`() throws {
        let secret = TemporaryFolder()
        secret.write("etc/hostname", "secret\n")
        let id = String(repeating: "a1", count: 32)
        let bench = try Bench { process(7, cgroup: "0::/docker/\(id)\n") { $0.commandLine = ["x"] } }
        bench.proc.write("7/root/etc/.keep", "")
        #expect(symlink("\(secret.path)/etc/hostname", "\(bench.proc.root)/7/root/etc/hostname") == 0)
        bench.round()
        let slot = try bench.slot(7)
        _ = bench.sampler.identity(slot)
        #expect(waitUntil(bench) { bench.sampler.identity(slot)?.commandLine == "x" })
        #expect(bench.sampler.identity(slot)?.unit == "docker-a1a1a1a1a1a1")
    }

    @Test func `strings of a place are shared and dropped with its last resident`() throws {
        let bench = try Bench { for pid in 10..<20 { process(Int32(pid)) } }
        bench.round()
        for pid in 10..<20 { _ = bench.sampler.identity(try bench.slot(Int32(pid))) }
        #expect(bench.sampler.places.count == 1)
        for pid in 10..<20 { bench.proc.end(Int32(pid)) }
        for _ in 0..<12 { bench.round() }
        #expect(bench.sampler.places.count == 0)
    }
}

@Suite("What it does not read") struct RefusalTests {
    @Test func `smaps_rollup is never read unasked above 64 MiB`() throws {
        let bench = try Bench {
            process(7, rss: .mebi(65))
            process(8, rss: .mebi(63))
        }
        for _ in 0..<200 { bench.round() }
        #expect(bench.sampler.rollupsRead == 0)
        #expect(try bench.sampler.rollup(bench.slot(7), asked: false) == nil)
        #expect(bench.sampler.rollupsRead == 0)
        #expect(try bench.sampler.rollup(bench.slot(8), asked: false)?.rss == .mebi(63))
        #expect(try bench.sampler.rollup(bench.slot(7), asked: true)?.rss == .mebi(65))
    }

    @Test func `a process that has grown past 64 MiB since its last reading is not read either`() throws {
        let bench = try Bench { process(7, rss: .mebi(3)) }
        bench.round()
        bench.proc.set(process(7, rss: .gibi(2)))
        #expect(try bench.sampler.rollup(bench.slot(7), asked: false) == nil)
        #expect(bench.sampler.rollupsRead == 0)
    }

    @Test func `a rollup that says nothing is malformed`() throws {
        let bench = try Bench { process(7) { $0.replaced[.smapsRollup] = Array("Rss: lots\n".utf8) } }
        bench.round()
        #expect(throws: ProcError.self) { try bench.sampler.rollup(bench.slot(7), asked: true) }
    }

    @Test func `a root that is not there is refused with its name`() {
        let error = #expect(throws: ProcError.self) { try ProcessSampler(root: "/nonexistent") }
        #expect(error?.description == "cannot read '/nonexistent': No such file or directory")
    }
}
