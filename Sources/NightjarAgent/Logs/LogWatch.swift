// Logs, from bytes to the answer: volumes by source, a LogFlood each, and the message that floods.
//
//     side thread: LogCollector ─▶ LogVolume ─▶ LogFlood ─▶ Answer, with template, level and writer
//
// Reading happens on a side thread; a round takes what is there and waits for nobody longer than its patience.

public import NightjarDetectors
public import NightjarModel
import NightjarSources

/// The logs of this host, watched. Call `round` on one thread.
public struct LogWatch: ~Copyable {
    /// What is watched and how.
    public struct Settings: Sendable {
        /// `/proc`, or a tree that looks like it.
        public var root = "/proc"
        public var patterns = ["/var/log/**"]
        public var journal = true
        public var patience: Duration = .milliseconds(10)
        /// Shortens every span, for demonstrations: 1/1440 makes a day a minute.
        public var timeScale = 1.0
        public var ignores: @Sendable (_ source: String) -> Bool = { _ in false }
        public var detectors: @Sendable (_ source: String) -> DetectorSettings = { _ in .defaults }

        public init() {}
    }

    /// No more sources than this are kept; beyond it new ones are counted.
    public static let maximumSources = 3_072

    var settings: Settings
    var sources: [String: WatchedSource] = [:]
    private let worker: SideWorker<LogRound>
    private let collector: LogCollector
    private var mounts = MountTable()
    private var mountsReadAt: Moment?
    private var base: Moment?
    var lastRound: LogRound?
    var dropped = 0
    var now = Moment(nanoseconds: 0)
    /// How long reading has hung; nil where it does not.
    public private(set) var stuckFor: Duration?

    public init(settings: Settings = Settings()) {
        self.settings = settings
        worker = SideWorker(deadline: .seconds(30))
        collector = LogCollector(root: settings.root, patterns: settings.patterns, journal: settings.journal)
    }

    /// New settings, as after a reload; histories and watched files stay.
    public mutating func apply(_ settings: Settings) {
        self.settings.ignores = settings.ignores
        self.settings.detectors = settings.detectors
        self.settings.patience = settings.patience
        sources = sources.mapValues { source in
            var source = source
            source.settings = nil
            return source
        }
    }

    /// One round: what was read since the last one becomes answers, and the next reading begins.
    public mutating func round(at now: Moment, identify: ((Int32) -> ProcessIdentity?)? = nil) -> [WatchAnswer] {
        self.now = now
        base = base ?? now
        let (collector, devices) = (collector, localDevices(at: now))
        worker.submit("logs") { collector.round(at: now, devices: devices) }
        var answers: [WatchAnswer] = []
        for (_, round) in worker.collect(patience: settings.patience) { answers += take(round, identify) }
        stuckFor = worker.overdue.first?.span
        return answers
    }

    /// Devices that answer without another machine's help.
    private mutating func localDevices(at now: Moment) -> Set<UInt64> {
        if mountsReadAt.map({ now - $0 > .minutes(1) }) ?? true {
            mounts = MountTable.read(root: settings.root)
            mountsReadAt = now
        }
        return Set(mounts.watched(also: ["tmpfs", "overlay"]).filter { !$0.isRemote }.map(\.deviceNumber))
    }

    // MARK: Answers

    private mutating func take(_ round: LogRound, _ identify: ((Int32) -> ProcessIdentity?)?) -> [WatchAnswer] {
        lastRound = round
        var volumes: [String: LogVolume] = [:]
        for volume in round.volumes where !settings.ignores(volume.source) { volumes[volume.source] = volume }
        for (name, volume) in volumes where sources[name] == nil {
            guard sources.count < Self.maximumSources else {
                dropped += 1
                continue
            }
            sources[name] = WatchedSource(isFile: volume.isFile)
        }
        guard round.span > .zero else { return [] }
        var answers: [WatchAnswer] = []
        for name in sources.keys {
            // Taken out and put back, so that its arrays are changed in place.
            guard var source = sources.removeValue(forKey: name) else { continue }
            source.detail = detail(of: name, round, source, identify)
            let chosen = source.settings ?? settings.detectors(name)
            source.settings = chosen
            source.take(volumes[name], name: name, at: scaled(round.time), span: round.span / settings.timeScale)
            if chosen.isOn(LogFlood.card.name) {
                answers.append(source.answer(name, chosen, timeScale: settings.timeScale, now: round.time))
            }
            if !source.isForgotten(at: scaled(round.time)) { sources[name] = source }
        }
        return answers
    }

    private func detail(
        of name: String, _ round: LogRound, _ source: WatchedSource, _ identify: ((Int32) -> ProcessIdentity?)?
    ) -> LogDetail? {
        guard var detail = round.details[name] else { return source.detail }
        if let writer = detail.writer, let identity = identify?(writer.pid) {
            detail.writer = NamedProcess(pid: writer.pid, name: identity.name, unit: identity.unit ?? writer.unit)
        }
        return detail
    }

    /// The time as detectors see it.
    private func scaled(_ time: Moment) -> Moment {
        guard settings.timeScale != 1, let base else { return time }
        return base + (time - base) / settings.timeScale
    }
}
