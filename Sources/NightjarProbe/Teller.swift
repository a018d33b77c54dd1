// Who is told of a stall: the agent where one listens, else the service's own log, one line a stall.
//
// The link is made and made again by the watchdog: a try at once and then every five seconds; an agent that refuses is left
// alone for five minutes. Nothing here waits: a message that the socket does not take is counted and dropped.

import CNightjarProbe
import Glibc
import NightjarSymbols
import NightjarWire

struct Teller {
    private enum Link {
        case none(tryAt: UInt64)
        /// The greeting is sent.
        case greeted(socket: nj_descriptor)
        case welcomed(socket: nj_descriptor)

        var socket: nj_descriptor? {
            switch self {
            case .none: nil
            case .greeted(let socket), .welcomed(let socket): socket
            }
        }
    }

    private static let retry: UInt64 = 5_000_000_000
    private static let retryAfterRefusal: UInt64 = 300_000_000_000
    private static let stacksEvery: UInt64 = 200_000_000
    private static let minute: UInt64 = 60_000_000_000
    /// Tables of names are given back when no stall was told for so long.
    private static let forgetAfter: UInt64 = 60_000_000_000

    private let page: Page
    private let service: String
    private let settings: ProbeSettings
    private var link = Link.none(tryAt: 0)
    private var agentBudget = 60
    private var told: [UInt64] = []
    private var starvationTold: UInt64 = 0
    private var suppressed: UInt32 = 0
    private var symbolizer: Symbolizer?
    private var usedAt: UInt64 = 0
    private var answeredAt: UInt64 = 0
    private var hasComplained = false

    init(page: Page, service: String, settings: ProbeSettings) {
        self.page = page
        self.service = service
        self.settings = settings
    }

    var isWelcomed: Bool { if case .welcomed = link { true } else { false } }

    /// Sleeps until it is time or the agent says something; true for the latter.
    func waitForAgent(_ nanoseconds: UInt64) -> Bool { nj_wait(link.socket?.number ?? -1, Int64(nanoseconds)) > 0 }

    /// When there is something to do though the agent is silent.
    var nextDuty: UInt64 {
        var time = symbolizer == nil ? .max : usedAt &+ Self.forgetAfter
        if case .none(let tryAt) = link, !settings.socket.isEmpty { time = min(time, tryAt) }
        return time
    }

    func close() {
        if let socket = link.socket { nj_close_ours(socket) }
    }

    // MARK: budget

    /// Whether one more stall may be told this minute; where not, it is counted.
    mutating func mayTell(_ now: UInt64) -> Bool {
        told.removeAll { now &- $0 > Self.minute }
        guard told.count < (isWelcomed ? agentBudget : settings.reportsPerMinute) else {
            suppressed &+= 1
            page.add(PageLayout.suppressedOffset, 1)
            return false
        }
        told.append(now)
        return true
    }

    // MARK: telling

    mutating func tell(_ report: StallReport, _ now: UInt64) {
        usedAt = now
        settings.observe?(report)
        var report = report
        if isWelcomed {
            report.suppressed = suppressed
            suppressed = 0
            send(report)
        } else if isTold(report) {
            say(line(report))
        }
    }

    /// Starvation is not the service's fault: at most once a minute alone, always to the agent, which adds it up.
    mutating func tellStarvation(_ report: StallReport, _ now: UInt64) {
        settings.observe?(report)
        if isWelcomed {
            _ = sendBytes(Frame.stall(report).encoded())
        } else if starvationTold == 0 || now &- starvationTold > Self.minute {
            starvationTold = now
            say(
                "nightjar: \(service): \(report.loop) was \(report.cause.phrase(call: -1, target: "")) for \(spoken(report.waitedNanoseconds)) of \(spoken(report.lastedNanoseconds))"
            )
        }
    }

    /// Alone, a stall is told when it ends, and while it lasts once it is a hang.
    private func isTold(_ report: StallReport) -> Bool {
        if report.cause == .poolExhausted { return report.phase != .lasting }
        return report.phase == .ended || report.phase == .lasting && report.lastedNanoseconds >= 1_900_000_000
    }

    private mutating func line(_ report: StallReport) -> String {
        let symbolizer = self.symbolizer ?? Symbolizer()
        self.symbolizer = symbolizer
        var line = StallLine.text(report, service: service, symbolizer: symbolizer)
        if suppressed > 0 {
            line += "; \(suppressed) more were held back"
            suppressed = 0
        }
        return line
    }

    private func say(_ line: String) { settings.say(line) }

    // MARK: the agent

    private mutating func send(_ report: StallReport) {
        var report = report
        report.modules = modules(of: report.samples.map(\.addresses) + report.threads.map(\.addresses))
        var bytes = Frame.stall(report).encoded()
        // A report too large for one message loses its middle, not its point.
        while bytes.count > Limits.frame, report.samples.count > 1 || !report.threads.isEmpty {
            if report.samples.count > 3 {
                report.samples.remove(at: 2)
            } else {
                _ =
                    report.threads.popLast()
                    ?? {
                        report.samples.removeLast(); return nil
                    }()
            }
            bytes = Frame.stall(report).encoded()
        }
        _ = sendBytes(bytes)
    }

