import CNightjarLinux
import Glibc
import NightjarAlerts
import NightjarDetectors
import NightjarHistory
import NightjarModel
import NightjarSinks
import NightjarSources

// The agent, one screen of it:
//
//     sources ──▶ samples ──▶ detectors ──▶ findings ──▶ alerts ──▶ sinks
//
// One thread owns all of it. It sleeps in epoll until a round is due, a signal arrives, a client asks, or a source has
// something to say. What can wait for the outside (disk, mail, hooks, census, dead mounts) runs elsewhere and is
// handed over through bounded queues.

/// The running agent.
public final class Agent {
    var config: Config
    let paths: Paths
    let clock = SteadyClock()
    let log: OwnLog
    let loop: EventLoop
    let mailbox: Mailbox<Agent>
    let supervisor = Supervisor()
    let startedAt: Moment

    var observatory: Observatory
    var watches: Watches
    var book: AlertBook
    let history: History
    let keeper = Worker(name: "nj-history", limit: 64)
    let prover = Worker(name: "nj-prove", limit: 2)
    let reader = Worker(name: "nj-recall", limit: 16)
    var sinks: [any Sink]
    var server: HTTPServer?
    var selfWatch: SelfWatch
    var keeping = Keeping()
    private var isStopping = false
    /// After so many rounds the start is over.
    private static let settledAfter: Int64 = 10
    /// Answers and reloads touch code as well: it is given back again after so many rounds. What runs meanwhile comes
    /// back at some hundred minor faults, less than a millisecond in all.
    private static let settledEvery: Int64 = 60

    /// Opens everything that must open; what may be missing is logged and gone without.
    public init(config: Config, paths: Paths, root: String, log: OwnLog) throws(AgentError) {
        self.config = config
        self.paths = paths
        self.log = log
        do { loop = try EventLoop(handling: [SIGTERM, SIGINT, SIGHUP]) } catch { throw AgentError("\(error)") }
        mailbox = Mailbox(doorbell: loop.doorbell)
        startedAt = clock.now
        let roots = Roots(root)
        do {
            observatory = try Observatory(roots: roots, config: config)
        } catch { throw AgentError("\(error)") }
        watches = Watches(config: config, paths: paths, roots: roots, log: log)
        book = AlertBook(rules: Self.rules(config), limits: Self.limits(config))
        history = Self.openHistory(config, paths, log)
        sinks = Self.sinks(config)
        selfWatch = SelfWatch(
            interval: config.duration("Agent", "Interval"), budget: config.share("Agent", "CPUBudget"))
        restore()
    }

    /// Runs until SIGTERM or SIGINT. Returns the exit status.
    public func run() -> Int32 {
        listen()
        loop.setTimer(every: selfWatch.interval)
        watches.attach(to: loop)
        if let period = supervisor.watchdogPeriod, period < selfWatch.interval * 2 {
            log.warning("WatchdogSec= is shorter than four intervals; the watchdog may end the agent without need")
        }
        round(missed: 0)
        supervisor.ready(statusLine)
        log.notice("nightjard \(agentVersion) watches \(observatory.processCount) processes; \(statusLine)")
        for line in observatory.takeLimitations() + watches.takeLimitations() { log.notice(line) }
        while !isStopping { loop.wait { wake in handle(wake) } }
        finish()
        return 0
    }

    private func handle(_ wake: Wake) {
        switch wake {
        case .timer(let missed): round(missed: missed)
        case .mail: mailbox.work(for: self)
        case .signal(SIGHUP): reload()
        case .signal: isStopping = true
        case .readable: carryOut(decide(watches.answers(at: clock.now, observatory), at: clock.now))
        }
    }

