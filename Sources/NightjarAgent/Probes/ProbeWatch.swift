// All services with a probe: joins, reports, pages, departures. The pipeline calls `round` once a second, and at once when
// `fd` is readable.

import CNightjarLinux
import Glibc
public import NightjarModel
public import NightjarSources
public import NightjarSymbols
import NightjarWire

/// The end of a service that had a probe, with what was going on.
public struct Departure: Hashable, Sendable {
    public var time: Moment
    public var service: String
    public var pid: Int32
    /// Ended, or began another program, or only hung up.
    public var how: String
    /// `main queue had not come back for 12 s, computing in Checkout.parse(_:)`; empty where nothing was going on.
    public var wasDoing: [String]
}

/// Follows every probe of the host. For one thread; nothing here waits.
public struct ProbeWatch: ~Copyable {
    /// Stalls named in one round; naming reads symbol tables (some ms each), and others wait their turn.
    private static let namedPerRound = 4
    private static let mostWaiting = 256
    private static let mostDepartures = 32
    /// Services whose names are kept from one report to the next.
    private static let mostNamed = 16

    private let listener: ProbeListener
    private let settings: ProbeSettingsSource
    private let procRoot: String
    private var services: [Int: ProbeService] = [:]
    private var waiting: [(id: Int, report: StallReport)] = []
    private var departures: [Departure] = []
    private var stacks: [Int32: [ThreadStack]] = [:]
    private var names: [Int: ProbeNames] = [:]
    private var gathering: [Int: (request: UInt32, threads: [ThreadStack])] = [:]
    private var nextRequest: UInt32 = 1
    private var lastRound: Moment?
    private var errorCounts: [String: (count: Int, last: String)] = [:]

    /// Listens at `socket`; its folder must exist.
    public init(
        socket: String = "/run/nightjar/probe.sock", procRoot: String = "/proc", limits: ProbeLimits = ProbeLimits(),
        settings: @escaping ProbeSettingsSource = { _ in LoopSettings() }
    ) throws(ProbeSocketError) {
        listener = try ProbeListener(path: socket, limits: limits)
        self.procRoot = procRoot
        self.settings = settings
    }

    /// Readable (epoll) when a probe has something to say.
    public var fd: Int32 { listener.descriptor }

    /// What could not be done: code, how often, the last one in words.
    public var errors: [(code: String, count: Int, last: String)] {
        errorCounts.map { (code: $0.key, count: $0.value.count, last: $0.value.last) }.sorted { $0.code < $1.code }
    }

    /// One round: everything read, and the detectors' answers: found each time, quiet once after it.
    public mutating func round(at now: Moment, identify: ((Int32) -> ProcessIdentity?)? = nil) -> [WatchAnswer] {
        var answers: [WatchAnswer] = []
        for event in listener.look(now: Self.steadyNanoseconds) { take(event, now, identify, &answers) }
        nameReports(now)
        seeEnds(now)
        // Woken by a message within the second, the pages are left alone.
        if let lastRound, now - lastRound < .milliseconds(500), !answersAreDue { return answers }
        lastRound = now
        answersAreDue = false
        for id in services.keys.sorted() {
            if let peer = services[id]?.peer, peer.key == nil { services[id]?.complete(identify?(peer.pid)) }
            answers += services[id]?.round(listener.page(of: id), at: now, settings: settings) ?? []
        }
        return answers
    }

    private var answersAreDue = false

    /// Asks the probe of a process for all its stacks; they come with one of the next rounds. False: it has no probe.
    public mutating func requestStacks(_ pid: Int32) -> Bool {
        guard let id = services.first(where: { $0.value.peer.pid == pid })?.key else { return false }
        let request = nextRequest
        nextRequest &+= 1
        stacks[pid] = nil
        gathering[id] = (request, [])
        return listener.askForStacks(of: id, request: request)
    }

    /// Takes the stacks that were asked for, once they are complete.
    public mutating func takeStacks(_ pid: Int32) -> [ThreadStack]? { stacks.removeValue(forKey: pid) }

    /// Everything that `top`, `show`, the page and `/metrics` say of probes.
    public func snapshot() -> ProbeSnapshot {
        ProbeSnapshot(
            services: services.keys.sorted().compactMap { services[$0].map(ProbeSnapshot.Service.init) },
            departures: departures)
    }

    /// Tells the probes that the agent goes away.
    public func sayGoodbye() { listener.sayGoodbye() }

