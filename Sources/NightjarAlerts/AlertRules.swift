public import NightjarModel

/// How long one detector's findings must last, and how they end.
public struct DetectorRule: Hashable, Sendable {
    /// A finding fires when it was not contradicted for this long.
    public var holdFor: Duration
    /// An alert is over when nobody confirmed it and somebody answered "quiet" for this long. Each flap doubles it.
    public var clearFor: Duration
    /// After an alert was over, the same one does not fire again sooner, unless it comes back worse.
    public var coolDown: Duration
    /// An alert that returns within this span of its end is flapping.
    public var flapWindow: Duration
    /// An alert of which nothing is heard any more (its process ended and none took its place) is over after this.
    public var grace: Duration
    /// A restarted service whose detector says "too early" keeps its alert open this long after it was last confirmed.
    public var patience: Duration

    public init(
        holdFor: Duration = .zero, clearFor: Duration = .minutes(2), coolDown: Duration = .minutes(5),
        flapWindow: Duration = .hours(1), grace: Duration = .minutes(15), patience: Duration = .hours(6)
    ) {
        self.holdFor = holdFor
        self.clearFor = clearFor
        self.coolDown = coolDown
        self.flapWindow = flapWindow
        self.grace = grace
        self.patience = patience
    }

    /// All spans times `factor`: demo settings shorten the horizons of detectors and alerts alike. The grace stays above
    /// the minute in which detectors say again what they found.
    public func scaled(by factor: Double) -> DetectorRule {
        func scale(_ span: Duration) -> Duration { .seconds(span.inSeconds * factor) }
        return DetectorRule(
            holdFor: scale(holdFor), clearFor: scale(clearFor), coolDown: scale(coolDown),
            flapWindow: scale(flapWindow), grace: max(scale(grace), min(grace, .minutes(3))), patience: scale(patience))
    }

    /// The quiet that an alert with this many flaps must show: doubled with each, at most 32 times, never above an hour
    /// unless the rule itself asks for more.
    func quietNeeded(flaps: Int) -> Duration {
        let doubled = clearFor * (1 << min(max(flaps, 0), 5))
        return max(clearFor, min(doubled, .hours(1)))
    }
}

/// What the configuration says about some subjects: `[Unit postgresql*.service]`, `[Mount /data]`.
public struct AlertOverride: Hashable, Sendable {
    public var detector: Glob
    public var unit: Glob
    /// Matched against the subject's name and its identity.
    public var subject: Glob
    /// Kinds of subject that it speaks of; nil = all.
    public var kinds: Set<Subject.Kind>?
    /// No alert of these subjects is more urgent than this.
    public var severityCap: Severity?
    public var contact: String?
    /// The setting and where it stands, as `show` prints it: `Severity at /etc/nightjar/nightjar.conf:12`.
    public var place: String

    public init(
        detector: Glob = .any, unit: Glob = .any, subject: Glob = .any, kinds: Set<Subject.Kind>? = nil,
        severityCap: Severity? = nil, contact: String? = nil, place: String
    ) {
        self.detector = detector
        self.unit = unit
        self.subject = subject
        self.kinds = kinds
        self.severityCap = severityCap
        self.contact = contact
        self.place = place
    }

    func speaks(of finding: Finding) -> Bool {
        let about = finding.subject
        return (kinds?.contains(about.kind) ?? true) && detector.matches(finding.detector)
            && unit.matches(about.unit ?? "")
            && (subject.matches(about.name) || subject.matches(about.identity))
    }
}

/// All that the alert book is told beforehand. A value: a reload of the configuration replaces it.
public struct AlertRules: Hashable, Sendable {
    public var detectors: [String: DetectorRule]
    /// For detectors without an entry.
    public var standard: DetectorRule
    /// Where several speak of one subject, each field is taken from the last that sets it.
    public var overrides: [AlertOverride]
    public var inhibitions: [Inhibition]

    public init(
        detectors: [String: DetectorRule] = [:], standard: DetectorRule = DetectorRule(),
        overrides: [AlertOverride] = [], inhibitions: [Inhibition] = Inhibition.standard
    ) {
        self.detectors = detectors
        self.standard = standard
        self.overrides = overrides
        self.inhibitions = inhibitions
    }

    /// Takes from each card how long its findings must last. `timeScale` below 1 shortens all spans, for demos.
    public init(cards: [DetectorCard], overrides: [AlertOverride] = [], timeScale: Double = 1) {
        self.init(standard: DetectorRule().scaled(by: timeScale), overrides: overrides)
        for card in cards {
            detectors[card.name] = DetectorRule(holdFor: card.holdFor).scaled(by: timeScale)
        }
    }

    func rule(of detector: String) -> DetectorRule { detectors[detector] ?? standard }
}
