// The agent's end of the probes' socket.
//
//     accept ─▶ who is it (SO_PEERCRED) ─▶ hello with a sealed page ─▶ welcome ─▶ reports … ─▶ gone
//                    │ too many                 │ other version, no seal, nothing within 2 s
//                    ╰──────── refusal ─────────╯
//
// Anyone on the host may connect, so everything here has a limit: connections in all, of one user, of one process (one),
// messages in ten seconds, bytes a message. Nothing a peer sends is believed: its pid is the kernel's word, its page is
// mapped only when it is sealed, and what the page says is bounded by who reads it.

import CNightjarLinux
import Glibc
public import NightjarWire

/// What went wrong with the probes' socket itself.
public struct ProbeSocketError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The one way in which it fails; single probes are refused by frame, not by error.
    public enum Code: String, Hashable, Sendable { case cannotListen }

    public var code: Code
    public var path: String
    public var detail: String

    public var description: String { "cannot listen on '\(path)': \(detail)" }
}

/// A probe that is connected: its process as the kernel says, and its greeting.
public struct ProbePeer: Hashable, Sendable {
    /// Unique for the life of the listener.
    public var id: Int
    public var pid: Int32
    public var uid: UInt32
    public var hello: Hello
}

/// What happened on the socket since the last look.
public enum ProbeEvent: Hashable, Sendable {
    case joined(ProbePeer)
    case stall(Int, StallReport)
    case stacks(Int, StacksReport)
    /// Gone, with the last state of its page: the process ended, began another program, or hung up.
    case left(ProbePeer, PageReading?)
    /// Not taken on, or thrown out, and why.
    case refused(pid: Int32, uid: UInt32, Refusal)
}

/// How much the socket takes from its peers.
public struct ProbeLimits: Hashable, Sendable {
    public var connections = 1024
    /// Of any user but root.
    public var connectionsPerUser = 256
    /// From one connection in ten seconds.
    public var messages = 600
    /// Read from one connection in one look, so that nobody keeps the others waiting.
    public var messagesPerLook = 64
    /// Nanoseconds from connecting to the greeting.
    public var patience: UInt64 = 2_000_000_000
    public var reportsPerMinute: UInt16 = 60

    public init() {}
}

/// Listens for probes. For one thread; `look` never waits.
public final class ProbeListener {
    private final class Connection {
        let socket: Int32
        let pid: Int32
        let uid: UInt32
        let since: UInt64
        var peer: ProbePeer?
        var page: UnsafeRawPointer?
        var windowBegan: UInt64
        var inWindow = 0

        init(socket: Int32, pid: Int32, uid: UInt32, now: UInt64) {
            self.socket = socket
            self.pid = pid
            self.uid = uid
            since = now
            windowBegan = now
        }

        deinit {
            if let page { nj_probe_unmap(page, PageLayout.length) }
            close(socket)
        }
    }

    /// Readable (epoll) when `look` has something to do.
    public let descriptor: Int32
    public let path: String
    public let limits: ProbeLimits
    private let listener: Int32
    private var connections: [Int32: Connection] = [:]
    private var nextID = 1
    private var buffer = [UInt8](repeating: 0, count: Limits.frame + 1)

    /// Listens at `path`; its folder must exist.
    public init(path: String, limits: ProbeLimits = ProbeLimits()) throws(ProbeSocketError) {
        self.path = path
        self.limits = limits
        listener = nj_probe_listen(path)
        guard listener >= 0 else {
            throw ProbeSocketError(code: .cannotListen, path: path, detail: String(cString: strerror(errno)))
        }
        descriptor = epoll_create1(Int32(EPOLL_CLOEXEC))
        wait(for: listener)
    }

    deinit {
        unlink(path)
        close(listener)
        close(descriptor)
    }

    public var count: Int { connections.count }

    /// Everything that is to be read just now. `now` is a steady clock in nanoseconds.
    public func look(now: UInt64) -> [ProbeEvent] {
        var events: [ProbeEvent] = []
        accept(now, &events)
        for connection in Array(connections.values) { serve(connection, now, &events) }
        return events
    }

    /// What a probe's page says now; nil where it is gone or says nothing sensible.
    public func page(of id: Int) -> PageReading? {
        connections.values.first { $0.peer?.id == id }.flatMap { reading($0) }
    }

    /// Asks a probe for the stacks of all threads. False where it cannot be told.
    public func askForStacks(of id: Int, request: UInt32) -> Bool {
        guard let connection = connections.values.first(where: { $0.peer?.id == id }) else { return false }
        return send(.stacksPlease(StacksPlease(request: request)), connection)
    }

    /// Tells every probe that the agent goes away, so that they try again soon.
    public func sayGoodbye() {
        for connection in connections.values {
            _ = send(.refusal(Refusal(.shuttingDown, detail: "the agent is shutting down")), connection)
        }
    }

    private func wait(for socket: Int32) {
        var event = epoll_event()
        event.events = EPOLLIN.rawValue
        event.data.fd = socket
        epoll_ctl(descriptor, EPOLL_CTL_ADD, socket, &event)
    }