    private mutating func take(
        _ event: ProbeEvent, _ now: Moment, _ identify: ((Int32) -> ProcessIdentity?)?, _ answers: inout [WatchAnswer]
    ) {
        switch event {
        case .joined(let peer):
            let identity = identify?(peer.pid)
            let service = peer.hello.service.isEmpty ? identity?.name ?? "pid \(peer.pid)" : peer.hello.service
            services[peer.id] = ProbeService(
                .init(id: peer.id, pid: peer.pid, key: identity?.key, unit: identity?.unit, service: service))
        case .stall(let id, let report):
            guard waiting.count < Self.mostWaiting else {
                return count("report_dropped", "more stalls than can be named")
            }
            waiting.append((id, report))
        case .stacks(let id, let report): gather(id, report)
        case .left(let peer, let page): depart(peer, page, now, &answers)
        case .refused(let pid, let uid, let refusal):
            count("refused_\(refusal.reason)", "pid \(pid), user \(uid): \(refusal.detail)")
        }
    }

    private mutating func nameReports(_ now: Moment) {
        for _ in 0..<Self.namedPerRound where !waiting.isEmpty {
            let (id, report) = waiting.removeFirst()
            guard let pid = services[id]?.peer.pid else { continue }
            let story = ProbeStory(pid: pid, procRoot: procRoot, modules: report.modules, names: names(of: id))
            services[id]?.take(report, story, at: now)
            answersAreDue = true
        }
    }

    private mutating func names(of id: Int) -> ProbeNames {
        if let known = names[id] { return known }
        if names.count >= Self.mostNamed { names = [:] }
        let fresh = ProbeNames()
        names[id] = fresh
        return fresh
    }

    private mutating func gather(_ id: Int, _ report: StacksReport) {
        guard let pid = services[id]?.peer.pid, var open = gathering[id], open.request == report.request else { return }
        let story = ProbeStory(pid: pid, procRoot: procRoot, modules: report.modules)
        open.threads += report.threads.map(story.threadStack)
        gathering[id] = open.threads.count > ThreadStacks.mostThreads ? nil : open
        guard report.isLast else { return }
        stacks[pid] = open.threads
        gathering[id] = nil
    }

    private mutating func depart(_ peer: ProbePeer, _ page: PageReading?, _ now: Moment, _ answers: inout [WatchAnswer])
    {
        gathering[peer.id] = nil
        names[peer.id] = nil
        guard var service = services.removeValue(forKey: peer.id) else { return }
        let departure = Departure(
            time: now, service: service.peer.service, pid: peer.pid,
            how: hasEnded(peer.pid) ? Self.ended : Self.hungUp,
            wasDoing: doings(service, page, peer))
        departures.append(departure)
        if departures.count > Self.mostDepartures { departures.removeFirst() }
        answers += service.close(at: now)
    }

    private static let ended = "ended"
    private static let hungUp = "hung up or began another program"

    /// A process that ends closes its descriptors first, and is there for some moments more.
    private mutating func seeEnds(_ now: Moment) {
        for index in departures.indices
        where departures[index].how == Self.hungUp && now - departures[index].time < .seconds(10) {
            if hasEnded(departures[index].pid) { departures[index].how = Self.ended }
        }
    }

    /// It is gone, or only its exit status is left for its parent.
    private func hasEnded(_ pid: Int32) -> Bool {
        let file = open("\(procRoot)/\(pid)/stat", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return true }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 256)
        let count = read(file, &bytes, bytes.count)
        // comm may hold parentheses, so the state stands after the last one (proc(5)).
        guard count > 0, let end = bytes.prefix(count).lastIndex(of: UInt8(ascii: ")")), end + 2 < count else {
            return true
        }
        return bytes[end + 2] == UInt8(ascii: "Z") || bytes[end + 2] == UInt8(ascii: "X")
    }

    /// The loops that had not come back when the process ended, from its last page.
    private func doings(_ service: ProbeService, _ page: PageReading?, _ peer: ProbePeer) -> [String] {
        guard let page else { return [] }
        return page.slots.filter { $0.openSince != 0 && page.watchdog > $0.openSince }.map { slot in
            let span = Duration.nanoseconds(Int64(clamping: page.watchdog - slot.openSince)).spoken
            let known = service.records.last { $0.loop == slot.name && !$0.isOver }?.evidence.function
            let phrase = slot.openCause.phrase(call: slot.openCall, target: "")
            return "\(slot.name) had not come back for \(span), \(phrase)" + (known.map { " in \($0)" } ?? "")
        }
    }

    private mutating func count(_ code: String, _ text: String) {
        errorCounts[code, default: (0, "")].count += 1
        errorCounts[code]?.last = text
    }

    private static var steadyNanoseconds: UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }
}
