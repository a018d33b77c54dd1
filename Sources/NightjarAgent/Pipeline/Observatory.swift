import NightjarDetectors
import NightjarModel
import NightjarSinks
import NightjarSources

// Sources and detectors over processes, their control groups and the host. The agent calls `round` once an interval;
// `nightjar ps` without an agent does so twice.
//
// What is kept a process lies in one array by the sampler's slot: the detectors' state, what they must know of its
// surroundings, and the last CPU reading. A slot belongs to one life of one process.

/// What the agent keeps of one process life, beside the sampler's own row.
struct ProcessState {
    var detectors = ProcessDetectors()
    /// nil until the first sample; stays nil for what nobody looks at (kernel threads, ignored processes).
    var context: ProcessContext?
    var suspicion = HeapSuspicion()
    var cpuTime = Duration.zero
    var cpuReadAt: Moment?
    /// Share of one core between the last two readings; below zero: unknown.
    var cpuShare: Float = -1
}

/// Reads processes, groups and the host, and asks the detectors.
final class Observatory {
    /// How often limits and use of control groups are read.
    static let groupInterval = Duration.seconds(5)
    /// So many of the largest processes are asked when the host itself runs out.
    private static let hostContributors = 50
    /// Shorter lives than this say nothing about the next one, unless they were killed for memory.
    private static let shortLife = Duration.seconds(60)

    let sampler: ProcessSampler
    private let hostReader: HostReader
    private var groups: GroupWatch
    private var slots: [ProcessState] = []
    private var settings: SettingsBook
    private var hostDetectors = HostDetectors()
    private var pools = PoolWatch()
    private var lives = LivesBook()
    private var restored: [String: [UInt8]] = [:]
    private var saidLimitations = 0
    private let boot: String

    private(set) var host: HostSample?
    private(set) var summary: RoundSummary?
    private(set) var ended: [ProcessKey] = []
    /// Processes whose heap is worth a census: their floors rise.
    private(set) var suspects: [Subject] = []
    private(set) var hostFailure: String?

    init(roots: Roots, config: Config) throws(ProcError) {
        var limits = ProcessLimits()
        limits.descriptors = config.count("Agent", "CachedDescriptors")
        limits.coldInterval = config.duration("Agent", "IdleInterval")
        sampler = try ProcessSampler(root: roots.proc, limits: limits)
        hostReader = try HostReader(proc: roots.proc, sys: roots.sys)
        groups = GroupWatch(sys: roots.sys)
        settings = SettingsBook(config)
        boot = BootID.read(proc: roots.proc)
    }

    var processCount: Int { sampler.count }

    /// Who has this pid just now.
    func identity(of pid: Int32) -> ProcessIdentity? { sampler.slot(of: pid).flatMap { sampler.identity($0) } }

    /// New settings after a reload: every process asks again.
    func apply(_ config: Config) {
        settings = SettingsBook(config)
        for slot in slots.indices where slots[slot].context != nil {
            guard let identity = sampler.identity(slot) else { continue }
            slots[slot].context?.settings = settings.settings(for: identity.subject)
        }
    }

    /// One round over everything that is due. Answers hold only what is found and what is over.
    func round(at now: Moment) -> [WatchAnswer] {
        var answers: [WatchAnswer] = []
        suspects.removeAll(keepingCapacity: true)
        readHost(at: now)
        summary = sampler.round(at: now) { sample, slot, isNew in
            take(sample, slot, isNew, &answers)
        }
        renewIdentities()
        takeEnded(at: now)
        answers += readGroups(at: now)
        let settings = settings
        hostDetectors.decide(at: now, settings: { settings.known(for: $0) }) { detector, subject, answer in
            answers.append(WatchAnswer(detector: detector, subject: subject, answer: answer))
        }
        return answers
    }

