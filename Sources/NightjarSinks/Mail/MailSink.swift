// Mail through the local sendmail: the one way out of a host that has nothing else. The program gets the message on its
// standard input and the recipients as arguments after `--`, so no header decides who receives it.
//
// Mails are few by nature and by limit: what is beyond `perHour` is counted, and the next mail says how many there were.

import Glibc
public import NightjarModel
import Synchronization

/// Alerts → mail, one a state change.
public final class MailSink: Sink {
    /// `[Mail]`: to whom, through which sendmail(1), how many an hour at most.
    public struct Settings: Hashable, Sendable {
        public var to: [String]
        public var from: String
        /// The name of this host, for subject and Message-ID.
        public var host: String
        public var program: String
        public var timeLimit: Duration
        public var perHour: Int
        public var severity: Severity

        public init(
            to: [String], from: String, host: String, program: String = "/usr/sbin/sendmail",
            timeLimit: Duration = .seconds(30), perHour: Int = 30, from severity: Severity = .warning
        ) {
            self.to = to
            self.from = from
            self.host = host
            self.program = program
            self.timeLimit = timeLimit
            self.perHour = perHour
            self.severity = severity
        }
    }

    public let name = "mail"

    private struct State {
        var rate: RateLimit
        var counters = SinkCounters()
    }

    private let settings: Settings
    private let runner = ChildRunner(name: "nj-mail", atOnce: 1, queue: 64)
    private let state: Mutex<State>

    /// Addresses that cannot be used are left out; `prove` says which.
    public init(_ settings: Settings) {
        self.settings = settings
        state = Mutex(State(rate: RateLimit(settings.perHour, per: .hours(1))))
    }

    /// Hands the news to the worker that speaks to sendmail.
    public func deliver(_ action: AlertAction, at now: Moment) -> Delivery {
        guard action.alert.worst >= settings.severity else { return .notWanted }
        let held: Int64? = state.withLock { state in
            let refused = state.rate.takeRefused(at: now)
            if state.rate.admits(at: now) { return refused }
            state.counters.heldBack += 1
            return nil
        }
        guard let held else { return .heldBack }
        return submit(message(action, heldBack: held, at: now))
    }

    /// Says what was held back once there is room, and tries again what could not be sent.
    public func tick(at now: Moment) {
        let refused = state.withLock { state in
            let refused = state.rate.takeRefused(at: now)
            if refused > 0 { _ = state.rate.admits(at: now) }
            return refused
        }
        guard refused > 0 else { return }
        _ = submit(heldBackMessage(refused, at: now))
    }

    /// A test message to sendmail, and what came of it.
    public func prove(at now: Moment) -> Proof {
        let refused = ([settings.from] + settings.to).filter { !MailMessage.isAddress($0) }
        guard refused.isEmpty, !settings.to.isEmpty else {
            let what = refused.first.map { "'\(Clean.line($0))' is no address" } ?? "no recipient"
            return .failed("mail: \(what)")
        }
        let message = MailMessage(
            from: settings.from, to: settings.to, subject: "[nightjar] \(settings.host): test message", date: now,
            messageID: "test.\(now.nanoseconds)@\(domain)",
            body: "This is the test message that 'nightjar doctor --send-test' sends.\n")
        let outcome = run(job(message), with: "nj-mail-test")
        if let error = SinkError(outcome, of: settings.program, timeLimit: settings.timeLimit) {
            return .failed("mail: \(error)")
        }
        return .proved("\(settings.program) took a test mail to \(settings.to.joined(separator: ", "))")
    }

    public var counters: SinkCounters {
        var counters = state.withLock { $0.counters }
        counters.waiting = Int64(runner.waiting)
        return counters
    }

    /// Sends what waits, at most `limit`, and takes nothing more.
    public func finish(within limit: Duration) {
        let waiting = runner.waiting
        if !runner.finish(within: limit) { state.withLock { $0.counters.overflowed += Int64(waiting) } }
    }
}

// MARK: - Messages

extension MailSink {
    private func submit(_ message: MailMessage) -> Delivery {
        guard !message.to.isEmpty, MailMessage.isAddress(settings.from), runner.submit(job(message)) else {
            state.withLock { $0.counters.overflowed += 1 }
            return .overflowed
        }
        return .queued
    }

    private func job(_ message: MailMessage) -> Job {
        Job(
            arguments: [settings.program, "-i", "-f", settings.from, "--"] + message.to,
            environment: HookSink.base, input: Array(message.text.utf8), timeLimit: settings.timeLimit,
            done: { [self] outcome in
                let error = SinkError(outcome, of: settings.program, timeLimit: settings.timeLimit)
                state.withLock { state in
                    state.counters.delivered += error == nil ? 1 : 0
                    state.counters.failed += error == nil ? 0 : 1
                    state.counters.lastError = error ?? state.counters.lastError
                }
            })
    }

    /// The mail of one piece of news. A contact of the subject's own that is an address receives it too.
    func message(_ action: AlertAction, heldBack: Int64, at now: Moment) -> MailMessage {
        let alert = action.alert
        let finding = alert.finding
        var body = TerminalBlock(width: 76).text(alert, at: now)
        body += "\nhost \(settings.host), alert \(alert.id), began \(MailMessage.date(alert.startedAt))\n"
        body += "nightjar show \(alert.id)\nnightjar silence \(alert.id) --for 2h\n"
        if heldBack > 0 { body += "\n\(heldBack) earlier mails were held back to keep to the limit an hour.\n" }
        let opening = "\(alert.id).firing@\(domain)"
        let isOpening = if case .open = action { true } else { false }
        return MailMessage(
            from: settings.from, to: recipients(of: alert),
            subject: "[nightjar] \(settings.host): \(finding.detector) \(AlertText.state(of: action)), "
                + "\(finding.severity.word): \(finding.subject.shortLabel)",
            date: now, messageID: isOpening ? opening : "\(alert.id).\(action.word).\(now.nanoseconds)@\(domain)",
            inReplyTo: isOpening ? nil : opening, body: body)
    }

    private func heldBackMessage(_ count: Int64, at now: Moment) -> MailMessage {
        MailMessage(
            from: settings.from, to: settings.to.filter(MailMessage.isAddress),
            subject: "[nightjar] \(settings.host): \(count) mails were held back", date: now,
            messageID: "held-back.\(now.nanoseconds)@\(domain)",
            body: "\(count) mails were held back to keep to the limit an hour.\nnightjar alerts --all\n")
    }

    private func recipients(of alert: Alert) -> [String] {
        var all = settings.to
        if let contact = alert.contact, contact.contains("@"), !all.contains(contact) { all.append(contact) }
        return all.filter(MailMessage.isAddress)
    }

    /// The right-hand side of a Message-ID: the host's name, where it can be one.
    private var domain: String {
        let isName =
            !settings.host.isEmpty
            && settings.host.utf8.allSatisfy { byte in
                UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte | 0x20 || UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte
                    || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "-")
            }
        return isName ? settings.host : "localhost"
    }
}
