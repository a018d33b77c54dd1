import CNightjarProbe
import Foundation
import NightjarSources
import NightjarWire
import Testing

/// Both ends of the probes' socket, over a real one.
@Suite(.serialized) struct ProbeSocketTests {
    private let folder = FileManager.default.temporaryDirectory.appending(path: "nj-\(UInt32.random(in: 0...(.max)))")
    private var path: String { folder.appending(path: "probe.sock").path(percentEncoded: false) }

    init() throws { try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true) }

    private func listener(_ limits: ProbeLimits = ProbeLimits()) throws -> ProbeListener {
        try ProbeListener(path: path, limits: limits)
    }

    /// A page as a probe makes it.
    private final class TestPage {
        var memory: UnsafeMutableRawPointer?
        let descriptor: Int32

        init() {
            descriptor = nj_page_create(PageLayout.length, &memory)
            memory?.storeBytes(of: PageLayout.magic, as: UInt64.self)
            memory?.storeBytes(of: UInt32(Frame.version), toByteOffset: PageLayout.versionOffset, as: UInt32.self)
        }

        deinit { if let memory { nj_page_destroy(descriptor, memory, PageLayout.length) } }
    }

    private let hello = Frame.hello(
        Hello(
            service: "checkout", pid: getpid(), pageLength: UInt32(PageLayout.length), slots: 256,
            stallThresholdNanoseconds: 50_000_000, clock: 0))

    private func send(_ bytes: [UInt8], _ socket: Int32, passing: Int32 = -1) {
        _ = nj_send(socket, bytes, bytes.count, passing)
    }

    private func answer(_ socket: Int32) -> Frame? {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let got = nj_receive(socket, &buffer, buffer.count)
        return got > 0 ? try? Frame(decoding: Array(buffer[..<got])) : nil
    }

    @Test func `a probe that greets with its page is welcome, and its process is the kernel's word`() throws {
        let listener = try listener()
        let page = TestPage()
        let socket = nj_connect(path)
        defer { close(socket) }
        send(hello.encoded(), socket, passing: page.descriptor)
        guard case .joined(let peer)? = listener.look(now: 0).first else {
            Issue.record("not joined")
            return
        }
        #expect(peer.pid == getpid() && peer.uid == getuid())
        #expect(listener.page(of: peer.id) != nil)
        guard case .welcome? = answer(socket) else {
            Issue.record("no welcome")
            return
        }
    }

    @Test func `the last state of a probe that goes away is read`() throws {
        let listener = try listener()
        let page = TestPage()
        let socket = nj_connect(path)
        send(hello.encoded(), socket, passing: page.descriptor)
        _ = listener.look(now: 0)
        page.memory?.storeBytes(of: UInt64(77), toByteOffset: PageLayout.watchdogOffset, as: UInt64.self)
        close(socket)
        guard case .left(_, let last)? = listener.look(now: 1).first else {
            Issue.record("not left")
            return
        }
        #expect(last?.watchdog == 77)
        #expect(listener.count == 0)
    }

    @Test func `another version is refused by name, and the refusal arrives`() throws {
        let listener = try listener()
        let socket = nj_connect(path)
        defer { close(socket) }
        send(hello.encoded(version: 9), socket)
        _ = listener.look(now: 0)
        guard case .refusal(let refusal)? = answer(socket) else {
            Issue.record("no refusal")
            return
        }
        #expect(refusal.reason == .version && refusal.version == Frame.version)
        #expect(listener.count == 0)
    }

    @Test func `a page that could shrink under us is refused`() throws {
        let listener = try listener()
        let file = folder.appending(path: "page").path(percentEncoded: false)
        try Data(count: PageLayout.length).write(to: URL(filePath: file))
        let unsealed = open(file, O_RDWR)
        defer { close(unsealed) }
        let socket = nj_connect(path)
        defer { close(socket) }
        send(hello.encoded(), socket, passing: unsealed)
        _ = listener.look(now: 0)
        guard case .refusal(let refusal)? = answer(socket) else {
            Issue.record("no refusal")
            return
        }
        #expect(refusal.reason == .page)
    }

    @Test func `of a thousand registrations of one process one is taken`() throws {
        let listener = try listener()
        let page = TestPage()
        let before = openDescriptors()
        var joined = 0
        var refused = 0
        for _ in 0..<1000 {
            let socket = nj_connect(path)
            send(hello.encoded(), socket, passing: page.descriptor)
            for event in listener.look(now: 0) {
                if case .joined = event { joined += 1 }
                if case .refused(_, _, let refusal) = event {
                    refused += 1
                    #expect(refusal.reason == .limit)
                }
            }
            if joined == 1, refused > 0 { close(socket) }
        }
        #expect(joined == 1 && refused == 999)
        #expect(listener.count == 1)
        #expect(openDescriptors() - before < 8)
    }

    @Test func `a flood is cut off and the others go on`() throws {
        var limits = ProbeLimits()
        limits.messages = 20
        let listener = try listener(limits)
        let page = TestPage()
        let socket = nj_connect(path)
        defer { close(socket) }
        send(hello.encoded(), socket, passing: page.descriptor)
        let report = Frame.stall(
            StallReport(
                number: 1, phase: .ended, slot: 0, loop: "x", cause: .computing, startedAt: 0, lastedNanoseconds: 1))
        var events: [ProbeEvent] = []
        for _ in 0..<40 {
            send(report.encoded(), socket)
            events += listener.look(now: 0)
        }
        #expect(events.count { if case .stall = $0 { true } else { false } } == 19)
        #expect(
            events.contains { if case .refused(_, _, let refusal) = $0 { refusal.reason == .limit } else { false } })
        #expect(listener.count == 0)
    }

    @Test func `who connects and says nothing is shown out`() throws {
        let listener = try listener()
        let socket = nj_connect(path)
        defer { close(socket) }
        _ = listener.look(now: 0)
        #expect(listener.count == 1)
        _ = listener.look(now: 2_000_000_001)
        #expect(listener.count == 0)
    }

    @Test func `garbage, oversized messages and messages out of place end one connection and nothing else`() throws {
        let listener = try listener()
        let stall = Frame.stall(
            StallReport(
                number: 1, phase: .ended, slot: 0, loop: "x", cause: .computing, startedAt: 0, lastedNanoseconds: 1))
        for bytes in [
            [1, 2, 3], [UInt8](repeating: 0x4E, count: Limits.frame + 100), stall.encoded(),
            Array(hello.encoded().dropLast()),
        ] {
            let socket = nj_connect(path)
            send(bytes, socket)
            _ = listener.look(now: 0)
            #expect(listener.count == 0)
            close(socket)
        }
        var state: UInt64 = 5
        for _ in 0..<500 {
            let socket = nj_connect(path)
            var bytes = hello.encoded()
            for _ in 0..<4 {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                bytes[Int(state >> 40) % bytes.count] = UInt8(truncatingIfNeeded: state >> 20)
            }
            send(bytes, socket)
            _ = listener.look(now: 0)
            close(socket)
            _ = listener.look(now: 0)
            #expect(listener.count == 0)
        }
    }

    @Test func `a socket file that nobody listens on is replaced, one in use is not taken`() throws {
        let first = try listener()
        #expect(throws: ProbeSocketError.self) { try ProbeListener(path: path) }
        _ = first.count
        // Left behind as after a kill -9: bound, and closed without unlinking.
        let stale = folder.appending(path: "stale.sock").path(percentEncoded: false)
        let listening = socket(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { raw in raw.copyBytes(from: Array(stale.utf8) + [0]) }
        let bound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listening, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        #expect(bound == 0)
        close(listening)
        #expect(try ProbeListener(path: stale).count == 0)
    }

    private func openDescriptors() -> Int {
        (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count) ?? 0
    }
}
