import CNightjarLinux
import Glibc
import NightjarModel

// The command line's end of the socket: one request a connection, HTTP/1.0, read to the end. The peer is our own
// agent on a Unix socket, so the head is a status line and a blank line; nothing foreign is parsed here.

/// Why the agent could not be asked, in one line with what to do.
public struct ClientError: Error, Hashable, Sendable, CustomStringConvertible {
    public var description: String
    /// True where no agent answers at all.
    public var isAbsent: Bool

    public init(_ description: String, isAbsent: Bool = false) {
        self.description = description
        self.isAbsent = isAbsent
    }
}

/// Asks the agent over its Unix socket.
public struct AgentClient: Sendable {
    /// Longer answers are cut off: no answer of ours comes near.
    static let answerLimit = 64 * 1024 * 1024

    public let sockets: [String]
    public let patience: Duration

    /// `socket` nil: the system's agent, then the user's own.
    public init(socket: String? = nil, patience: Duration = .seconds(10)) {
        sockets = socket.map { [$0] } ?? Paths.socketsToTry()
        self.patience = patience
    }

    /// The body of the answer; a status that is not 2xx becomes the error the agent wrote.
    public func get(_ path: String, method: String = "GET") throws(ClientError) -> [UInt8] {
        let descriptor = try connect()
        defer { close(descriptor) }
        try send("\(method) \(path) HTTP/1.0\r\nHost: nightjar\r\n\r\n", to: descriptor)
        let answer = try receive(from: descriptor)
        guard let split = Self.headEnd(in: answer), answer.count > 12,
            let status = Int(String(decoding: answer[9..<12], as: UTF8.self))
        else { throw ClientError("the agent's answer is no HTTP; is another program listening on \(sockets[0])?") }
        let body = Array(answer[split...])
        guard (200..<300).contains(status) else {
            let sentence = ConfigSyntax.trimmed(String(decoding: body, as: UTF8.self))
            throw ClientError(sentence.isEmpty ? "the agent answered \(status) to \(path)" : sentence)
        }
        return body
    }

    private func connect() throws(ClientError) -> Int32 {
        var refusal: (path: String, code: Int32)?
        for path in sockets {
            let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
            guard descriptor >= 0 else { throw ClientError("socket: \(String(cString: strerror(errno)))") }
            var limit = timeval(tv_sec: Int(patience.components.seconds), tv_usec: 0)
            setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
            setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
            if Self.connect(descriptor, to: path) { return descriptor }
            if errno != ENOENT || refusal == nil { refusal = (path, errno) }
            close(descriptor)
        }
        throw Self.sentence(for: refusal?.code ?? ENOENT, refusal?.path ?? sockets[0])
    }

    private static func connect(_ descriptor: Int32, to path: String) -> Bool {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
            errno = ENAMETOOLONG
            return false
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
            }
        }
    }

    private static func sentence(for code: Int32, _ path: String) -> ClientError {
        switch code {
        case ENOENT, ECONNREFUSED:
            ClientError(
                "no agent answers on \(path); start it: systemctl start nightjard (or run nightjard)", isAbsent: true)
        case EACCES:
            ClientError("no permission for \(path); join the group nightjar, or use sudo")
        default:
            ClientError("cannot connect to \(path): \(String(cString: strerror(code)))")
        }
    }

    private func send(_ text: String, to descriptor: Int32) throws(ClientError) {
        let bytes = Array(text.utf8)
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw ClientError("the agent hung up: \(String(cString: strerror(errno)))") }
            sent += count
        }
    }

    private func receive(from descriptor: Int32) throws(ClientError) -> [UInt8] {
        var answer: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 * 1024)
        while answer.count < Self.answerLimit {
            let count = read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            if count < 0, errno == EAGAIN {
                throw ClientError("the agent did not answer within \(patience.spoken); see: systemctl status nightjard")
            }
            if count <= 0 { break }
            answer += chunk.prefix(count)
        }
        return answer
    }

    /// The index behind the blank line that ends the head.
    private static func headEnd(in bytes: [UInt8]) -> Int? {
        guard bytes.count >= 4 else { return nil }
        for index in 0...(bytes.count - 4) where bytes[index] == 13 && bytes[index + 2] == 13 && bytes[index + 3] == 10
        {
            return index + 4
        }
        return nil
    }
}
