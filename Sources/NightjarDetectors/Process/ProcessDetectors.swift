// All detectors of one process life, run over each of its samples.
//
// Most samples of most processes say nothing, so nothing is built for them: each detector takes its step on plain
// numbers, and words are made only when something is found, when it becomes more urgent, when it ends, and once a
// minute while it lasts (so that its figures stay true and the alert book knows that somebody still looks).

public import NightjarModel

/// Which detector of a process an answer comes from.
public enum ProcessDetector: UInt8, CaseIterable, Hashable, Sendable {
    case heapGrowth, descriptorLeak, threadLeak, cpuSpin

    /// As on the card.
    public var name: String {
        switch self {
        case .heapGrowth: "HeapGrowth"
        case .descriptorLeak: "DescriptorLeak"
        case .threadLeak: "ThreadLeak"
        case .cpuSpin: "CPUSpin"
        }
    }

    var bit: UInt8 { 1 << rawValue }
}

/// The detectors of one process life. Restart-equal: encoded and decoded it goes on as if nothing had happened.
public struct ProcessDetectors: Hashable, Sendable {
    /// How often a finding that lasts is told again.
    public static let retell = Duration.seconds(60)
    private static let retellNanoseconds: Int64 = 60_000_000_000

    /// Its history also names who fills a pool (`rise(over:)`) and, at the end, becomes a life of the unit (`life`).
    public private(set) var heap: HeapGrowth
    private var descriptors = DescriptorLeak()
    private var threads = ThreadLeak()
    private var cpu = CPUSpin()
    private var found: UInt8 = 0
    private var severities = InlineSeverities()
    private var toldAt: Int64 = 0

    /// A life that begins.
    ///
    /// - Parameter prior: what the unit's earlier lives did, `UnitLives.prior`.
    public init(prior: HeapGrowth.Prior = .none) { heap = HeapGrowth(prior: prior) }

    /// Takes one sample through every detector that is on. `report` is called for what is found and for what is over;
    /// nothing is called, and nothing allocated, while all is well.
    ///
    /// - Parameter inUse: what the allocator has handed out, where a probe says so.
    public mutating func observe(
        _ sample: borrowing ProcessSample, in context: borrowing ProcessContext, inUse: Bytes? = nil,
        report: (ProcessDetector, Answer) -> Void
    ) {
        let settings = context.settings
        let on = settings.processDetectorsOn
        let retells = sample.time.nanoseconds &- toldAt >= Self.retellNanoseconds
        if on & ProcessDetector.heapGrowth.bit != 0 {
            let live = HeapSample(
                time: sample.time, live: sample.anonymous + (sample.swap ?? .zero),
                fileBacked: sample.rss - sample.anonymous, threads: sample.threads, inUse: inUse)
            let sighting = Self.sighting(of: heap.step(live, settings.heapGrowth))
            if changes(.heapGrowth, sighting, retells) {
                let finding = heap.finding(of: context.subject, settings.heapGrowth, limit: context.memoryLimit)
                tell(.heapGrowth, finding, context, sample.time, report)
            }
        }
        if on & ProcessDetector.descriptorLeak.bit != 0 {
            let sighting = descriptors.step(sample, settings.descriptorLeak)
            if changes(.descriptorLeak, sighting, retells) {
                tell(.descriptorLeak, descriptors.finding(of: context.subject), context, sample.time, report)
            }
        }
        if on & ProcessDetector.threadLeak.bit != 0 {
            let sighting = threads.step(sample, under: context.tasks, settings.threadLeak)
            if changes(.threadLeak, sighting, retells) {
                let finding = threads.finding(of: context.subject, under: context.tasks)
                tell(.threadLeak, finding, context, sample.time, report)
            }
        }
        if on & ProcessDetector.cpuSpin.bit != 0 {
            let sighting = cpu.step(sample, isNiced: context.isNiced, settings.cpuSpin)
            if changes(.cpuSpin, sighting, retells) {
                tell(.cpuSpin, cpu.finding(of: context.subject, settings.cpuSpin), context, sample.time, report)
            }
        }
        if found & ~on != 0 { endSwitchedOff(on, report) }
    }

