// One service with a probe, as the agent follows it: its page once a round, its reports as they come.

public import NightjarDetectors
public import NightjarModel
import NightjarSymbols
import NightjarWire

/// The last word on one stall of a service.
public struct StallRecord: Hashable, Sendable {
    public var time: Moment
    public var loop: String
    public var isOver: Bool
    public var evidence: StallEvidence
}

/// One service and its detectors.
struct ProbeService {
    static let mostRecords = 16

    private(set) var peer: ProbeIdentity
    private(set) var page: PageReading?
    private(set) var records: [StallRecord] = []
    /// Lags of the last minute or so, by slot: what was added since the reading before last.
    private(set) var recentLags: [Int: LagHistogram] = [:]
    private var lagsBefore: [Int: LagHistogram] = [:]
    private var lagsTaken: Moment?

    private var stalls: [Int: LoopStall] = [:]
    private var starved: [Int: LoopStarved] = [:]
    private var pool = PoolStarvation()
    private var found: Set<String> = []
    private var before: [Int: SlotReading] = [:]
    private var worst: [Int: StallEvidence] = [:]
    private var longest: [Int: Duration] = [:]
    private var byQuota = false

    init(_ peer: ProbeIdentity) { self.peer = peer }

    /// Whose process it is.
    struct ProbeIdentity: Hashable {
        var id: Int
        var pid: Int32
        var key: ProcessKey?
        var unit: String?
        var service: String
    }

    /// A process may join before the agent has seen it for the first time.
    mutating func complete(_ identity: ProcessIdentity?) {
        guard peer.key == nil, let identity else { return }
        peer.key = identity.key
        peer.unit = identity.unit
    }

    /// A report came; `story` names its addresses.
    mutating func take(_ report: StallReport, _ story: ProbeStory, at now: Moment) {
        if report.cause.isStarvation {
            byQuota = report.cause == .starvedByQuota
            // What looked like a stall while it lasted turned out to be starvation.
            if let last = records.last, last.loop == report.loop, !last.isOver { records.removeLast() }
            worst[Int(report.slot)] = nil
            return
        }
        let slot = Int(report.slot)
        let evidence = story.evidence(report)
        if (worst[slot]?.duration ?? .zero) <= evidence.duration { worst[slot] = evidence }
        if report.phase == .ended {
            let own = report.lastedNanoseconds &- min(report.lastedNanoseconds, report.waitedNanoseconds)
            longest[slot] = max(longest[slot] ?? .zero, .nanoseconds(Int64(clamping: own)))
        }
        let record = StallRecord(time: now, loop: report.loop, isOver: report.phase == .ended, evidence: evidence)
        if let last = records.indices.last, records[last].loop == report.loop, !records[last].isOver {
            records[last] = record
        } else {
            records.append(record)
            if records.count > Self.mostRecords { records.removeFirst() }
        }
    }

    /// The round: the page is read, and every loop's detectors hear what is new.
    mutating func round(_ reading: PageReading?, at now: Moment, settings: ProbeSettingsSource) -> [WatchAnswer] {
        guard let reading else { return [] }
        page = reading
        takeLags(reading, now)
        var answers: [WatchAnswer] = []
        for slot in reading.slots {
            if slot.kind == .pool {
                observePool(slot, reading, now, settings, &answers)
            } else {
                observeLoop(slot, reading, now, settings, &answers)
            }
            before[slot.index] = slot
        }
        worst = worst.filter { slot, _ in reading.slots.contains { $0.index == slot && $0.openSince != 0 } }
        longest = [:]
        return answers
    }

    /// The process is gone: its open alerts end.
    mutating func close(at now: Moment) -> [WatchAnswer] {
        let subjects = (page?.slots ?? []).map { loopSample($0, page, now).subject } + [poolSubject(now)]
        let names = ["LoopStall", "LoopStarved", "PoolStarvation"]
        return subjects.flatMap { subject in
            names.filter { found.contains("\($0) \(subject.identity)") }.map {
                WatchAnswer(detector: $0, subject: subject, answer: .quiet)
            }
        }
    }

    private func poolSubject(_ now: Moment) -> Subject {
        PoolSample(process: peer.key, time: now, service: peer.service, unit: peer.unit).subject
    }