    private func readHost(at now: Moment) {
        do {
            let sample = try hostReader.read(at: now)
            host = sample
            hostFailure = nil
            sampler.hostSwaps = sample.swapTotal - sample.swapFree > .zero
            hostDetectors.observe(sample)
        } catch { hostFailure = error.description }
    }

    /// Limits of control groups and of the host: who will be full, when, and who fills it.
    private func readGroups(at now: Moment) -> [WatchAnswer] {
        var answers: [WatchAnswer] = []
        var seen: Set<String> = []
        let isDue = groups.round(at: now, every: Self.groupInterval) { group in
            hostDetectors.observe(group)
            guard group.memoryLimit != nil, seen.insert(group.limitedBy ?? group.path).inserted else { return }
            let subject = group.unit.map { Subject(.unit, name: $0, unit: $0) } ?? .host
            let own = settings.settings(for: subject)
            let pool = group.limitedBy ?? group.path
            if let answer = pools.observe(group: group, own, contributors: { contributors(below: pool, over: $0, own) })
            {
                answers.append(answer)
            }
        }
        guard isDue else { return [] }
        renewBounds()
        pools.keep(only: seen)
        if let host {
            let own = settings.settings(for: .host)
            if let answer = pools.observe(host: host, own, contributors: { contributors(below: nil, over: $0, own) }) {
                answers.append(answer)
            }
        }
        return answers
    }

    /// The processes that draw from a pool: those in the group or below it; for the host the largest.
    private func contributors(
        below pool: String?, over span: Duration, _ settings: DetectorSettings
    ) -> [MemoryExhaustion.Contributor] {
        let all = slots.indices.compactMap { slot -> MemoryExhaustion.Contributor? in
            guard let context = slots[slot].context, let sample = sampler.latest(slot) else { return nil }
            if let pool {
                guard let path = context.identity.cgroup,
                    path == pool || path.hasPrefix(pool == "/" ? pool : pool + "/")
                else { return nil }
            }
            let rise = slots[slot].detectors.heap.rise(over: span, context.settings.heapGrowth)
            return MemoryExhaustion.Contributor(subject: context.subject, held: sample.anonymous, rise: rise)
        }
        return pool == nil ? Array(all.sorted { $0.held > $1.held }.prefix(Self.hostContributors)) : all
    }

    private func take(_ sample: ProcessSample, _ slot: Int, _ isNew: Bool, _ answers: inout [WatchAnswer]) {
        if slot >= slots.count {
            slots.append(
                contentsOf: repeatElement(ProcessState(), count: max(sampler.slotCapacity, slot + 1) - slots.count))
        }
        if isNew { begin(slot, sample) }
        noteCPU(sample, slot)
        guard let context = slots[slot].context else { return }
        if slots[slot].suspicion.step(sample.anonymous, at: sample.time), settings.allowsCensus(of: context.subject) {
            suspects.append(context.subject)
        }
        slots[slot].detectors.observe(sample, in: context) { detector, answer in
            answers.append(WatchAnswer(detector: detector.name, subject: context.subject, answer: answer))
            if case .found = answer { sampler.suspect(slot, until: sample.time + .minutes(5)) }
        }
    }

    /// A life begins: fresh state, or what an earlier run of the agent knew of it.
    private func begin(_ slot: Int, _ sample: ProcessSample) {
        slots[slot] = ProcessState()
        guard !sampler.isKernelThread(slot), let identity = sampler.identity(slot) else { return }
        let subject = identity.subject
        guard !settings.isIgnored(subject) else { return }
        slots[slot].context = ProcessContext(identity: identity, settings: settings.settings(for: subject))
        slots[slot].detectors = ProcessDetectors(prior: lives.prior(of: subject))
        if let path = identity.cgroup {
            groups.join(path, unit: identity.unit)
            slots[slot].context?.memoryLimit = groups.sample(path)?.memoryLimit
        }
        if !restored.isEmpty, let bytes = restored.removeValue(forKey: stateKey(sample.key)) {
            if let known = ProcessDetectors(decoding: bytes) { slots[slot].detectors = known }
        }
    }

