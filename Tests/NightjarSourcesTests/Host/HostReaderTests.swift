import Foundation
import Glibc
import NightjarModel
import NightjarTestKit
import Testing

@testable import NightjarSources

@Suite("The host") struct HostReaderTests {
    private let now = Moment(seconds: 1000)

    @Test func `all figures are read`() throws {
        let proc = FakeProc {
            meminfo(total: .gibi(16), available: .gibi(6), swapTotal: .gibi(2), swapFree: .gibi(1))
            file("vmstat", "nr_free_pages 12\noom_kill 3\nzz 1\n")
            pressure("memory", some: 12.5, full: 3.25)
            pressure("cpu", some: 50, full: 0)
        }
        proc.setLastPID(7, load: "1.25 0.19 0.12")
        let sys = TemporaryFolder()
        sys.write("devices/system/cpu/online", "0-3,6\n")
        let sample = try HostReader(proc: proc.root, sys: sys.path).read(at: now)
        #expect((sample.memoryTotal, sample.memoryAvailable) == (.gibi(16), .gibi(6)))
        #expect((sample.swapTotal, sample.swapFree) == (.gibi(2), .gibi(1)))
        #expect(sample.load1 == 1.25)
        #expect(sample.oomKills == 3)
        #expect(sample.memoryPressure == HostSample.Pressure(some: 0.125, full: 0.0325))
        #expect(sample.cpuPressure == HostSample.Pressure(some: 0.5, full: 0))
        #expect(sample.ioPressure == nil)
        #expect(sample.processors == 5)
    }

    @Test func `what the kernel does not have is nil, not zero`() throws {
        let proc = FakeProc { meminfo(total: .gibi(1), available: .mebi(1)) }
        proc.remove("loadavg")
        let sample = try HostReader(proc: proc.root, sys: "/nonexistent").read(at: now)
        #expect(sample.oomKills == nil)
        #expect(sample.load1 == nil)
        #expect(sample.memoryPressure == nil)
    }

    @Test func `kept descriptors see what changes`() throws {
        let proc = FakeProc { meminfo(total: .gibi(1), available: .mebi(900)) }
        let reader = try HostReader(proc: proc.root)
        _ = try reader.read(at: now)
        proc.write("meminfo", "MemTotal: 1048576 kB\nMemFree: 2 kB\nMemAvailable: 1024 kB\n")
        #expect(try reader.read(at: now).memoryAvailable == .mebi(1))
    }

    @Test(arguments: ["", "MemTotal: lots\n", "MemTotal: 99999999999999999999999 kB\nMemFree: 1 kB\n"])
    func `a meminfo that does not say how much there is throws`(text: String) throws {
        let proc = FakeProc { file("meminfo", text) }
        let reader = try HostReader(proc: proc.root)
        #expect(throws: ProcError.self) { try reader.read(at: now) }
    }

    @Test func `pressure that cannot be understood is counted and left out`() throws {
        let proc = FakeProc {
            meminfo(total: .gibi(1), available: .mebi(1))
            file("pressure/memory", "none avg10=1\n")
        }
        let reader = try HostReader(proc: proc.root)
        #expect(try reader.read(at: now).memoryPressure == nil)
        #expect(reader.errors[.malformed] == 1)
    }

    @Test(arguments: [("0\n", 1), ("0-127\n", 128), ("0,2-3\n", 3), ("", nil), ("x", nil), ("3-1", nil)])
    func `processors are counted from ranges`(text: String, count: Int?) {
        let bytes = Array(text.utf8)
        #expect(Processors.count(of: bytes.span) == count)
    }

    @Test func `this machine's own figures hang together`() throws {
        let reader = try HostReader()
        let sample = try reader.read(at: now)
        #expect(sample.memoryTotal > .mebi(64))
        #expect(sample.memoryAvailable <= sample.memoryTotal)
        #expect(sample.processors >= 1)
        #expect(reader.errors.total == 0)
    }

    @Test func `a trigger that is refused is nil, and nothing is kept open`() {
        let isRefused = { (path: String) in
            if let trigger = PressureTrigger(path: path) { trigger.descriptor < 0 } else { true }
        }
        #expect(isRefused("/nonexistent"))
        #expect(isRefused("/proc/self"))
    }

    @Test(
        .enabled(
            if: access("/proc/pressure/cpu", W_OK) == 0, "needs pressure files that we may write"))
    func `a trigger becomes ready when tasks wait, without polling`() throws {
        guard let trigger = PressureTrigger.quickest(path: "/proc/pressure/cpu") else {
            Issue.record("the kernel refused a window of two seconds")
            return
        }
        // Twice as many as there are processors: somebody has to wait.
        let processors = max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
        let crowd = (0..<2 * processors).map { _ in
            Thread { for _ in 0..<400_000_000 where Thread.current.isCancelled { break } }
        }
        for thread in crowd { thread.start() }
        defer { for thread in crowd { thread.cancel() } }
        var ready = pollfd(fd: trigger.descriptor, events: Int16(POLLPRI), revents: 0)
        #expect(poll(&ready, 1, 30_000) == 1)
        #expect(ready.revents & Int16(POLLPRI) != 0)
    }
}
