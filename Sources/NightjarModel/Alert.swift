/// An alert's life: pending → firing → resolved.
public enum AlertState: String, Hashable, Sendable, CaseIterable {
    case pending, firing, resolved
}

/// A finding that has lasted, as people and machines are told of it.
public struct Alert: Hashable, Sendable {
    /// Short, stable and speakable: eight hex digits made from the identity, and a count of its episodes: `3f09a1c2-2`.
    public var id: String
    public var state: AlertState
    /// The newest finding; its figures are updated while the alert is open.
    public var finding: Finding
    public var startedAt: Moment
    public var firedAt: Moment?
    public var resolvedAt: Moment?
    /// When the finding was last confirmed.
    public var seenAt: Moment
    /// Why it is not announced, where it is not: a silence, or the identity of the alert that inhibits it.
    public var mutedBy: String?
    /// Name and place of the setting that changed a default for this subject, where one applied.
    public var appliedSetting: String?
    /// How often it went from resolved back to firing within the flap window.
    public var flaps: Int
    /// The highest severity of this episode. A sink that tells only from a severity on compares this one, so that
    /// an end is told to exactly those who were told of the beginning.
    public var worst: Severity
    /// Who answers for this subject, where the configuration names somebody.
    public var contact: String?

    public init(
        id: String, state: AlertState, finding: Finding, startedAt: Moment, firedAt: Moment? = nil,
        resolvedAt: Moment? = nil, seenAt: Moment, mutedBy: String? = nil, appliedSetting: String? = nil,
        flaps: Int = 0,
        worst: Severity? = nil, contact: String? = nil
    ) {
        self.id = id
        self.state = state
        self.finding = finding
        self.startedAt = startedAt
        self.firedAt = firedAt
        self.resolvedAt = resolvedAt
        self.seenAt = seenAt
        self.mutedBy = mutedBy
        self.appliedSetting = appliedSetting
        self.flaps = flaps
        self.worst = worst ?? finding.severity
        self.contact = contact
    }

    public var identity: AlertIdentity { finding.identity }
}

/// What the alert book asks its shell to do. Muted alerts are never announced, so they never appear here.
public enum AlertAction: Hashable, Sendable {
    /// It fires: tell everyone.
    case open(Alert)
    /// Still firing, but worse (a higher severity, or another verdict): tell again.
    case update(Alert)
    /// It is over: tell those who were told.
    case resolve(Alert)
}
