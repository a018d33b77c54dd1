// When will a pool of memory (a cgroup's limit, the host) be full?
//
// Every five seconds the levels of the pool are looked at on six time scales. One scale forecasts when
//
//     1. a straight line through its lows (Theil–Sen) and one through the newer half of them agree: steady growth,
//        not one that flattens (a warm-up: the newer half is slower) and not the flank of a sawtooth;
//     2. the line meets the limit no farther ahead than the window reaches back: nobody should extrapolate farther
//        than he has seen. A pool that fills at a steady pace is forecast when half of its time is left, whether that
//        is two minutes or two days;
//     3. the level is news: nothing before the window was as high and came back, nor was the pool as full before its
//        service was restarted. After an OOM kill all is news again.
//
// A warning is given from six hours before, a critical one from one hour. What HeapGrowth says about weeks, this says
// about hours; it waits for no age.

public import NightjarModel

/// Whether a pool of memory will soon be full, when, and who fills it.
///
/// One value per pool: a cgroup that has a limit, or the host. About 1 KiB; a reading costs 20 ns, a bucket that
/// closes (one in five seconds) a few µs while the pool fills.
public struct MemoryExhaustion: Hashable, Sendable {
    /// A process that lives in the pool.
    public struct Contributor: Hashable, Sendable {
        public var subject: Subject
        public var held: Bytes
        /// How much more than at the beginning of the span; nil where that is not known.
        public var rise: Bytes?

        public init(subject: Subject, held: Bytes, rise: Bytes? = nil) {
            self.subject = subject
            self.held = held
            self.rise = rise
        }
    }

    /// What the lines say.
    public struct Forecast: Hashable, Sendable {
        public var usage: Bytes
        public var limit: Bytes
        public var bytesPerSecond: Double
        /// How long until the limit at this pace.
        public var eta: Duration
        /// How far back the evidence reaches.
        public var span: Duration
    }

    /// The newest forecast while one is open.
    public internal(set) var forecast: Forecast?
    var history = LevelHistory()
    var first: Moment?
    /// When a line last met the limit in time.
    var confirmedAt = Moment(nanoseconds: 0)
    /// Who filled the pool when it was found.
    var culprit: Subject?
    /// OOM kills so far.
    var kills: Int64?
    /// How full the pool was before its service was restarted: it may be as full again.
    var known = LogLevel(code: 0)

    public init() {}

    /// Takes a reading of the cgroup that sets a limit; quiet where there is none.
    ///
    /// - Parameter contributors: asked for only when something is found, with the span of the evidence.
    public mutating func observe(
        _ sample: CgroupSample, _ settings: Settings = Settings(),
        contributors: (Duration) -> [Contributor] = { _ in [] }
    ) -> Answer {
        guard let limit = sample.memoryLimit, limit > .zero,
            let usage = sample.memoryAnonymous ?? sample.memoryCurrent
        else {
            self = MemoryExhaustion()
            return .quiet
        }
        if let now = sample.oomKills {
            if let kills, now > kills { beginAnew(knowing: LogLevel(code: 0)) }
            kills = now
        }
        let pool = Pool(
            name: sample.unit ?? sample.limitedBy ?? sample.path,
            subject: sample.unit.map { Subject(.unit, name: $0, unit: $0) } ?? .host)
        return observe(usage, of: limit, at: sample.time, pool: pool, settings, contributors)
    }

    /// Takes a reading of the host: memory that cannot be had any more, swap included.
    public mutating func observe(
        _ sample: HostSample, _ settings: Settings = Settings(), contributors: (Duration) -> [Contributor] = { _ in [] }
    ) -> Answer {
        let limit = sample.memoryTotal + sample.swapTotal
        let usage = sample.memoryTotal - sample.memoryAvailable + (sample.swapTotal - sample.swapFree)
        let pool = Pool(name: "this host", subject: .host)
        return observe(usage, of: limit, at: sample.time, pool: pool, settings, contributors)
    }

    /// What is filled, for the sentence and as the subject where no process is known.
    struct Pool {
        var name: String
        var subject: Subject
    }

    private mutating func observe(
        _ usage: Bytes, of limit: Bytes, at time: Moment, pool: Pool, _ settings: Settings,
        _ contributors: (Duration) -> [Contributor]
    ) -> Answer {
        step(usage, of: limit, at: time, settings)
        guard let forecast else { return history.scales[0].count < Self.fewest ? .tooEarly : .quiet }
        let all = contributors(forecast.span)
        choose(from: all, risen: forecast)
        return .found(finding(forecast, pool: pool, settings, all))
    }

    /// Takes a reading without words: what `forecast` holds afterwards is what is found.
    mutating func step(_ usage: Bytes, of limit: Bytes, at time: Moment, _ settings: Settings) {
        let begin = first ?? time
        first = begin
        let level = Float(max(usage.count, 0)) / 1024
        // A pool that is all but empty after it held something began anew: a restart, not a sawtooth.
        if level < 0.05 * history.last { beginAnew(knowing: max(known, history.highest)) }
        guard history.add(level, age: max(0, (time - begin).inSeconds)) else { return }
        if let found = best(usage, limit, settings) {
            forecast = found
            confirmedAt = time
        } else if let open = forecast {
            if isOver(open, usage: usage, at: time) { close() } else { forecast?.usage = usage }
        }
    }

