import NightjarDetectors
import NightjarModel
import NightjarSinks
import NightjarSources
import NightjarSymbols

// What is watched beside processes: file systems, logs, services with the probe, and the census that is asked for when
// a heap grows. Each part is optional: what is switched off or cannot be opened is gone without, and said once.

final class Watches {
    /// How often logs are read; file systems say themselves how often they want to be asked.
    private static let logInterval = Duration.seconds(10)
    private static let probeTag: Int32 = 1

    private let log: OwnLog
    private let settings: SharedSettings
    private let roots: Roots
    private var census: CensusDesk
    private var disks: DiskWatch?
    private var logs: LogWatch?
    private var probes: ProbeWatch?
    private var disksAt: Moment?
    private var logsAt: Moment?
    private(set) var refusals: [String] = []
    private var saidRefusals = 0

    init(config: Config, paths: Paths, roots: Roots, log: OwnLog) {
        self.log = log
        settings = SharedSettings(config)
        self.roots = roots
        census = CensusDesk(runner: CensusRunner(procRoot: roots.proc))
        if config.flag("Disks", "Enabled") { disks = DiskWatch(settings: Self.disks(config, roots, settings)) }
        if config.flag("Logs", "Enabled") { logs = LogWatch(settings: Self.logs(config, roots, settings)) }
        if config.flag("Probe", "Enabled") { openProbes(config, paths, roots) }
    }

    private func openProbes(_ config: Config, _ paths: Paths, _ roots: Roots) {
        let configured = config.text("Probe", "Socket")
        let path = configured.isEmpty ? paths.probeSocket : configured
        Paths.makeFolder(String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)]))
        let settings = settings
        do {
            probes = try ProbeWatch(socket: path, procRoot: roots.proc) { LoopSettings(settings.settings(for: $0)) }
        } catch { refusals.append("cannot listen on \(path): \(error), going on without probes") }
    }

    private static func disks(_ config: Config, _ roots: Roots, _ shared: SharedSettings) -> DiskWatch.Settings {
        var settings = DiskWatch.Settings()
        settings.root = roots.proc
        let ignored = config.list("Disks", "Ignore").map { Glob($0) }
        settings.alsoTypes = Set(config.list("Disks", "AlsoTypes"))
        settings.ignores = { mount in ignored.contains { $0.matches(mount) } }
        settings.detectors = { shared.settings(for: Subject(.mount, name: $0)) }
        return settings
    }

    private static func logs(_ config: Config, _ roots: Roots, _ shared: SharedSettings) -> LogWatch.Settings {
        var settings = LogWatch.Settings()
        settings.root = roots.proc
        settings.patterns = config.list("Logs", "Paths")
        settings.journal = config.flag("Logs", "Journal")
        settings.detectors = { shared.settings(for: Subject(.log, name: $0)) }
        return settings
    }

    func attach(to loop: EventLoop) {
        guard let descriptor = probes?.fd else { return }
        do { try loop.add(descriptor, tag: Self.probeTag) } catch {
            refusals.append("cannot wait for probes: \(error), asking them once a round")
        }
    }

    /// New settings after a reload; which parts run at all is decided at the start.
    func apply(_ config: Config) {
        settings.apply(config)
        disks?.apply(Self.disks(config, roots, settings))
        logs?.apply(Self.logs(config, roots, settings))
    }

    // MARK: Rounds

    /// What the detectors say, completed by what a census knows of the same process.
    func completed(_ answers: [WatchAnswer]) -> [WatchAnswer] { answers.compactMap { census.completed($0) } }

    /// Once a round: whatever is due.
    func round(at now: Moment, _ observatory: Observatory) -> [WatchAnswer] {
        for process in observatory.ended { census.ended(process) }
        var answers = census.round(at: now, suspects: observatory.suspects)
        for note in census.takeNotes() { log.info(note) }
        answers += self.answers(at: now, observatory)
        let identify = { (pid: Int32) in observatory.identity(of: pid) }
        if let wanted = disks?.wantedInterval, disksAt.map({ now - $0 >= wanted }) ?? true {
            disksAt = now
            answers += disks?.round(at: now, identify: identify) ?? []
        }
        if logs != nil, logsAt.map({ now - $0 >= Self.logInterval }) ?? true {
            logsAt = now
            answers += logs?.round(at: now, identify: identify) ?? []
        }
        return answers
    }

    /// At once, when a probe has something to say.
    func answers(at now: Moment, _ observatory: Observatory) -> [WatchAnswer] {
        probes?.round(at: now) { observatory.identity(of: $0) } ?? []
    }

    // MARK: For people and machines

    var diskSnapshot: DiskSnapshot? { disks?.snapshot() }
    var logSnapshot: LogSnapshot? { logs?.snapshot() }
    var probeSnapshot: ProbeSnapshot? { probes?.snapshot() }

    /// Asks a probe for the stacks of its process; false where it has none.
    func askForStacks(of pid: Int32) -> Bool { probes?.requestStacks(pid) ?? false }

    /// The stacks that were asked for, once they have come; they are given once.
    func takeStacks(of pid: Int32) -> [ThreadStack]? { probes?.takeStacks(pid) }

    /// What `doctor` says of the census; `limitations` says it where it is missing.
    var censusCheck: DoctorReport.Check { census.check }

    var limitations: [String] { [census.limitation].compactMap(\.self) + refusals }

    /// Limitations that were not said yet.
    func takeLimitations() -> [String] {
        defer { saidRefusals = limitations.count }
        return Array(limitations.dropFirst(saidRefusals))
    }

    var errors: [SwallowedErrors] {
        var errors: [SwallowedErrors] = []
        if census.failures > 0 {
            errors.append(SwallowedErrors(room: "census", code: "refused", count: census.failures))
        }
        errors += (disks?.errors ?? []).map { SwallowedErrors(room: $0.room, code: $0.code, count: Int64($0.count)) }
        errors += (logs?.errors ?? []).map { SwallowedErrors(room: $0.room, code: $0.code, count: Int64($0.count)) }
        errors += (probes?.errors ?? []).map { SwallowedErrors(room: "probe", code: $0.code, count: Int64($0.count)) }
        return errors
    }

    /// Series of file systems, logs and probed services.
    var metrics: [MetricFamily] {
        var rows = diskSnapshot?.metrics ?? []
        rows += logSnapshot?.metrics ?? []
        rows += probeSnapshot?.metrics ?? []
        return WatchMetrics.families(rows)
    }

    // MARK: Over a restart of the agent

    func states() -> [(key: String, bytes: [UInt8])] {
        var states: [(key: String, bytes: [UInt8])] = []
        if let bytes = disks?.encodedState() { states.append(("watch/disks", bytes)) }
        if let bytes = logs?.encodedState() { states.append(("watch/logs", bytes)) }
        return states
    }

    func restore(_ states: [(key: String, bytes: [UInt8])]) {
        for state in states {
            let isTaken: Bool? =
                switch state.key {
                case "watch/disks": disks?.restore(state.bytes)
                case "watch/logs": logs?.restore(state.bytes)
                default: nil
                }
            if isTaken == false { log.warning("what \(state.key) had learnt cannot be read, beginning anew") }
        }
    }

    func finish() {
        census.finish()
        probes?.sayGoodbye()
    }
}
