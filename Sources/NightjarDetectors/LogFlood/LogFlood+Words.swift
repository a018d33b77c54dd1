public import NightjarModel

extension LogFlood {
    /// A flood is a matter for today; one that is small in bytes only a note. Whether somebody is woken decides DiskFill.
    public static func severity(_ state: State, _ settings: Settings) -> Severity {
        state.pace >= settings.minimumPace ? .warning : .info
    }

    /// The finding in words; templates and writers are added by whoever knows them.
    public static func finding(_ state: State, _ sample: LogSample, _ settings: Settings) -> Finding {
        let ratio = state.ratio ?? 0
        let times = ratio >= 9.95 ? "\(Int64(min(ratio, 1e12).rounded()))" : "\((ratio * 10).rounded() / 10)"
        let usual = Bytes(Int64((state.usual ?? 0) * 3600))
        let pace = Bytes(Int64(state.pace * 3600))
        var sentence = "\(sample.source) writes \(pace) an hour, \(times) times the usual \(usual)"
        if let since = state.since, sample.time - since >= .minutes(1) {
            sentence += ", for \((sample.time - since).spoken) now"
        }
        return Finding(
            detector: card.name, subject: Subject(.log, name: sample.source, unit: sample.unit),
            severity: severity(state, settings), verdict: "flood", sentence: sentence,
            evidence: [
                EvidenceField("ratio", .ratio((ratio * 10).rounded() / 10)),
                EvidenceField("pace", .bytesPerSecond(state.pace.rounded())),
                EvidenceField("usual", .bytesPerSecond((state.usual ?? 0).rounded())),
                EvidenceField("excess_a_day", .bytes(Bytes(Int64(min(state.excess * 86_400, 9e18))))),
            ], nextStep: "nightjar logs")
    }
}

extension LogFlood {
    private static let version: UInt8 = 1

    /// Appends the state, versioned; `init(decoding:)` reads it back to an equal value. About 1 KiB.
    public func encode(into out: inout [UInt8]) {
        out.append(Self.version)
        baseline.encode(into: &out)
        out.append(UInt8(recent.count))
        for value in recent { out.append(float: value) }
        out.append(UInt8(ratios.count))
        for value in ratios { out.append(float: value) }
        out.append(integer: slot)
        out.append(double: partial)
        out.append(integer: partialSpan.nanosecondCount)
        out.append(UInt8(min(calmSlots, 255)))
        out.append(double: floodBytes)
        out.append(state.isFlood ? 1 : 0)
        out.append(state.isTooEarly ? 1 : 0)
        out.append(double: state.pace)
        out.append(double: state.usual ?? -1)
        out.append(moment: state.since ?? Moment(nanoseconds: .min))
    }

    /// Nil for another version or corrupt bytes: then start with `init()`.
    public init?(decoding reader: inout ByteReader) {
        guard reader.integer(UInt8.self) == Self.version, let baseline = LogBaseline(decoding: &reader),
            let recent = Self.floats(&reader, limit: 6), let ratios = Self.floats(&reader, limit: Self.recentSlots),
            let slot = reader.integer(Int64.self), let partial = reader.double(),
            let span = reader.integer(Int64.self), let calm = reader.integer(UInt8.self),
            let floodBytes = reader.double(), floodBytes.isFinite,
            let isFlood = reader.integer(UInt8.self), let isTooEarly = reader.integer(UInt8.self),
            let pace = reader.double(), let usual = reader.double(), let since = reader.moment(),
            (-1...40_000_000).contains(slot), partial.isFinite, partial >= 0,
            (0...86_400_000_000_000).contains(span), pace.isFinite, usual.isFinite
        else { return nil }
        self.init()
        self.baseline = baseline
        self.recent = recent
        self.ratios = ratios
        self.slot = slot
        self.partial = partial
        partialSpan = .nanoseconds(span)
        calmSlots = Int(calm)
        self.floodBytes = floodBytes
        state.isFlood = isFlood != 0
        state.isTooEarly = isTooEarly != 0
        state.pace = pace
        state.usual = usual >= 0 ? usual : nil
        state.since = since.nanoseconds == .min ? nil : since
    }

    private static func floats(_ reader: inout ByteReader, limit: Int) -> [Float]? {
        guard let count = reader.integer(UInt8.self), count <= limit else { return nil }
        var values: [Float] = []
        for _ in 0..<count {
            guard let value = reader.float(), value.isFinite else { return nil }
            values.append(value)
        }
        return values
    }
}
