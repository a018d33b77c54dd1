import NightjarModel

/// Which detector speaks about what, pids left out: all lives and workers of one service share a line.
struct Line: Hashable, Sendable {
    var detector: String
    var subject: Subject

    init(_ detector: String, _ subject: Subject) {
        self.detector = detector
        self.subject = subject
        self.subject.process = nil
    }
}

/// A life that confirms an alert, and when it last did: one of which nothing is heard any more stops counting.
struct Witness: Hashable, Sendable {
    var key: ProcessKey?
    var seenAt: Moment
    /// When it last said "quiet"; it stops confirming at the round's end if that was after it was last found.
    var quietAt: Moment?

    func confirms(at now: Moment, grace: Duration) -> Bool {
        now - seenAt <= grace && (quietAt.map { $0 <= seenAt } ?? true)
    }

    /// Stands for the lives beyond the limit. None of them can be told to be quiet, so it goes when all of them are.
    static let crowd = ProcessKey(pid: -1, startTime: 0)
}

/// An open alert and what the book must know of it beyond what it tells people.
struct AlertEntry: Hashable, Sendable {
    var alert: Alert
    /// The order of opening: ties are settled by it, the same after a restart.
    var serial: Int64
    /// Who spoke: the line that answers this alert's quiet.
    var line: Line
    /// The lives that confirm it at present. Several workers of one unit are one alert.
    var witnesses: [Witness]
    /// The life whose figures are shown.
    var lead: ProcessKey?
    var episode: Int64

    // Decisions hang on these; a restart moves them on by the time in which nobody looked.
    var pendingSince: Moment
    var confirmedAt: Moment
    /// Anything heard of the line: confirmed, quiet or too early.
    var heardAt: Moment
    /// A life of the line said "too early" after the last witness was gone.
    var undecidedAt: Moment?
    /// Somebody of the line said quiet.
    var quietHeardAt: Moment?
    /// Since when nobody confirms and somebody says quiet.
    var quietSince: Moment?

    /// When its figures last went to the history; not a decision, so not in the snapshot.
    var keptAt: Moment

    var announced = false
    var silenced = false
    /// What was told, so that only worse or different news is told again.
    var toldSeverity: Severity
    var toldVerdicts: [String] = []

    var isFiring: Bool { alert.state == .firing }

    func position(of key: ProcessKey?) -> Int? { witnesses.firstIndex { $0.key == key } }
}

/// What remains of an alert that is over: enough to number its next episode and to see it flap.
struct AlertMemory: Hashable, Sendable {
    var identity: AlertIdentity
    var digits: String
    var episode: Int64
    var resolvedAt: Moment
    var flaps: Int
    var worst: Severity
}
