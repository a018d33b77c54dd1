// Replays recordings of a loop's beats: columns `t,lag_us,rundelay_us,cpu_us`, one row a beat.
//
// A row is what the watchdog learns when a ping is answered. What it learns while none is answered, a recording cannot
// hold: a loop that hangs writes no row. Where the head says when the recording ended (`end_s=130`), the silence up to
// there is looked at once a second, as the watchdog does. Starvation makes loops silent too; how long a loop of this
// recording has been silent for that reason is known from its rows, and silence within three times that is not yet a hang.

import NightjarModel

/// Runs the rows of a stall trace through LoopStall and LoopStarved.
func replayStall(_ reader: inout TraceReader) throws(TraceError) -> [ReplayFinding] {
    let columns = (try reader.require("t"), try reader.require("lag_us"), try reader.require("rundelay_us"))
    var replay = StallReplay(loop: reader.name)
    var clock = ReplayClock(speedup: reader.head.speedup)
    var last = 0.0
    while try reader.next() {
        let seconds = try reader.number(columns.0)
        let moment = try clock.moment(of: seconds, in: reader)
        replay.beat(
            at: seconds, moment, lag: .microseconds(Int64(min(1e12, max(0, try reader.number(columns.1))))),
            runDelay: .microseconds(Int64(min(1e12, max(0, try reader.number(columns.2))))))
        last = seconds
    }
    if let end = reader.head["end_s"].flatMap(Double.init), end > last, end - last < 1e6 {
        replay.silence(from: last, to: end)
    }
    return replay.findings
}

private struct StallReplay {
    private static let leastSilence: Duration = .seconds(2)

    private let loop: String
    private var stall = LoopStall()
    private var starved = LoopStarved()
    private var open: [String: Int] = [:]
    private var longestStarved: Duration = .zero
    private var lastMoment = Moment(nanoseconds: 0)
    private(set) var findings: [ReplayFinding] = []

    init(loop: String) { self.loop = loop }

    mutating func beat(at seconds: Double, _ moment: Moment, lag: Duration, runDelay: Duration) {
        let waited = min(lag, runDelay)
        let own = lag - waited
        let counted: Duration = .milliseconds(20)
        longestStarved = max(longestStarved, waited)
        lastMoment = moment
        observe(
            LoopSample(
                time: moment, loop: loop, blocked: own > counted ? own : .zero,
                starved: waited > counted ? waited : .zero,
                longest: own), at: seconds)
    }

    /// Nothing came any more: what the watchdog sees once a second.
    mutating func silence(from last: Double, to end: Double) {
        var silent = 1.0
        let patience = max(Self.leastSilence, longestStarved * 3)
        while last + silent <= end {
            let span = Duration.seconds(silent)
            observe(
                LoopSample(time: lastMoment + span, loop: loop, open: span >= patience ? span : nil), at: last + silent)
            silent += 1
        }
    }

    private mutating func observe(_ sample: LoopSample, at seconds: Double) {
        note(stall.observe(sample), "loop_stall", seconds)
        note(starved.observe(sample), "loop_starved", seconds)
    }

    private mutating func note(_ answer: Answer, _ kind: String, _ seconds: Double) {
        guard case .found(let finding) = answer else {
            if let index = open.removeValue(forKey: kind) { findings[index].set("cleared_s", .double(seconds)) }
            return
        }
        if let index = open[kind] {
            if finding.severity == .critical { findings[index].set("severity", .string(finding.severity.word)) }
            return
        }
        open[kind] = findings.count
        findings.append(
            ReplayFinding([
                ("kind", .string(kind)), ("severity", .string(finding.severity.word)), ("at_s", .double(seconds)),
                ("cleared_s", .null), ("verdict", .string(finding.verdict)), ("says", .string(finding.sentence)),
            ]))
    }
}