    private mutating func observeLoop(
        _ slot: SlotReading, _ page: PageReading, _ now: Moment, _ settings: ProbeSettingsSource,
        _ answers: inout [WatchAnswer]
    ) {
        let sample = loopSample(slot, page, now)
        let own = settings(sample.subject)
        if own.isOn("LoopStall") {
            var detector = stalls[slot.index] ?? LoopStall()
            report("LoopStall", sample.subject, detector.observe(sample, own.stall), &answers)
            stalls[slot.index] = detector
        }
        if own.isOn("LoopStarved") {
            var detector = starved[slot.index] ?? LoopStarved()
            report("LoopStarved", sample.subject, detector.observe(sample, own.starved), &answers)
            starved[slot.index] = detector
        }
    }

    private mutating func observePool(
        _ slot: SlotReading, _ page: PageReading, _ now: Moment, _ settings: ProbeSettingsSource,
        _ answers: inout [WatchAnswer]
    ) {
        let sample = PoolSample(
            process: peer.key, time: now, service: peer.service, unit: peer.unit, exhausted: open(slot, page),
            worst: worst[slot.index])
        let own = settings(sample.subject)
        guard own.isOn("PoolStarvation") else { return }
        report("PoolStarvation", sample.subject, pool.observe(sample, own.pool), &answers)
    }

    /// Found each time, quiet once.
    private mutating func report(
        _ detector: String, _ subject: Subject, _ answer: Answer, _ answers: inout [WatchAnswer]
    ) {
        let key = "\(detector) \(subject.identity)"
        if case .found = answer {
            found.insert(key)
        } else if found.remove(key) == nil {
            return
        }
        answers.append(WatchAnswer(detector: detector, subject: subject, answer: answer))
    }

    private func loopSample(_ slot: SlotReading, _ page: PageReading?, _ now: Moment) -> LoopSample {
        let earlier = before[slot.index]
        // A slot that was given to another loop counts anew.
        func since(_ now: UInt64, _ path: KeyPath<SlotReading, UInt64>) -> Duration {
            let old = earlier?.name == slot.name ? earlier?[keyPath: path] ?? now : now
            return .nanoseconds(Int64(clamping: now >= old ? now - old : 0))
        }
        return LoopSample(
            process: peer.key, time: now, service: peer.service, unit: peer.unit, loop: slot.name,
            blocked: since(slot.blockedNanoseconds, \.blockedNanoseconds),
            starved: since(slot.starvedNanoseconds, \.starvedNanoseconds), starvedByQuota: byQuota,
            longest: longest[slot.index] ?? .zero, open: page.flatMap { open(slot, $0) }, worst: worst[slot.index])
    }

    /// How long the open stall has lasted by the probe's own clock, which stands still while the process is stopped.
    private func open(_ slot: SlotReading, _ page: PageReading) -> Duration? {
        guard slot.openSince != 0, page.watchdog > slot.openSince else { return nil }
        return .nanoseconds(Int64(clamping: page.watchdog - slot.openSince))
    }

    private mutating func takeLags(_ page: PageReading, _ now: Moment) {
        if let lagsTaken, now - lagsTaken < .seconds(60) {
            for slot in page.slots {
                recentLags[slot.index] = slot.lags.since(lagsBefore[slot.index] ?? LagHistogram())
            }
            return
        }
        for slot in page.slots {
            recentLags[slot.index] = slot.lags.since(lagsBefore[slot.index] ?? LagHistogram())
            lagsBefore[slot.index] = slot.lags
        }
        lagsTaken = now
    }
}

/// The settings of one loop's detectors.
public struct LoopSettings: Sendable {
    public var stall = LoopStall.Settings()
    public var starved = LoopStarved.Settings()
    public var pool = PoolStarvation.Settings()
    public var off: Set<String> = []

    public init() {}

    /// From a subject's settings of the configuration.
    public init(_ settings: DetectorSettings) {
        stall = LoopStall.Settings(settings.values(for: LoopStall.card))
        starved = LoopStarved.Settings(settings.values(for: LoopStarved.card))
        pool = PoolStarvation.Settings(settings.values(for: PoolStarvation.card))
        off = Set(["LoopStall", "LoopStarved", "PoolStarvation"].filter { !settings.isOn($0) })
    }

    func isOn(_ detector: String) -> Bool { !off.contains(detector) }
}

/// Which settings apply to which loop.
public typealias ProbeSettingsSource = @Sendable (Subject) -> LoopSettings