    private mutating func sendBytes(_ bytes: [UInt8], passing descriptor: Int32 = -1) -> Bool {
        guard let socket = ownSocket() else { return false }
        if nj_send(socket, bytes, bytes.count, descriptor) == bytes.count { return true }
        if errno != EAGAIN, errno != ENOBUFS { hangUp(tryAgainAfter: Self.retry) }
        page.add(PageLayout.suppressedOffset, 1)
        return false
    }

    private mutating func modules(of stacks: [[UInt64]]) -> [ModuleSpan] {
        let symbolizer = self.symbolizer ?? Symbolizer()
        self.symbolizer = symbolizer
        var spans: [UInt64: ModuleSpan] = [:]
        for address in stacks.joined() where !spans.values.contains(where: { $0.start <= address && address < $0.end })
        {
            guard spans.count < Limits.modules, let (mapping, module) = symbolizer.span(at: address) else { continue }
            spans[mapping.start] = ModuleSpan(
                start: mapping.start, end: mapping.end, bias: module.bias, buildID: module.buildID, path: module.path)
        }
        return spans.values.sorted { $0.start < $1.start }
    }

    /// Connects, receives, and gives unused tables back. Called once a round.
    mutating func serve(_ now: UInt64, stacks: (UInt32) -> [ThreadReport]) {
        if symbolizer != nil, now &- usedAt > Self.forgetAfter { symbolizer = nil }
        if case .none(let tryAt) = link {
            if now >= tryAt, !settings.socket.isEmpty { connect(now) }
            return
        }
        var buffer = [UInt8](repeating: 0, count: 2048)
        for _ in 0..<16 {
            guard let socket = ownSocket() else { return }
            let got = nj_receive(socket, &buffer, buffer.count)
            if got < 0 {
                if errno != EAGAIN, errno != EINTR { hangUp(tryAgainAfter: Self.retry) }
                return
            }
            guard got > 0 else { return hangUp(tryAgainAfter: Self.retry) }
            guard let frame = try? Frame(decoding: Array(buffer[..<got])) else { continue }
            receive(frame, now, stacks)
        }
    }

    private mutating func receive(_ frame: Frame, _ now: UInt64, _ stacks: (UInt32) -> [ThreadReport]) {
        switch frame {
        case .welcome(let welcome):
            agentBudget = Int(welcome.reportsPerMinute)
            if let socket = link.socket { link = .welcomed(socket: socket) }
        case .refusal(let refusal):
            if !hasComplained { say("nightjar: \(service): the agent refused the probe: \(refusal.detail)") }
            hasComplained = true
            hangUp(tryAgainAfter: refusal.reason == .shuttingDown ? Self.retry : Self.retryAfterRefusal)
        case .stacksPlease(let please):
            // All stacks at once disturb the service a little: not as often as somebody likes.
            guard now &- answeredAt >= Self.stacksEvery else { return }
            answeredAt = now
            answer(please.request, stacks(please.request), now)
        case .hello, .stall, .stacks: break
        }
    }

    /// As many messages as it takes.
    private mutating func answer(_ request: UInt32, _ threads: [ThreadReport], _ now: UInt64) {
        usedAt = now
        var rest = threads[...]
        repeat {
            let part = Array(rest.prefix(8))
            rest = rest.dropFirst(8)
            let report = StacksReport(
                request: request, isLast: rest.isEmpty, threads: part, modules: modules(of: part.map(\.addresses)))
            guard sendBytes(Frame.stacks(report).encoded()) else { return }
        } while !rest.isEmpty
    }

    private mutating func connect(_ now: UInt64) {
        guard nj_is_ours(page.descriptor) != 0 else { return giveUp() }
        let socket = nj_note(nj_connect(settings.socket))
        guard socket.number >= 0 else {
            link = .none(tryAt: now &+ Self.retry)
            return
        }
        link = .greeted(socket: socket)
        nj_fork_guard(page.base, PageLayout.length, page.descriptor, socket)
        let hello = Hello(
            service: service, pid: getpid(), pageLength: UInt32(PageLayout.length), slots: UInt16(PageLayout.slots),
            stallThresholdNanoseconds: settings.stallThreshold.nanoseconds, clock: nj_now())
        _ = sendBytes(Frame.hello(hello).encoded(), passing: page.descriptor.number)
    }

    private mutating func hangUp(tryAgainAfter pause: UInt64) {
        if let socket = link.socket { nj_close_ours(socket) }
        nj_fork_guard(page.base, PageLayout.length, page.descriptor, nj_note(-1))
        link = .none(tryAt: nj_now() &+ pause)
    }

    /// The socket, as long as the number is ours. Asked before each use: what a service opens after it closed all
    /// descriptors may have it, and must get nothing from us and lose nothing to us.
    private mutating func ownSocket() -> Int32? {
        guard let socket = link.socket else { return nil }
        if nj_is_ours(socket) != 0 { return socket.number }
        giveUp()
        return nil
    }

    /// The page's descriptor went with the socket's, and without it no agent can be greeted again.
    private mutating func giveUp() {
        nj_fork_guard(page.base, PageLayout.length, page.descriptor, nj_note(-1))
        guard nj_is_ours(page.descriptor) == 0 else {
            link = .none(tryAt: nj_now() &+ Self.retry)
            return
        }
        link = .none(tryAt: .max)
        say(
            "nightjar: \(service): the service closed the probe's descriptors (closefrom, or a loop over all numbers): no agent is told of stalls any more, they are told here; start the probe after that"
        )
    }
}