    /// One round: read, detect, decide, tell, keep.
    private func round(missed: Int) {
        let now = clock.now
        var answers = watches.completed(observatory.round(at: now))
        answers += watches.round(at: now, observatory)
        for process in observatory.ended { book.ended(process, at: now) }
        var actions = decide(answers, at: now)
        actions += decide(observatory.answers(toAwaited: book.awaited, at: now), at: now)
        actions += book.tick(at: now)
        carryOut(actions)
        for sink in sinks { sink.tick(at: now) }
        keep(at: now, isUrgent: !actions.isEmpty)
        supervisor.alive()
        measure(since: now, missed: missed)
    }

    private func decide(_ answers: [WatchAnswer], at now: Moment) -> [AlertAction] {
        answers.flatMap { book.receive($0.answer, from: $0.detector, about: $0.subject, at: now) }
    }

    /// Hands each change of an alert to every sink.
    func carryOut(_ actions: [AlertAction]) {
        let now = clock.now
        for action in actions {
            for sink in sinks { _ = sink.deliver(action, at: now) }
        }
    }

    private func measure(since began: Moment, missed: Int) {
        let now = clock.now
        let change = selfWatch.ended(at: now, took: now - began, missed: missed, cpu: SteadyClock.processCPU)
        if let interval = change {
            loop.setTimer(every: interval)
            let share = ProcessTable.percent(selfWatch.cpuShare ?? 0)
            log.notice(
                "used \(share) of a core (budget \(ProcessTable.percent(selfWatch.budget))): sampling every \(interval.spoken) now"
            )
        }
        if selfWatch.rounds % Self.settledEvery == Self.settledAfter { StartPages.giveBack() }
        if selfWatch.rounds == Self.settledEvery { observatory.dropUnclaimed() }
        if selfWatch.rounds % 60 == 0 { supervisor.status(statusLine) }
    }

    /// SIGHUP: a good file replaces the configuration, a bad one changes nothing.
    private func reload() {
        supervisor.reloading()
        defer { supervisor.ready(statusLine) }
        let path = config.path ?? paths.configFile
        let fresh = Config(path: path, mustExist: config.path != nil)
        guard fresh.problems.isEmpty else {
            for problem in fresh.problems { log.error("\(problem)") }
            log.error("kept the old configuration; mend these lines and reload again")
            return
        }
        config = fresh
        book.rules = Self.rules(fresh)
        // What the old ones still hold may hang with its receiver: not on this thread.
        let old = sinks
        submit { for sink in old { sink.finish(within: .seconds(2)) } }
        sinks = Self.sinks(fresh)
        observatory.apply(fresh)
        watches.apply(fresh)
        selfWatch.budget = fresh.share("Agent", "CPUBudget")
        if selfWatch.configuredInterval != fresh.duration("Agent", "Interval") {
            selfWatch = SelfWatch(interval: fresh.duration("Agent", "Interval"), budget: selfWatch.budget)
            loop.setTimer(every: selfWatch.interval)
        }
        log.notice("reloaded \(fresh.files.isEmpty ? "defaults" : fresh.files.joined(separator: ", "))")
    }

    /// SIGTERM: what is known is kept, what was promised is delivered, within the time systemd grants.
    private func finish() {
        supervisor.stopping()
        server?.shutdown()
        keep(at: clock.now, isUrgent: true, isLast: true)
        watches.finish()
        for sink in sinks { sink.finish(within: .seconds(2)) }
        if keeper.finish(within: .seconds(5)) {
            history.close()
        } else {
            log.error("the disk of the history hangs: what was learnt since it began to is lost")
        }
        log.notice("ends after \(selfWatch.rounds) rounds")
        log.finish()
    }
}

/// Why the agent cannot start: one line.
public struct AgentError: Error, Hashable, Sendable, CustomStringConvertible {
    public var description: String

    init(_ description: String) { self.description = description }
}

/// Where `/proc` and `/sys` are, for tests and containers: `--root DIR`.
struct Roots: Hashable, Sendable {
    let top: String
    var proc: String { top + "/proc" }
    var sys: String { top + "/sys" }

    init(_ root: String) {
        var trimmed = root
        while trimmed.hasSuffix("/") { trimmed.removeLast() }
        top = trimmed
    }
}