    private static func sighting(of stage: HeapGrowth.Stage) -> Sighting {
        switch stage {
        case .tooEarly: .tooEarly
        case .quiet: .quiet
        case .growing: .found(.notice)
        case .leak: .found(.warning)
        }
    }

    /// Whether somebody must be told: found, worse, over, or due again.
    private mutating func changes(_ detector: ProcessDetector, _ sighting: Sighting, _ retells: Bool) -> Bool {
        let was = found & detector.bit != 0
        guard case .found(let severity) = sighting else {
            found &= ~detector.bit
            return was
        }
        let worse = severity > severities[detector]
        severities[detector] = severity
        found |= detector.bit
        return !was || worse || retells
    }

    private mutating func tell(
        _ detector: ProcessDetector, _ finding: Finding?, _ context: borrowing ProcessContext, _ time: Moment,
        _ report: (ProcessDetector, Answer) -> Void
    ) {
        toldAt = time.nanoseconds
        report(detector, finding.map { .found(context.settings.capped($0)) } ?? .quiet)
    }

    /// A detector that was switched off while it had something to say takes it back.
    private mutating func endSwitchedOff(_ on: UInt8, _ report: (ProcessDetector, Answer) -> Void) {
        for detector in ProcessDetector.allCases where found & ~on & detector.bit != 0 {
            report(detector, .quiet)
        }
        found &= on
    }

    /// True while at least one detector has found something.
    public var isFinding: Bool { found != 0 }

    /// True once something is remembered that a restart of the agent should not cost.
    public var hasState: Bool { descriptors.hasState || threads.hasState || cpu.hasState }

    private static let version: UInt8 = 1

    /// Appends the state of all detectors, versioned; the caller keys it by pid, start time and boot.
    public func encode(into bytes: inout [UInt8]) {
        bytes.append(Self.version)
        bytes.append(found)
        bytes.append(integer: toldAt)
        for detector in ProcessDetector.allCases { bytes.append(UInt8(severities[detector].rawValue)) }
        heap.encode(into: &bytes)
        descriptors.encode(into: &bytes)
        threads.encode(into: &bytes)
        cpu.encode(into: &bytes)
    }

    /// Nil for another version or corrupt bytes: then start with `init()`.
    public init?(decoding bytes: [UInt8]) {
        var reader = ByteReader(bytes)
        guard reader.integer(UInt8.self) == Self.version, let found: UInt8 = reader.integer(),
            let toldAt: Int64 = reader.integer()
        else { return nil }
        heap = HeapGrowth()
        for detector in ProcessDetector.allCases {
            guard let severity = reader.integer(UInt8.self).flatMap({ Severity(rawValue: Int($0)) }) else { return nil }
            severities[detector] = severity
        }
        guard let heap = HeapGrowth(decoding: &reader), let descriptors = DescriptorLeak(decoding: &reader),
            let threads = ThreadLeak(decoding: &reader),
            let cpu = CPUSpin(decoding: &reader), reader.isAtEnd
        else { return nil }
        (self.found, self.toldAt) = (found, toldAt)
        self.heap = heap
        (self.descriptors, self.threads, self.cpu) = (descriptors, threads, cpu)
    }
}

/// The last severity of each detector, one byte each.
private struct InlineSeverities: Hashable, Sendable {
    private var packed: UInt64 = 0

    subscript(detector: ProcessDetector) -> Severity {
        get { Severity(rawValue: Int(truncatingIfNeeded: packed >> (UInt64(detector.rawValue) * 8)) & 0xFF) ?? .info }
        set {
            let shift = UInt64(detector.rawValue) * 8
            packed = packed & ~(0xFF << shift) | UInt64(newValue.rawValue) << shift
        }
    }
}