    /// What the longest window says that foresees an end near enough: the more it saw, the better it knows when.
    private func best(_ usage: Bytes, _ limit: Bytes, _ settings: Settings) -> Forecast? {
        for scale in (0..<LevelHistory.scales).reversed() {
            let buckets = history.scales[scale]
            let fewest = scale == 0 ? Self.fewestOfFirst : Self.fewest
            for length in [buckets.count, 24, 16, 12, 8] where length <= buckets.count && length >= fewest {
                let found = line(scale, Array(buckets.suffix(length)), usage, limit)
                if let found, found.eta <= settings.warning { return found }
            }
        }
        return nil
    }

    /// So much of the rise must lead above what the pool held before.
    static let news = 0.25
    /// Fewer buckets are no line.
    static let fewest = 8
    /// Of the first scale: a start-up is over by then. A pool that fills in five minutes has half of them left.
    static let fewestOfFirst = 28
    /// Pace of the newer half over the pace of the whole: a warm-up that will level off short of the limit is slower.
    static let steadiness = 0.85
    /// The forecast reaches as far ahead as the evidence reaches back, less a little.
    static let reach = 0.9

    private func line(_ scale: Int, _ buckets: [FloorBucket], _ usage: Bytes, _ limit: Bytes) -> Forecast? {
        let count = buckets.count
        let room = Double((limit - usage).count) / 1024
        let rise = Double(buckets[count - 1].low.kibibytes - buckets[0].low.kibibytes)
        // Cheap, and false for nearly every pool at nearly every time: it would have to fill by what it rose so far.
        guard rise > 0, room < 1.5 * rise else { return nil }
        let slopes = slopes(buckets)
        let drawn = slopes.all * Double(count - 1)
        guard slopes.newer > Self.steadiness * slopes.all, slopes.newer < 2 * slopes.all,
            rise < 1.5 * drawn, drawn < 1.5 * rise, drawdown(buckets) < 0.35 * rise, goesOn(buckets, slopes.all)
        else { return nil }
        let before = max(history.highestBefore(scale: scale, length: count) ?? known, known)
        let news = Double(buckets[count - 1].low.kibibytes - before.kibibytes)
        guard news > Self.news * rise else { return nil }
        let width = LevelHistory.width(scale)
        let eta = max(0, room) / slopes.all * width
        guard max(0, room) / min(slopes.all, slopes.newer) <= Self.reach * Double(count) else { return nil }
        return Forecast(
            usage: usage, limit: limit, bytesPerSecond: slopes.all * 1024 / width, eta: .seconds(eta),
            span: .seconds(Double(count) * width))
    }

    /// The newest sixth still rises; a start that has just ended does not.
    private func goesOn(_ buckets: [FloorBucket], _ slope: Double) -> Bool {
        let back = max(4, buckets.count / 6)
        let newest = buckets[buckets.count - 1].low.kibibytes - buckets[buckets.count - 1 - back].low.kibibytes
        return Double(newest) > 0.3 * slope * Double(back)
    }

    /// The deepest fall from any low to a later one, KiB.
    private func drawdown(_ buckets: [FloorBucket]) -> Double {
        var highest = LogLevel(code: 0)
        var deepest: Float = 0
        for bucket in buckets {
            highest = max(highest, bucket.low)
            if bucket.low < highest { deepest = max(deepest, highest.kibibytes - bucket.low.kibibytes) }
        }
        return Double(deepest)
    }

    /// KiB a bucket: over the window, and over its newer half. At most 16 points each.
    private func slopes(_ buckets: [FloorBucket]) -> (all: Double, newer: Double) {
        let points = buckets.enumerated().map { (x: Double($0.offset), y: Double($0.element.low.kibibytes)) }
        let newer = Array(points.suffix(points.count / 2))
        let every = points.count > 16 ? 2 : 1
        let thinned = points.enumerated().filter { $0.offset % every == 0 }.map(\.element)
        return (TheilSen.slope(thinned), TheilSen.slope(newer))
    }

    // MARK: The end of a finding

    /// No line has met the limit for five minutes and a quarter of the span, or a quarter of the level is gone.
    private func isOver(_ open: Forecast, usage: Bytes, at time: Moment) -> Bool {
        if Double(usage.count) < 0.75 * Double(open.usage.count) { return true }
        return (time - confirmedAt).inSeconds > max(300, open.span.inSeconds / 4)
    }

    private mutating func close() {
        forecast = nil
        culprit = nil
    }

    /// What the pool held belonged to another life.
    private mutating func beginAnew(knowing level: LogLevel) {
        known = level
        history.begin(at: Double(history.closed) * LevelHistory.firstWidth)
        close()
    }

    // MARK: Who

    /// Who fills the pool: the largest rise, if it explains a quarter of the pool's, else the largest. Kept while it
    /// lives, so that the alert does not wander.
    private mutating func choose(from all: [Contributor], risen: Forecast) {
        if let culprit, all.contains(where: { $0.subject == culprit }) { return }
        let poolRise = risen.bytesPerSecond * risen.span.inSeconds
        let risers = all.filter { Double($0.rise?.count ?? 0) > 0.25 * poolRise }
        let riser = risers.max { ($0.rise ?? .zero) < ($1.rise ?? .zero) }
        culprit = (riser ?? all.max { $0.held < $1.held })?.subject
    }
}
