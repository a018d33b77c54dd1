// Memory traces: columns `t,anon` (KiB), optional `rss`, `swap`, `threads`, `limit` (KiB; or `limit_kib=` in the head).
//
// A finding that becomes worse ends and begins anew with its new severity, so that a reader sees when each was said.

import NightjarModel

func replayMemory(_ reader: inout TraceReader) throws(TraceError) -> [ReplayFinding] {
    let columns = try MemoryColumns(reader)
    var clock = ReplayClock(speedup: reader.head.speedup)
    var growth = HeapGrowth()
    var log = GrowthLog(speedup: reader.head.speedup)
    var exhaustion = ExhaustionReplay(speedup: reader.head.speedup)
    var process = ProcessReplay(reader)
    while try reader.next() {
        let seconds = try reader.number(columns.time)
        let moment = try clock.moment(of: seconds, in: reader)
        let sample = try columns.sample(at: moment, reader)
        let limit = try columns.limit(reader)
        growth.step(sample)
        log.note(growth, limit: limit, at: seconds)
        if let limit { exhaustion.step(sample, of: limit, at: seconds) }
        try process.step(at: moment, seconds, reader)
    }
    return log.findings + exhaustion.findings + process.findings
}

/// Where a memory trace's columns stand.
struct MemoryColumns {
    let time: Int
    let anonymous: Int
    let rss: Int?
    let swap: Int?
    let threads: Int?
    private let limitColumn: Int?
    /// From the head, for the whole trace.
    private let limitOfAll: Bytes?

    init(_ reader: TraceReader) throws(TraceError) {
        time = try reader.require("t")
        anonymous = try reader.require("anon")
        rss = reader.column("rss")
        swap = reader.column("swap")
        threads = reader.column("threads")
        limitColumn = reader.column("limit_kib") ?? reader.column("limit")
        limitOfAll = try Self.limit(inHeadOf: reader)
    }

    private static func limit(inHeadOf reader: TraceReader) throws(TraceError) -> Bytes? {
        guard let text = reader.head["limit_kib"] ?? reader.head["limit"] else { return nil }
        guard let kibibytes = Double(text), kibibytes > 0, kibibytes < 1e15 else {
            throw reader.malformed("expected a size in KiB for the limit, found '\(text)'")
        }
        return Bytes(Int64(kibibytes * 1024))
    }

    /// The memory limit in this row; nil = none.
    func limit(_ reader: TraceReader) throws(TraceError) -> Bytes? {
        guard let limitColumn else { return limitOfAll }
        return try sizeIfAny(limitColumn, reader) ?? limitOfAll
    }

    /// The row as a reading.
    func sample(at moment: Moment, _ reader: TraceReader) throws(TraceError) -> HeapSample {
        let anonymous = try size(self.anonymous, reader)
        let swap = try sizeIfAny(self.swap, reader) ?? .zero
        let rss = try sizeIfAny(self.rss, reader)
        let threads = try reader.numberIfAny(self.threads)
        return HeapSample(
            time: moment, live: anonymous + swap, fileBacked: rss.map { max(.zero, $0 - anonymous) },
            threads: threads.map { Int(min(max($0, 0), 1e9)) })
    }

    /// KiB in the cell; between 0 and 1 EiB.
    func size(_ column: Int, _ reader: TraceReader) throws(TraceError) -> Bytes {
        let kibibytes = try reader.number(column)
        guard kibibytes >= 0, kibibytes < 1e15 else {
            throw reader.malformed(
                "expected a size in KiB in column '\(reader.columns[column])', found '\(reader.text(column))'")
        }
        return Bytes(Int64(kibibytes * 1024))
    }

    /// nil for a column that is not there and for an empty cell.
    func sizeIfAny(_ column: Int?, _ reader: TraceReader) throws(TraceError) -> Bytes? {
        guard let column, try reader.numberIfAny(column) != nil else { return nil }
        return try size(column, reader)
    }
}

/// Turns the stages of HeapGrowth into findings with begin and end.
private struct GrowthLog {
    private(set) var findings: [ReplayFinding] = []
    private var stage = HeapGrowth.Stage.quiet
    private let speedup: Double

    init(speedup: Double) { self.speedup = speedup }

    mutating func note(_ growth: HeapGrowth, limit: Bytes?, at seconds: Double) {
        let now = max(growth.stage, .quiet)
        guard now != stage else { return }
        if stage > .quiet { findings[findings.count - 1].set("cleared_s", .double(seconds)) }
        if now > .quiet { findings.append(finding(growth, now, limit, at: seconds)) }
        stage = now
    }

    private func finding(
        _ growth: HeapGrowth, _ stage: HeapGrowth.Stage, _ limit: Bytes?, at seconds: Double
    ) -> ReplayFinding {
        let evidence = Evidence(growth, HeapGrowth.Settings(), limit: limit)
        let trend = evidence.trend
        return ReplayFinding([
            ("kind", .string("heap_growth")), ("severity", .string(stage == .leak ? "leak" : "growing")),
            ("verdict", .string(growth.verdict().rawValue)), ("at_s", .double(seconds)), ("cleared_s", .null),
            ("from_kib", .double(Double(evidence.from.count / 1024))),
            ("to_kib", .double(Double(evidence.to.count / 1024))),
            ("rate_kib_per_day", .double((evidence.bytesPerSecond * 86_400 / 1024).rounded())),
            ("eta_limit_s", .optional(evidence.untilLimit.map { $0.inSeconds / speedup })),
            (
                "evidence",
                .object([
                    ("tau", .optional(trend.map { Double($0.tau) })),
                    ("sat", .optional(trend.map { Double($0.saturation) })),
                    ("rest", .optional(trend.map { Double($0.rest) })),
                    ("ups", .optional(trend.map { Double($0.ups) })),
                ])
            ),
        ])
    }
}
