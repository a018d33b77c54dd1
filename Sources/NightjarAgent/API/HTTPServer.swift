public import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

// The agent's HTTP ends: a Unix socket for the command line and, when asked, a loopback address for Prometheus and the
// page. SwiftNIO reads foreign bytes; the answer to a request is made on the agent's own thread, between two rounds,
// so that no lock stands around what it shows.

/// A request, reduced to what routes look at.
public struct APIRequest: Sendable {
    public var method: String
    /// Without the query: `/api/v1/alerts`.
    public var path: String
    public var query: [String: String]
    public var accept: String?
    /// Whether it came over the Unix socket; what changes something is refused elsewhere.
    public var isLocal: Bool

    public init(method: String, uri: String, accept: String?, isLocal: Bool) {
        self.method = method
        self.accept = accept
        self.isLocal = isLocal
        let parts = uri.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        path = Self.unescaped(parts.first ?? "")
        query = [:]
        guard parts.count > 1 else { return }
        for pair in parts[1].split(separator: "&").prefix(32) {
            let halves = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            query[Self.unescaped(halves[0])] = halves.count > 1 ? Self.unescaped(halves[1]) : ""
        }
    }

    /// Undoes percent encoding; what is no valid escape stays as it is.
    static func unescaped(_ text: Substring) -> String {
        guard text.utf8.contains(where: { $0 == 37 || $0 == 43 }) else { return String(text) }
        var out: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            if byte == 37, let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16),
                rest.count >= 2
            {
                out.append(value)
                rest = rest.dropFirst(2)
            } else {
                out.append(byte == 43 ? 32 : byte)
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    /// Percent encoding for a query value.
    public static func escaped(_ text: String) -> String {
        let hex = Array("0123456789ABCDEF")
        var out = ""
        for byte in text.utf8 {
            switch byte {
            case 48...57, 65...90, 97...122, 45, 46, 95, 126, 47: out.unicodeScalars.append(Unicode.Scalar(byte))
            default: out += "%\(hex[Int(byte >> 4)])\(hex[Int(byte & 15)])"
            }
        }
        return out
    }
}

/// An answer.
public struct APIResponse: Sendable {
    public var status: Int
    public var contentType: String
    public var body: [UInt8]

    public init(status: Int = 200, contentType: String, body: [UInt8]) {
        self.status = status
        self.contentType = contentType
        self.body = body
    }

    /// A page of plain text.
    public static func text(_ text: String, status: Int = 200) -> APIResponse {
        APIResponse(status: status, contentType: "text/plain; charset=utf-8", body: Array(text.utf8))
    }

    /// One line that says what is wrong and what to do.
    public static func problem(_ status: Int, _ sentence: String) -> APIResponse {
        text(sentence + "\n", status: status)
    }
}

/// The server: one thread, a bounded number of connections.
public final class HTTPServer {
    /// Enough for every client on one host; further ones are closed at once.
    public static let connectionLimit = 128
    /// No request of ours has a body worth more.
    static let bodyLimit = 64 * 1024

    /// What answers: called on the server's thread, fulfils the promise from whichever thread it likes, once.
    public typealias Answer = @Sendable (APIRequest, EventLoopPromise<APIResponse>) -> Void

    private let group: MultiThreadedEventLoopGroup
    private let answer: Answer
    private let gate = ConnectionGate(limit: connectionLimit)
    private var channels: [any Channel] = []

    public init(answer: @escaping Answer) {
        group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        self.answer = answer
    }

    /// Listens on a Unix socket; a stale socket file is removed first.
    public func listen(unixSocket path: String) throws {
        channels.append(
            try bootstrap(isLocal: true).bind(unixDomainSocketPath: path, cleanupExistingSocketFile: true).wait())
    }

    /// Listens on TCP. Returns the port, which differs from the one asked for where that is 0.
    public func listen(host: String, port: Int) throws -> Int {
        let channel = try bootstrap(isLocal: false).bind(host: host, port: port).wait()
        channels.append(channel)
        return channel.localAddress?.port ?? port
    }

