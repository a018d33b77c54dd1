// Disk traces: columns `t,size,free` (MiB), optional `inodes,inodes_free`.
//
// Every condition that begins is a finding of its own and ends with it: the forecast without a `stage`, and burst,
// backstop and full with theirs. A forecast finding lists every evaluation since the one before it ended, so that all
// of them together say what was forecast at which time; evaluations after the last one belong to the last.

import NightjarModel

func replayDisk(_ reader: inout TraceReader) throws(TraceError) -> [ReplayFinding] {
    let columns = try DiskColumns(reader)
    var clock = ReplayClock(speedup: reader.head.speedup)
    var space = DiskFill()
    var inodes = InodeFill()
    var spaceLog = FillLog(kind: DiskFill.card.snakeName, speedup: reader.head.speedup)
    var inodeLog = FillLog(kind: InodeFill.card.snakeName, speedup: reader.head.speedup)
    let (spaceSettings, inodeSettings) = (DiskFill.Settings(), InodeFill.Settings())
    while try reader.next() {
        let seconds = try reader.number(columns.time)
        let sample = try columns.sample(at: try clock.moment(of: seconds, in: reader), reader)
        spaceLog.note(space.step(sample, spaceSettings), DiskFill.finding(space.state, sample), at: seconds)
        guard sample.inodes != nil else { continue }
        inodeLog.note(inodes.step(sample, inodeSettings), InodeFill.finding(inodes.state, sample), at: seconds)
    }
    return spaceLog.finished + inodeLog.finished
}

/// Where a disk trace's columns stand.
private struct DiskColumns {
    let time: Int
    let size: Int
    let free: Int
    let inodes: Int?
    let inodesFree: Int?

    init(_ reader: TraceReader) throws(TraceError) {
        time = try reader.require("t")
        size = try reader.require("size")
        free = try reader.require("free")
        inodes = reader.column("inodes")
        inodesFree = reader.column("inodes_free")
    }

    func sample(at moment: Moment, _ reader: TraceReader) throws(TraceError) -> MountSample {
        MountSample(
            time: moment, mountPoint: reader.name, size: try mebibytes(size, reader),
            available: try mebibytes(free, reader), inodes: try count(inodes, reader),
            inodesFree: try count(inodesFree, reader))
    }

    private func mebibytes(_ column: Int, _ reader: TraceReader) throws(TraceError) -> Bytes {
        let value = try reader.number(column)
        guard value >= 0, value < 1e12 else {
            throw reader.malformed(
                "expected a size in MiB in column '\(reader.columns[column])', found '\(reader.text(column))'")
        }
        return Bytes(Int64(value * 1_048_576))
    }

    private func count(_ column: Int?, _ reader: TraceReader) throws(TraceError) -> Int64? {
        guard let column, let value = try reader.numberIfAny(column) else { return nil }
        guard value >= 0, value < 1e18 else {
            throw reader.malformed("expected a count in column '\(reader.columns[column])'")
        }
        return Int64(value)
    }
}

/// Turns the conditions of a file system into findings with begin and end.
private struct FillLog {
    let kind: String
    let speedup: Double
    private var findings: [ReplayFinding] = []
    private var open: [FillState.Stage: Int] = [:]
    private var evaluations: [JSON] = []
    private var lastForecast: Int?

    init(kind: String, speedup: Double) {
        self.kind = kind
        self.speedup = speedup
    }

    mutating func note(_ state: FillState, _ finding: Finding?, at seconds: Double) {
        if let evaluation = state.evaluation {
            evaluations.append(
                .object([
                    ("t_s", .double(seconds)),
                    ("eta_s", .optional(evaluation.timeToFull.map { $0.inSeconds / speedup })),
                ]))
        }
        for stage in FillState.Stage.allCases {
            let holds = state.stages.contains(stage)
            if holds, open[stage] == nil {
                open[stage] = findings.count
                findings.append(begun(stage, state, finding, at: seconds))
                if stage == .forecast { lastForecast = findings.count - 1 }
            } else if !holds, let place = open.removeValue(forKey: stage) {
                findings[place].set("cleared_s", .double(seconds))
                if stage == .forecast { handOver() }
            }
        }
    }

    private func begun(_ stage: FillState.Stage, _ state: FillState, _ finding: Finding?, at seconds: Double)
        -> ReplayFinding
    {
        var members: [(String, JSON)] = [
            ("kind", .string(kind)), ("severity", .string((finding?.severity ?? .warning).word)),
        ]
        if stage != .forecast { members.append(("stage", .string(stage.rawValue))) }
        members += [
            ("at_s", .double(seconds)), ("cleared_s", .null),
            ("eta_s", .optional(state.timeLeft.map { $0.inSeconds / speedup })), ("evaluations", .array([])),
        ]
        return ReplayFinding(members)
    }

    /// The evaluations so far go to the forecast that was raised last.
    private mutating func handOver() {
        guard let lastForecast else { return }
        var all: [JSON] = []
        if case .array(let given)? = findings[lastForecast]["evaluations"] { all = given }
        findings[lastForecast].set("evaluations", .array(all + evaluations))
        evaluations = []
    }

    /// The findings in order of their beginning.
    var finished: [ReplayFinding] {
        var copy = self
        copy.handOver()
        return copy.findings
    }
}
