// Does a source write many times what it usually writes at this hour, and go on doing so?
//
// A rate is measured every five minutes. A flood is not one high rate (real services burst) but a high one that is kept
// up; how long it must be kept up depends on how far it stands out:
//
//     kept up for     of the usual    and of the most it ever kept up, in seven days, for    known for
//     15 min          × 12            × 5    5 minutes                                       5 days
//     20 min          × 20            × 2    half an hour                                    5 days
//     half an hour    × 9             × 3    5 minutes                                       5 days
//     half an hour    × 5             × 4    5 minutes                                       5 days
//     1 h             × 5             × 1.2  5 minutes                                       3 days
//     2 h             × 4             × 2.5  half an hour                                    3 days
//     4 h             × 6             × 0.8  1 h
//     4 h             × 3             × 2    half an hour                                    4 days
//
// "Kept up" is the lower quartile of the slots in the window, each as a multiple of what was usual then (of three slots the
// lowest). "Usual" is the highest 25-minute median of this time of day in the last seven days, at least half of the
// overall median (LogBaseline). So a tame source is judged after a quarter of an hour, one that bursts now and then is
// given hours: what it did before it may do again. On 704 made traces, half of them with recorded rates, these rules
// find 95 % of the floods of ×8 and more, half of them within 50 minutes and of those of ×30 within 20; 1 % of what they
// find is none. What fills a disk sooner is DiskFill's, which needs a minute.
//
// While a flood lasts, the past is not overwritten by it: what is learned is cut at the usual rate. After three days it
// is the new usual, and the finding ends.

public import NightjarModel

/// One log source (a file, or a unit's part of the journal) that floods.
///
/// One value a source, about 1.1 KiB, of which 0.8 KiB only once the first quarter hour is over. A sample costs about
/// 10 ns, a slot (every five minutes) about 3 µs.
public struct LogFlood: Sendable, Equatable {
    static let slotLength: Duration = .minutes(5)
    static let recentSlots = 48

    /// The card's settings, worked out once for all sources that share them.
    public struct Settings: Hashable, Sendable {
        /// The smallest ratio to the usual rate that is a flood.
        public var ratio = 3.0
        /// How much must be known before anything is said.
        public var minimumHistory: Duration = .hours(46)
        /// After this long a flood is the new usual.
        public var adoptAfter: Duration = .days(3)
        /// Floods below this are recorded, not warned of.
        public var minimumPace = 4096.0
        var rules = Rule.all

        public init() {}
    }

    /// One line of the table above.
    struct Rule: Hashable, Sendable {
        /// How many slots it must be kept up.
        var slots: Int
        var overUsual: Double
        /// Number of the window in `LogBaseline.windows` whose record it must exceed, and by how much.
        var reference: Int
        var overSustained: Double
        var minimumDays: Double

        static let all = [
            Rule(slots: 3, overUsual: 12, reference: 0, overSustained: 5, minimumDays: 5),
            Rule(slots: 4, overUsual: 20, reference: 2, overSustained: 2, minimumDays: 5),
            Rule(slots: 6, overUsual: 9, reference: 0, overSustained: 3, minimumDays: 5),
            Rule(slots: 6, overUsual: 5, reference: 0, overSustained: 4, minimumDays: 5),
            Rule(slots: 12, overUsual: 5, reference: 0, overSustained: 1.2, minimumDays: 3),
            Rule(slots: 24, overUsual: 4, reference: 2, overSustained: 2.5, minimumDays: 3),
            Rule(slots: 48, overUsual: 6, reference: 3, overSustained: 0.8, minimumDays: 0),
            Rule(slots: 48, overUsual: 3, reference: 2, overSustained: 2, minimumDays: 4),
        ]
    }

    /// What holds now.
    public struct State: Hashable, Sendable {
        public var isFlood = false
        public var isTooEarly = true
        /// Bytes a second over the last half hour (or less), and what is usual at this hour.
        public var pace = 0.0
        public var usual: Double?
        public var since: Moment?

        /// How many times the usual; nil while nothing is known.
        public var ratio: Double? { usual.map { pace / max($0, 1.0 / 300) } }
        /// Bytes a second above the usual: what names the culprit among several.
        public var excess: Double { max(0, pace - (usual ?? 0)) }
    }

    var baseline = LogBaseline()
    /// Bytes of the last slots, oldest first, at most six.
    var recent: [Float] = []
    /// The last slots as multiples of what was usual then, at most `recentSlots`.
    var ratios: [Float] = []
    var slot: Int64 = -1
    var partial = 0.0
    var partialSpan: Duration = .zero
    var calmSlots = 0
    /// Bytes a slot when the flood was found.
    var floodBytes = 0.0
    /// What the last sample left behind.
    public internal(set) var state = State()

    public init() {}

    /// The same as `step`, answered in words.
    public mutating func observe(_ sample: LogSample, _ settings: Settings = Settings()) -> Answer {
        let state = step(sample, settings)
        if state.isFlood { return .found(Self.finding(state, sample, settings)) }
        return state.isTooEarly ? .tooEarly : .quiet
    }

