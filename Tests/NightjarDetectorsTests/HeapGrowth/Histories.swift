// Histories of one process, written as the formula that they are.

import Foundation
import NightjarDetectors
import NightjarModel
import NightjarTestKit

let oneDay = 86_400.0

/// Readings of one process life: MiB over seconds.
struct History {
    var name = ""
    var interval = 300.0
    var days: Double
    var mebibytes: (Double, inout SplitMix) -> Double

    init(_ days: Double, every interval: Double = 300, _ mebibytes: @escaping (Double, inout SplitMix) -> Double) {
        self.days = days
        self.interval = interval
        self.mebibytes = mebibytes
    }

    /// The readings, the same each time.
    func samples(startingAt start: Double = 0) -> [HeapSample] {
        var random = SplitMix(seed: 42)
        return stride(from: 0, to: days * oneDay, by: interval).map { t in
            HeapSample(
                time: Moment(seconds: start + t),
                live: Bytes(Int64(max(0.5, mebibytes(t, &random)) * 1024 * 1024)))
        }
    }

    /// What HeapGrowth made of it.
    func outcome(_ settings: HeapGrowth.Settings = HeapGrowth.Settings(), prior: HeapGrowth.Prior = .none) -> Outcome {
        var growth = HeapGrowth(prior: prior)
        var outcome = Outcome()
        for sample in samples() {
            outcome.note(growth.step(sample, settings), at: sample.time.seconds)
        }
        return outcome
    }
}

/// When each stage was reached and how often something was said.
struct Outcome {
    /// Days at which a finding was raised or became worse, with its stage.
    var raised: [(stage: HeapGrowth.Stage, day: Double)] = []
    var last = HeapGrowth.Stage.tooEarly

    var worst: HeapGrowth.Stage { raised.map(\.stage).max() ?? last }
    var leakDay: Double? { raised.first { $0.stage == .leak }?.day }
    var isQuiet: Bool { raised.isEmpty }

    mutating func note(_ stage: HeapGrowth.Stage, at seconds: Double) {
        if stage >= .growing, stage > last { raised.append((stage, seconds / oneDay)) }
        last = stage
    }
}

/// 0…1 over the day, lowest at midnight.
func load(_ t: Double) -> Double { 0.5 - 0.5 * cos(2 * .pi * t / oneDay) }

/// Garbage that grows over a period and is then collected: 0…1.
func garbage(_ t: Double, every period: Double) -> Double { (t / period).truncatingRemainder(dividingBy: 1) }