    /// Closes every listener and ends the thread; waits for both.
    public func shutdown() {
        for channel in channels { try? channel.close().wait() }
        channels = []
        try? group.syncShutdownGracefully()
    }

    private func bootstrap(isLocal: Bool) -> ServerBootstrap {
        ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 64)
            .childChannelInitializer { [gate, answer] channel in
                guard gate.enter() else { return channel.close() }
                channel.closeFuture.whenComplete { _ in gate.leave() }
                return channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.configureHTTPServerPipeline(withErrorHandling: true)
                    try pipeline.addHandler(IdleCloser())
                    try pipeline.addHandler(RequestHandler(isLocal: isLocal, answer: answer))
                }
            }
    }
}

/// Counts connections, so that a flood of them costs a bounded amount.
private final class ConnectionGate: Sendable {
    private let open = Atomic(0)
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    func enter() -> Bool {
        if open.add(1, ordering: .relaxed).newValue <= limit { return true }
        // The close that follows a refusal calls nobody back, so it is taken off here.
        open.subtract(1, ordering: .relaxed)
        return false
    }

    func leave() { open.subtract(1, ordering: .relaxed) }
}

/// Closes a connection that has been silent for long: slow clients must not hold places.
private final class IdleCloser: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart

    private static let patience = TimeAmount.seconds(60)
    private var timeout: Scheduled<Void>?

    func channelActive(context: ChannelHandlerContext) {
        rearm(context)
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        rearm(context)
        context.fireChannelRead(data)
    }

    func channelInactive(context: ChannelHandlerContext) {
        timeout?.cancel()
        context.fireChannelInactive()
    }

    private func rearm(_ context: ChannelHandlerContext) {
        timeout?.cancel()
        timeout = context.eventLoop.assumeIsolated().scheduleTask(in: Self.patience) { context.close(promise: nil) }
    }
}

/// Gathers one request, has it answered, writes the response.
private final class RequestHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let isLocal: Bool
    private let answer: HTTPServer.Answer
    private var head: HTTPRequestHead?
    private var bodyBytes = 0

    init(isLocal: Bool, answer: @escaping HTTPServer.Answer) {
        self.isLocal = isLocal
        self.answer = answer
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
            bodyBytes = 0
        case .body(let part):
            bodyBytes += part.readableBytes
            if bodyBytes > HTTPServer.bodyLimit { context.close(promise: nil) }
        case .end:
            guard let head else { return }
            self.head = nil
            respond(to: head, context)
        }
    }

    private func respond(to head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        let request = APIRequest(
            method: head.method.rawValue, uri: head.uri, accept: head.headers.first(name: "accept"), isLocal: isLocal)
        let promise = context.eventLoop.makePromise(of: APIResponse.self)
        let isKeptAlive = head.isKeepAlive
        promise.futureResult.assumeIsolated().whenComplete { result in
            let response =
                (try? result.get()) ?? .problem(503, "the agent is busy or stopping; try again in a second")
            self.write(response, version: head.version, isHead: head.method == .HEAD, isKeptAlive, context)
        }
        answer(request, promise)
    }

    private func write(
        _ response: APIResponse, version: HTTPVersion, isHead: Bool, _ isKeptAlive: Bool,
        _ context: ChannelHandlerContext
    ) {
        var headers = HTTPHeaders([
            ("content-type", response.contentType), ("content-length", "\(response.body.count)"),
            ("cache-control", "no-store"), ("x-content-type-options", "nosniff"),
        ])
        headers.add(name: "connection", value: isKeptAlive ? "keep-alive" : "close")
        let head = HTTPResponseHead(
            version: version, status: HTTPResponseStatus(statusCode: response.status), headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if !isHead {
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: response.body)))), promise: nil)
        }
        let end = context.eventLoop.makePromise(of: Void.self)
        if !isKeptAlive {
            end.futureResult.assumeIsolated().whenComplete { _ in context.close(promise: nil) }
        }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: end)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