    /// Takes one sample: the bytes of its span go to the slot in which the span ends.
    public mutating func step(_ sample: LogSample, _ settings: Settings) -> State {
        // A span that ends exactly with a slot belongs to it.
        let now = (sample.time.nanoseconds - 1) / Self.slotLength.nanosecondCount
        if slot < 0 { slot = now }
        if now > slot {
            if now - slot > 6 {
                recent = []
                ratios = []
            }
            // A whole slot within one sample arrives with its end; what was begun before is closed first.
            if partialSpan > .zero { close(slot, settings) }
            slot = now
        }
        partial += Double(max(0, sample.bytes.count))
        partialSpan += sample.span
        let slotEnd = (slot + 1) * Self.slotLength.nanosecondCount
        if sample.time.nanoseconds >= slotEnd || partialSpan >= Self.slotLength {
            close(slot, settings)
            slot += 1
        }
        return state
    }

    /// One slot is complete (or all of it that was seen).
    private mutating func close(_ slot: Int64, _ settings: Settings) {
        let share = partialSpan.inSeconds / Self.slotLength.inSeconds
        let bytes = share > 0 ? partial / max(share, 0.1) : 0
        partial = 0
        partialSpan = .zero
        baseline.advance(to: slot)
        let usual = max(baseline.usual(at: slot) ?? 0, 0.5 * baseline.median)
        if recent.count == 6 { recent.removeFirst() }
        recent.append(Float(bytes))
        if ratios.count == Self.recentSlots { ratios.removeFirst() }
        ratios.append(Float((bytes + 1) / (usual + 1)))
        decide(usual, slot, settings)
        learn(slot, settings)
    }

    // MARK: The decision

    private mutating func decide(_ usual: Double, _ slot: Int64, _ settings: Settings) {
        let seconds = Self.slotLength.inSeconds
        let time = Moment(nanoseconds: (slot + 1) * Self.slotLength.nanosecondCount)
        state.pace = Double(Self.quantile(recent, last: 6, 0.5)) / seconds
        state.isTooEarly = baseline.daysKnown < settings.minimumHistory.inSeconds / 86_400
        state.usual = state.isTooEarly ? nil : usual / seconds
        guard !state.isTooEarly else { return }
        if state.isFlood {
            endIfOver(usual, at: time, settings)
        } else if isFlood(settings) {
            state.isFlood = true
            state.since = time
            floodBytes = Double(Self.quantile(recent, last: 6, 0.5))
            calmSlots = 0
        }
    }

    private func isFlood(_ settings: Settings) -> Bool {
        // What is over already is no flood, however long it was.
        guard Double(Self.quantile(ratios, last: 3, 0.5)) >= settings.ratio else { return false }
        for rule in settings.rules {
            guard ratios.count >= rule.slots, baseline.daysKnown >= rule.minimumDays else { continue }
            let kept = Double(Self.quantile(ratios, last: rule.slots, 0.25))
            if kept >= max(rule.overUsual, settings.ratio),
                kept >= rule.overSustained * baseline.sustained(window: rule.reference)
            {
                return true
            }
        }
        return false
    }

    /// Over after an hour below half the ratio, or when it has become the usual.
    private mutating func endIfOver(_ usual: Double, at time: Moment, _ settings: Settings) {
        // A nightly job that is usual at this hour hides the flood, and does not end it.
        let last = Double(recent.last ?? 0)
        let isCalm = last < max(1.5, settings.ratio / 2) * (usual + 1) && last < 0.5 * floodBytes
        calmSlots = isCalm ? calmSlots + 1 : 0
        let isAdopted = state.since.map { time - $0 > settings.adoptAfter } ?? true
        if calmSlots >= 6 || isAdopted {
            state.isFlood = false
            state.since = nil
            if isAdopted { adopt() }
        }
    }

    /// The new level becomes the usual one, at every hour.
    private mutating func adopt() {
        baseline.raise(by: Double(Self.quantile(ratios, last: Self.recentSlots, 0.5)))
        ratios = []
    }

    private mutating func learn(_ slot: Int64, _ settings: Settings) {
        let median = Double(Self.quantile(recent, last: 5, 0.5))
        guard !state.isFlood else {
            baseline.learn(median: min(median, (state.usual ?? 0) * Self.slotLength.inSeconds), slot: slot)
            return
        }
        baseline.learn(median: median, slot: slot)
        // In the first day nothing is usual yet.
        guard baseline.daysKnown >= 1.1 else { return }
        for (number, slots) in LogBaseline.windows.enumerated() where ratios.count >= slots {
            let kept = Double(Self.quantile(ratios, last: slots, 0.25))
            baseline.learn(sustained: kept, window: number, slot: slot)
        }
    }

    /// The share-quantile of the last values (all, where there are fewer), the lower of two.
    private static func quantile(_ values: [Float], last count: Int, _ share: Double) -> Float {
        guard !values.isEmpty else { return 0 }
        let sorted = values.suffix(count).sorted()
        return sorted[Int(Double(sorted.count - 1) * share)]
    }
}
