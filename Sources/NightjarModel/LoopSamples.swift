// What the probe of a service says of its loops and of its cooperative pool.

/// The worst stall of a span, in words, with its evidence.
public struct StallEvidence: Hashable, Sendable {
    /// `Checkout.parse(_:) Checkout.swift:88`; empty where no stack could be had.
    public var function: String
    /// `computing`, `system_call`, `lock`, `deadlock`, `wait`, `paging`, `pool_exhausted`.
    public var cause: String
    /// `blocked in read of descriptor 7, pipe:[12]`.
    public var phrase: String
    public var duration: Duration
    /// Further lines: callers, the holder of the lock and its stack, the threads of the pool.
    public var lines: [String]

    public init(function: String, cause: String, phrase: String, duration: Duration, lines: [String] = []) {
        self.function = function
        self.cause = cause
        self.phrase = phrase
        self.duration = duration
        self.lines = lines
    }
}

/// One loop of a service since the last sample of it.
public struct LoopSample: Hashable, Sendable {
    public var process: ProcessKey?
    public var time: Moment
    /// The service's own name, as it told the probe.
    public var service: String
    public var unit: String?
    public var loop: String
    /// The sum of all lags above 20 ms since the last sample, without the time in which it waited for a processor.
    public var blocked: Duration
    /// That time.
    public var starved: Duration
    /// It waited because its control group had used up its quota, not because the host was busy.
    public var starvedByQuota: Bool
    /// The longest single stall that ended since the last sample, without waiting for a processor.
    public var longest: Duration
    /// How long the stall that is going on has lasted.
    public var open: Duration?
    /// The worst of them, where its stack is known.
    public var worst: StallEvidence?

    public init(
        process: ProcessKey? = nil, time: Moment, service: String = "", unit: String? = nil, loop: String,
        blocked: Duration = .zero, starved: Duration = .zero, starvedByQuota: Bool = false, longest: Duration = .zero,
        open: Duration? = nil, worst: StallEvidence? = nil
    ) {
        self.process = process
        self.time = time
        self.service = service
        self.unit = unit
        self.loop = loop
        self.blocked = blocked
        self.starved = starved
        self.starvedByQuota = starvedByQuota
        self.longest = longest
        self.open = open
        self.worst = worst
    }

    public var subject: Subject {
        Subject(.loop, name: service.isEmpty ? loop : "\(service) \(loop)", unit: unit, process: process)
    }
}

/// The cooperative pool of a service, at one moment.
public struct PoolSample: Hashable, Sendable {
    public var process: ProcessKey?
    public var time: Moment
    public var service: String
    public var unit: String?
    /// How long no task has been able to begin; nil where the pool works.
    public var exhausted: Duration?
    /// Who holds its threads, while or since it is exhausted.
    public var worst: StallEvidence?

    public init(
        process: ProcessKey? = nil, time: Moment, service: String, unit: String? = nil, exhausted: Duration? = nil,
        worst: StallEvidence? = nil
    ) {
        self.process = process
        self.time = time
        self.service = service
        self.unit = unit
        self.exhausted = exhausted
        self.worst = worst
    }

    public var subject: Subject { Subject(.loop, name: "\(service) cooperative pool", unit: unit, process: process) }
}