    private func accept(_ now: UInt64, _ events: inout [ProbeEvent]) {
        for _ in 0..<limits.messagesPerLook {
            let socket = nj_probe_accept(listener)
            guard socket >= 0 else { return }
            var pid: Int32 = 0
            var uid: UInt32 = 0
            guard nj_probe_peer(socket, &pid, &uid) == 0 else {
                close(socket)
                continue
            }
            let connection = Connection(socket: socket, pid: pid, uid: uid, now: now)
            if let reason = reasonToRefuse(connection) {
                refuse(connection, Refusal(.limit, detail: reason), &events)
            } else {
                connections[socket] = connection
                wait(for: socket)
            }
        }
    }

    private func reasonToRefuse(_ new: Connection) -> String? {
        if connections.count >= limits.connections { return "\(limits.connections) probes are connected already" }
        let ofUser = connections.values.count { $0.uid == new.uid }
        if new.uid != 0, ofUser >= limits.connectionsPerUser {
            return "\(ofUser) probes of user \(new.uid) are connected already"
        }
        if connections.values.contains(where: { $0.pid == new.pid }) {
            return "process \(new.pid) is connected already"
        }
        return nil
    }

    private func serve(_ connection: Connection, _ now: UInt64, _ events: inout [ProbeEvent]) {
        for _ in 0..<limits.messagesPerLook {
            var passed: Int32 = -1
            let got = nj_probe_receive(connection.socket, &buffer, buffer.count, &passed)
            if got < 0, errno == EAGAIN || errno == EINTR { break }
            let problem = errno
            guard got > 0 else {
                if passed >= 0 { close(passed) }
                if got < 0, problem == EMSGSIZE {
                    return drop(
                        connection, Refusal(.malformed, detail: "a message of more than \(Limits.frame) bytes"), &events
                    )
                }
                return drop(connection, nil, &events)
            }
            take(connection, Array(buffer[..<got]), passed, now, &events)
            if connections[connection.socket] == nil { return }
        }
        if connection.peer == nil, now &- connection.since > limits.patience {
            drop(connection, Refusal(.malformed, detail: "no greeting came"), &events)
        }
    }

    private func take(
        _ connection: Connection, _ bytes: [UInt8], _ passed: Int32, _ now: UInt64, _ events: inout [ProbeEvent]
    ) {
        defer { if passed >= 0 { close(passed) } }
        if now &- connection.windowBegan > 10_000_000_000 {
            connection.windowBegan = now
            connection.inWindow = 0
        }
        connection.inWindow += 1
        guard connection.inWindow <= limits.messages else {
            return drop(connection, Refusal(.limit, detail: "more than \(limits.messages) messages in 10 s"), &events)
        }
        let frame: Frame
        do throws(Frame.Defect) {
            frame = try Frame(decoding: bytes)
        } catch {
            return refuseDefect(connection, error, &events)
        }
        switch (frame, connection.peer) {
        case (.hello(let hello), nil): greet(connection, hello, passed, &events)
        case (.stall(let report), let peer?): events.append(.stall(peer.id, report))
        case (.stacks(let report), let peer?): events.append(.stacks(peer.id, report))
        default: drop(connection, Refusal(.malformed, detail: "a message out of place"), &events)
        }
    }

    private func refuseDefect(_ connection: Connection, _ defect: Frame.Defect, _ events: inout [ProbeEvent]) {
        switch defect {
        case .wrongVersion(let version):
            let detail = "the probe speaks version \(version), this agent version \(Frame.version)"
            drop(connection, Refusal(.version, detail: detail), &events)
        // A newer probe may say more than we know.
        case .unknownKind where connection.peer != nil: return
        default: drop(connection, Refusal(.malformed, detail: "not a message of the probe's wire"), &events)
        }
    }

    private func greet(_ connection: Connection, _ hello: Hello, _ passed: Int32, _ events: inout [ProbeEvent]) {
        guard passed >= 0, hello.pageLength == UInt32(PageLayout.length),
            let page = nj_probe_map(passed, PageLayout.length)
        else {
            return drop(
                connection,
                Refusal(.page, detail: "no sealed page of \(PageLayout.length) bytes came with the greeting"), &events)
        }
        connection.page = page
        let peer = ProbePeer(id: nextID, pid: connection.pid, uid: connection.uid, hello: hello)
        nextID += 1
        connection.peer = peer
        _ = send(.welcome(Welcome(reportsPerMinute: limits.reportsPerMinute)), connection)
        events.append(.joined(peer))
    }

    private func reading(_ connection: Connection) -> PageReading? {
        connection.page.flatMap { PageReading(UnsafeRawBufferPointer(start: $0, count: PageLayout.length)) }
    }

    private func drop(_ connection: Connection, _ refusal: Refusal?, _ events: inout [ProbeEvent]) {
        if let refusal { refuse(connection, refusal, &events) }
        if let peer = connection.peer { events.append(.left(peer, reading(connection))) }
        // Closing takes it out of the epoll set.
        connections[connection.socket] = nil
    }

    private func refuse(_ connection: Connection, _ refusal: Refusal, _ events: inout [ProbeEvent]) {
        _ = send(.refusal(refusal), connection)
        events.append(.refused(pid: connection.pid, uid: connection.uid, refusal))
    }

    private func send(_ frame: Frame, _ connection: Connection) -> Bool {
        let bytes = frame.encoded()
        return nj_probe_send(connection.socket, bytes, bytes.count) == bytes.count
    }
}
