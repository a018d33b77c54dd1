// Precision, recall and delay over a set of labelled histories, by the rules of Tests/Scoring/score.py.

import NightjarDetectors
import NightjarModel

struct QualityScore {
    var truePositives = 0
    var falsePositives = 0
    var missed = 0
    var trueNegatives = 0
    var falseAlarms = 0
    var quietDays = 0.0
    var daysToDetect: [Double] = []
    var ambiguous = (all: 0, found: 0)
    var wrong: [String] = []

    var precision: Double { Double(truePositives) / Double(max(1, truePositives + falsePositives)) }
    var recall: Double { Double(truePositives) / Double(max(1, truePositives + missed)) }
    var falseAlarmsPerDay: Double { Double(falseAlarms) / max(quietDays, 1e-9) }
    var medianDays: Double { daysToDetect.sorted()[safe: daysToDetect.count / 2] ?? .nan }

    /// `found` holds begin and end (nil while open) of each finding of severity `leak`, in seconds.
    mutating func add(_ trace: MadeTrace, found: [(at: Double, cleared: Double?)]) {
        switch trace.label {
        case .ambiguous:
            ambiguous.all += 1
            ambiguous.found += found.isEmpty ? 0 : 1
        case .healthy:
            quietDays += trace.seconds.last! / 86_400
            falseAlarms += found.count
            if found.isEmpty {
                trueNegatives += 1
            } else {
                falsePositives += 1
                wrong.append("false \(trace.name) at \((found[0].at / 8640).rounded() / 10) d")
            }
        case .leak:
            let early = found.filter { $0.at < trace.onset }
            quietDays += trace.onset / 86_400
            falseAlarms += early.count
            if !early.isEmpty {
                falsePositives += 1
                wrong.append("early \(trace.name)")
            }
            let hits = found.filter { $0.at >= trace.onset || ($0.cleared ?? .infinity) > trace.onset }
            guard let hit = hits.first else {
                missed += 1
                wrong.append("missed \(trace.name)")
                return
            }
            truePositives += 1
            daysToDetect.append((max(trace.onset, hit.at) - trace.onset) / 86_400)
        }
    }
}

extension Array {
    subscript(safe index: Int) -> Element? { indices.contains(index) ? self[index] : nil }
}

extension QualityScore {
    /// Runs HeapGrowth over a set.
    init(of traces: [MadeTrace], settings: HeapGrowth.Settings = HeapGrowth.Settings()) {
        for trace in traces {
            var growth = HeapGrowth()
            var found: [(at: Double, cleared: Double?)] = []
            var open = false
            for (t, value) in zip(trace.seconds, trace.kibibytes) {
                let sample = HeapSample(time: Moment(seconds: t), live: Bytes(Int64(value * 1024)))
                let isLeak = growth.step(sample, settings) == .leak
                if isLeak, !open { found.append((t, nil)) }
                if !isLeak, open { found[found.count - 1].cleared = t }
                open = isLeak
            }
            add(trace, found: found)
        }
    }
}
