import CNightjarLinux
import Glibc
import NIOCore
import NightjarAlerts
import NightjarDetectors
import NightjarHistory
import NightjarModel
import NightjarSinks

// How the agent is put together from its configuration.

extension Agent {
    /// How long findings last, who may alarm how loudly, and who answers for whom.
    static func rules(_ config: Config) -> AlertRules {
        var rules = AlertRules(cards: DetectorRegistry.all, overrides: config.alertOverrides)
        for card in DetectorRegistry.all {
            rules.detectors[card.name]?.holdFor = config.duration(card.name, "For")
        }
        return rules
    }

    static func limits(_ config: Config) -> AlertBook.Limits {
        var limits = AlertBook.Limits()
        limits.alerts = max(16, config.count("Alerts", "Open"))
        return limits
    }

    static func openHistory(_ config: Config, _ paths: Paths, _ log: OwnLog) -> History {
        let configured = config.text("History", "Directory")
        let folder = configured.isEmpty ? paths.state : configured
        Paths.makeFolder(folder, mode: 0o750)
        var limits = History.Limits()
        limits.fileSize = config.bytes("History", "MaxSize")
        limits.retention = config.duration("History", "Retention")
        let history = History.open(folder + "/history.db", limits: limits)
        for notice in history.takeNotices() { log.warning(notice) }
        return history
    }

    static func sinks(_ config: Config) -> [any Sink] {
        var sinks: [any Sink] = []
        if config.flag("Journal", "Enabled") {
            let ids = Dictionary(uniqueKeysWithValues: DetectorRegistry.all.map { ($0.name, $0.messageID) })
            sinks.append(JournaldSink(messageIDs: ids, perMinute: config.count("Journal", "PerMinute")))
        }
        if isatty(2) == 1 { sinks.append(TerminalSink(descriptor: 2)) }
        if !config.list("Mail", "To").isEmpty {
            sinks.append(
                MailSink(
                    .init(
                        to: config.list("Mail", "To"), from: config.text("Mail", "From"), host: hostName(),
                        program: config.text("Mail", "Sendmail"), from: config.severity("Mail", "Severity"))))
        }
        if !config.list("Hook", "Command").isEmpty {
            sinks.append(
                HookSink(
                    .init(
                        command: config.list("Hook", "Command"), timeLimit: config.duration("Hook", "TimeLimit"),
                        from: config.severity("Hook", "Severity"))))
        }
        return sinks
    }

    static func hostName() -> String {
        var name = [CChar](repeating: 0, count: 256)
        gethostname(&name, 255)
        return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Opens the API socket and, when asked, a loopback address. Without them the agent still watches and tells.
    func listen() {
        let mailbox = mailbox
        let server = HTTPServer { request, promise in
            let isTaken = mailbox.post { agent in agent.answer(request, to: promise) }
            if !isTaken { promise.succeed(.problem(503, "too many requests wait; try again in a second")) }
        }
        self.server = server
        let socket = apiSocket
        do {
            Paths.makeFolder(String(socket[..<(socket.lastIndex(of: "/") ?? socket.startIndex)]))
            if AgentClient(socket: socket, patience: .seconds(1)).isAnswered {
                log.error("another agent answers on \(socket); this one goes on without that socket")
            } else {
                try server.listen(unixSocket: socket)
                secure(socket)
            }
        } catch { log.error("cannot listen on \(socket): \(error); nightjar will not reach this agent") }
        let address = config.text("HTTP", "Listen")
        guard !address.isEmpty else { return }
        guard let (host, port) = Self.loopback(address) else {
            log.error(
                "[HTTP] Listen=\(address) is no loopback address with a port, such as 127.0.0.1:9477; not listening")
            return
        }
        do {
            let bound = try server.listen(host: host, port: port)
            log.notice("serving /metrics and / on http://\(host):\(bound)/")
        } catch { log.error("cannot listen on \(address): \(error)") }
    }

    var apiSocket: String {
        let configured = config.text("HTTP", "Socket")
        return configured.isEmpty ? paths.apiSocket : configured
    }

    /// 0660 and the group that may talk to it, where there is such a group and we may give it away.
    private func secure(_ socket: String) {
        chmod(socket, 0o660)
        let name = config.text("HTTP", "Group")
        guard !name.isEmpty, let group = getgrnam(name) else { return }
        if chown(socket, uid_t.max, group.pointee.gr_gid) != 0, geteuid() == 0 {
            log.warning("cannot give \(socket) to group \(name): \(String(cString: strerror(errno)))")
        }
    }

    /// `127.0.0.1:9477`, `[::1]:9477`, `localhost:9477`; nil for anything that leaves this host.
    static func loopback(_ text: String) -> (host: String, port: Int)? {
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]),
            (0...65_535).contains(port)
        else { return nil }
        var host = String(text[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        if host == "localhost" { host = "127.0.0.1" }
        guard host == "::1" || host.hasPrefix("127.") else { return nil }
        return (host, port)
    }
}

extension AgentClient {
    /// Whether anyone answers.
    var isAnswered: Bool { (try? get("/api/v1/now")) != nil }
}