    private func noteCPU(_ sample: ProcessSample, _ slot: Int) {
        guard let cpu = sample.cpuTime else { return }
        if let readAt = slots[slot].cpuReadAt, sample.time > readAt {
            let share = (cpu - slots[slot].cpuTime).inSeconds / (sample.time - readAt).inSeconds
            slots[slot].cpuShare = Float(max(0, share))
        }
        slots[slot].cpuTime = cpu
        slots[slot].cpuReadAt = sample.time
    }

    /// exec gave a process another name, or its command line has arrived.
    private func renewIdentities() {
        for slot in sampler.identified where slot < slots.count && slots[slot].context != nil {
            guard let identity = sampler.identity(slot) else { continue }
            let isRenamed = slots[slot].context?.identity.name != identity.name
            slots[slot].context?.identity = identity
            if isRenamed { slots[slot].context?.settings = settings.settings(for: identity.subject) }
        }
    }

    /// Limits change while a process lives (`systemctl set-property`), and tasks come and go.
    private func renewBounds() {
        for slot in slots.indices {
            guard let path = slots[slot].context?.identity.cgroup, let group = groups.sample(path) else { continue }
            slots[slot].context?.memoryLimit = group.memoryLimit
            slots[slot].context?.tasks = group.tasksLimit.map {
                TaskBound(
                    limit: Int(clamping: $0), used: Int(clamping: group.tasksCurrent ?? 0),
                    limitedBy: group.unit ?? path)
            }
        }
    }

    private func takeEnded(at now: Moment) {
        ended.removeAll(keepingCapacity: true)
        for process in sampler.ended {
            ended.append(process.key)
            guard process.slot < slots.count, let context = slots[process.slot].context else { continue }
            hostDetectors.vanished(VanishedProcess(identity: context.identity, last: process.last, noticedAt: now))
            remember(process, context, at: now)
            if let path = context.identity.cgroup { groups.leave(path) }
            slots[process.slot].context = nil
        }
    }

    /// How a life went, for the next life of the same unit.
    private func remember(_ process: EndedProcess, _ context: ProcessContext, at now: Moment) {
        let isKilled = context.identity.cgroup.map { groups.hasNewKill(in: $0, at: now) } ?? false
        let lived = now - context.identity.startedAt
        guard isKilled || lived >= .seconds(Self.shortLife.inSeconds * context.settings.timeScale) else { return }
        let life = slots[process.slot].detectors.heap.life(
            ended: isKilled ? .killedForMemory : .exited, at: now, context.settings.heapGrowth)
        lives.append(life, of: context.subject, context.settings)
    }

    /// What cannot be seen, each kind said once.
    func takeLimitations() -> [String] {
        let fresh = sampler.limitations.dropFirst(saidLimitations).map(\.message)
        saidLimitations = sampler.limitations.count
        return fresh
    }

    /// Everything that cannot be seen, for `doctor`.
    var limitations: [String] { sampler.limitations.map(\.message) }

    // MARK: For tables and metrics

    /// One row a process that is looked at.
    func rows(alerts: [Alert]) -> [ProcessRow] {
        var said: [ProcessKey: Alert] = [:]
        for alert in alerts.reversed() {
            if let key = alert.finding.subject.process { said[key] = alert }
        }
        return slots.indices.compactMap { slot in
            guard slots[slot].context != nil, let identity = sampler.identity(slot), let sample = sampler.latest(slot)
            else { return nil }
            let alert = said[identity.key]
            return ProcessRow(
                identity: identity, sample: sample,
                cpuShare: slots[slot].cpuShare < 0 ? nil : Double(slots[slot].cpuShare),
                risePerHour: slots[slot].detectors.heap.rise(over: .hours(1)),
                verdict: alert.map { "\($0.finding.detector) \($0.finding.verdict)" }, severity: alert?.finding.severity
            )
        }
    }

