// What the operator reads: `live heap floor 96 → 132 MiB in 2.3 d, still rising; limit 512 MiB in about 9 d`.

public import NightjarModel

extension HeapGrowth {
    /// The kind of growth, as far as memory, threads and mapped files tell.
    public enum Verdict: String, Hashable, Sendable, CaseIterable {
        case leak, growth, step
        case cacheFilling = "cache filling"
        case fragmentation
        case threadStacks = "thread stacks"
        case fileBacked = "file-backed"
    }

    /// What is found, in words; nil while the life is quiet or too young.
    ///
    /// - Parameters:
    ///   - subject: the process and its unit.
    ///   - limit: the memory limit that the process will meet, for the forecast.
    public func finding(of subject: Subject, _ settings: Settings = Settings(), limit: Bytes? = nil) -> Finding? {
        guard stage >= .growing else { return nil }
        let verdict = verdict()
        let evidence = Evidence(self, settings, limit: limit ?? settings.heapLimit)
        return Finding(
            detector: "HeapGrowth", subject: subject, severity: severity(verdict), verdict: verdict.rawValue,
            sentence: evidence.sentence, details: details(verdict), evidence: evidence.fields,
            nextStep: "nightjar explain HeapGrowth")
    }

    /// `leak` wants to be looked at today, `growing` this week. Memory that the allocator keeps although the service
    /// gave it back is no leak of the service.
    private func severity(_ verdict: Verdict) -> Severity {
        stage == .leak && verdict != .fragmentation ? .warning : .notice
    }

    /// What kind of growth this is; a life that is quiet may still have one worth a word (`step`, `file-backed`).
    public func verdict() -> Verdict {
        let rise = riseSinceOldest
        if stage >= .growing {
            if let threads = companions.newThreads, threads >= 8, rise / Float(threads) < 512 { return .threadStacks }
            if let inUse = companions.newInUse, inUse < 0.2 * rise { return .fragmentation }
            if stage == .leak { return .leak }
            let saturation = TrendPair(ring)?.short.saturation ?? 0
            return saturation < 0.85 ? .cacheFilling : .growth
        }
        if let file = companions.newFile, file > 16_384, file > 2 * rise { return .fileBacked }
        return .step
    }

    /// How much the floor rose since the oldest reading of the companions, KiB.
    private var riseSinceOldest: Float {
        let quarter = ring.count > FloorRing.capacity / 2 ? FloorRing.capacity / 4 : 0
        guard ring.count > quarter else { return 0 }
        let now = ring.lowest(max(0, ring.count - ring.count / 12 - 1)..<ring.count)
        return max(0, now.kibibytes - ring.lowest(quarter..<quarter + 1).kibibytes)
    }

    private func details(_ verdict: Verdict) -> [String] {
        var lines: [String] = []
        if verdict == .threadStacks, let threads = companions.newThreads { lines.append("\(threads) more threads") }
        if verdict == .fragmentation, let inUse = companions.newInUse {
            lines.append("in use rose by only \(Bytes(kibibytes: max(0, inUse)))")
        }
        if prior.livesThatGrew > 0 {
            let lives = prior.livesThatGrew == 1 ? "an earlier life" : "\(prior.livesThatGrew) earlier lives"
            lines.append("\(lives) grew until it was killed")
        }
        return lines
    }

    /// How much the floor rose over the last `span`; nil where the life is younger than a minute of it.
    ///
    /// It names who fills a pool: the largest rise, not the largest process.
    public func rise(over span: Duration, _ settings: Settings = Settings()) -> Bytes? {
        let back = min(Int(span.inSeconds / settings.scale / ring.width), ring.count - 1)
        guard back >= 1 else { return nil }
        let then = ring[ring.count - 1 - back].low
        return Bytes(kibibytes: ring[ring.count - 1].low.kibibytes - then.kibibytes)
    }
}

/// The figures behind a finding.
struct Evidence: Sendable {
    var from: Bytes
    var to: Bytes
    var span: Duration
    var bytesPerSecond: Double
    var limit: Bytes?
    var untilLimit: Duration?
    var trend: Trend?

    init(_ growth: HeapGrowth, _ settings: HeapGrowth.Settings, limit: Bytes?) {
        let ring = growth.ring
        let half = ring.count / 2
        trend = Trend(ring, from: half)
        from = Bytes(kibibytes: trend?.levels[0] ?? growth.openedFrom.kibibytes)
        to = Bytes(kibibytes: trend?.levels[5] ?? growth.openedTo.kibibytes)
        let width = ring.width * settings.scale
        // The parts' middles are 5/6 of the window apart.
        span = .seconds(Double(ring.count - half) * width * 5 / 6)
        let points = ring.thinned(half..<ring.count, to: 32)
        bytesPerSecond = TheilSen.slope(points) * 1024 / width
        self.limit = limit
        if let limit, bytesPerSecond > 0, limit > to {
            untilLimit = .seconds(min(Double((limit - to).count) / bytesPerSecond, 1e9))
        }
    }

    var sentence: String {
        let pace = (trend?.saturation ?? 0) > 0.5 ? "still rising" : "rising more slowly"
        let rise = "live heap floor \(Bytes.pair(from, "→", to)) in \(span.spoken), \(pace)"
        guard let limit, let untilLimit else { return rise }
        return "\(rise); limit \(limit) in about \(untilLimit.spoken)"
    }

    var fields: [EvidenceField] {
        var fields: [EvidenceField] = [
            EvidenceField("from", .bytes(from)), EvidenceField("to", .bytes(to)),
            EvidenceField("rise", .bytes(to - from)), EvidenceField("span", .duration(span)),
            EvidenceField("rate", .bytesPerSecond(bytesPerSecond)),
        ]
        if let limit { fields.append(EvidenceField("limit", .bytes(limit))) }
        if let untilLimit { fields.append(EvidenceField("eta", .duration(untilLimit))) }
        if let trend {
            fields += [
                EvidenceField("tau", .ratio(Double(trend.tau))), EvidenceField("sat", .ratio(Double(trend.saturation))),
                EvidenceField("rest", .ratio(Double(trend.rest))), EvidenceField("ups", .ratio(Double(trend.ups))),
            ]
        }
        return fields
    }
}

extension FloorRing {
    /// Lows of at most `most` equal parts, with the buckets at which the parts begin.
    func thinned(_ range: Range<Int>, to most: Int) -> [(x: Double, y: Double)] {
        let parts = min(most, range.count)
        return (0..<parts).map { part in
            let begin = range.lowerBound + part * range.count / parts
            let end = range.lowerBound + (part + 1) * range.count / parts
            return (Double(begin), Double(lowest(begin..<end).kibibytes))
        }
    }
}

extension Bytes {
    /// `96 → 132 MiB`, `980 MiB → 1.2 GiB`: the unit once, where it is the same.
    static func pair(_ begin: Bytes, _ sign: String, _ end: Bytes) -> String {
        let (first, second) = (begin.description, end.description)
        let unit = second.drop { $0 != " " }
        return first.hasSuffix(unit) ? "\(first.dropLast(unit.count)) \(sign) \(second)" : "\(first) \(sign) \(second)"
    }
}
