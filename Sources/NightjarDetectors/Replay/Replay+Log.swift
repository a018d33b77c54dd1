// Log traces: columns `t,source,bytes`, one row a source and interval; `bytes` is what was written since the source's row
// before. Where the first row of a source has none before it, it is taken to cover as much as the head's `interval_s`
// says, or five minutes.

import NightjarModel

func replayLog(_ reader: inout TraceReader) throws(TraceError) -> [ReplayFinding] {
    let time = try reader.require("t")
    let source = try reader.require("source")
    let bytes = try reader.require("bytes")
    let interval = reader.head["interval_s"].flatMap(Double.init) ?? 300 / reader.head.speedup
    var clock = ReplayClock(speedup: reader.head.speedup)
    var floods = FloodLog()
    while try reader.next() {
        let seconds = try reader.number(time)
        let moment = try clock.moment(of: seconds, in: reader)
        let amount = try reader.number(bytes)
        guard amount >= 0, amount < 1e18 else {
            throw reader.malformed("expected bytes in column 'bytes', found '\(reader.text(bytes))'")
        }
        floods.take(
            LogSample(
                time: moment, source: reader.text(source), span: .seconds(interval * reader.head.speedup),
                bytes: Bytes(Int64(amount))), at: seconds)
    }
    return floods.findings
}

/// The detectors of all sources of a trace, and what they found.
private struct FloodLog {
    /// More sources than any host has; the rest is not watched.
    static let maximumSources = 10_000

    private struct Watched {
        var detector = LogFlood()
        var last: Moment?
        var open: Int?
    }

    private(set) var findings: [ReplayFinding] = []
    private var sources: [String: Watched] = [:]
    private let settings = LogFlood.Settings()

    mutating func take(_ given: LogSample, at seconds: Double) {
        guard sources[given.source] != nil || sources.count < Self.maximumSources else { return }
        var watched = sources.removeValue(forKey: given.source) ?? Watched()
        var sample = given
        if let last = watched.last { sample.span = max(.zero, sample.time - last) }
        watched.last = sample.time
        let state = watched.detector.step(sample, settings)
        if state.isFlood, watched.open == nil {
            watched.open = findings.count
            findings.append(begun(state, sample, at: seconds))
        } else if !state.isFlood, let place = watched.open {
            findings[place].set("cleared_s", .double(seconds))
            watched.open = nil
        }
        sources[given.source] = watched
    }

    private func begun(_ state: LogFlood.State, _ sample: LogSample, at seconds: Double) -> ReplayFinding {
        ReplayFinding([
            ("kind", .string(LogFlood.card.snakeName)), ("source", .string(sample.source)),
            ("severity", .string(LogFlood.severity(state, settings).word)), ("at_s", .double(seconds)),
            ("cleared_s", .null), ("ratio", .optional(state.ratio.map { ($0 * 10).rounded() / 10 })),
            ("bytes_per_second", .double(state.pace.rounded())),
            ("usual_bytes_per_second", .optional(state.usual.map { $0.rounded() })),
        ])
    }
}