    /// Limits and use of every control group that has a limit or lost a process.
    var groupSamples: [CgroupSample] { groups.samples.filter { $0.memoryLimit != nil || ($0.oomKills ?? 0) > 0 } }

    /// What was swallowed so far.
    var errors: [SwallowedErrors] {
        sampler.errors.nonZero.map { SwallowedErrors(room: "procfs", code: $0.code.rawValue, count: $0.count) }
            + hostReader.errors.nonZero.map { SwallowedErrors(room: "host", code: $0.code.rawValue, count: $0.count) }
            + groups.errors.nonZero.map { SwallowedErrors(room: "cgroups", code: $0.code.rawValue, count: $0.count) }
    }

    // MARK: Over a restart of the agent

    private func stateKey(_ key: ProcessKey) -> String { "process/\(boot)/\(key.pid)/\(key.startTime)" }

    /// States of processes that have something worth keeping.
    func states() -> [(key: String, bytes: [UInt8])] {
        slots.indices.compactMap { slot in
            guard slots[slot].context != nil, slots[slot].detectors.hasState, let key = sampler.key(slot) else {
                return nil
            }
            var bytes: [UInt8] = []
            slots[slot].detectors.encode(into: &bytes)
            return (stateKey(key), bytes)
        } + [("host/\(boot)", hostState)] + pools.states()
    }

    private var hostState: [UInt8] {
        var bytes: [UInt8] = []
        hostDetectors.encode(into: &bytes)
        return bytes
    }

    /// Lives that ended since the last call.
    func takeLives() -> [(subject: String, bytes: [UInt8])] { lives.takeChanged() }

    /// Takes over what an earlier run knew; lives that are over meanwhile are never asked for again.
    func restore(_ states: [(key: String, bytes: [UInt8])], lives: [(subject: String, bytes: [UInt8])]) {
        for state in states {
            if state.key.hasPrefix("process/\(boot)/") { restored[state.key] = state.bytes }
            if state.key == "host/\(boot)", let known = HostDetectors(decoding: state.bytes) { hostDetectors = known }
        }
        pools.restore(states)
        self.lives.restore(lives)
    }

    /// Forgets restored states that nobody claimed; called some rounds after the start.
    func dropUnclaimed() { restored = [:] }
}

// MARK: - Restarted services

extension Observatory {
    /// A next life younger than this says nothing about what its predecessor's alert was for.
    private static let adultAge = Duration.hours(1)

    /// For each alert whose witness is gone: what a living process of the same subject says, "too early" included.
    /// Walks all processes, but there is seldom such an alert.
    func answers(toAwaited lines: [(detector: String, subject: Subject)], at now: Moment) -> [WatchAnswer] {
        lines.compactMap { line -> WatchAnswer? in
            guard line.subject.kind == .process else { return nil }
            let lives = slots.filter { slot in
                slot.context.map { $0.identity.name == line.subject.name && $0.identity.unit == line.subject.unit }
                    ?? false
            }
            guard let eldest = lives.min(by: { Self.began($0) < Self.began($1) }), let context = eldest.context else {
                return nil
            }
            // What grows again says so itself.
            guard line.detector != ProcessDetector.heapGrowth.name || eldest.detectors.heap.stage < .growing else {
                return nil
            }
            let isYoung =
                line.detector == ProcessDetector.heapGrowth.name
                ? eldest.detectors.heap.stage == .tooEarly
                : now - context.identity.startedAt < .seconds(Self.adultAge.inSeconds * context.settings.timeScale)
            return WatchAnswer(
                detector: line.detector, subject: context.subject, answer: isYoung ? .tooEarly : .quiet)
        }
    }

    private static func began(_ slot: ProcessState) -> Moment {
        slot.context?.identity.startedAt ?? Moment(nanoseconds: .max)
    }

    /// Whether a detector runs where the configuration says nothing of the subject.
    func isOn(_ detector: String) -> Bool { settings.settings(for: .host).isOn(detector) }
}
