import Foundation
import NightjarTestKit

// Made histories with a known truth, for measuring how often a detector is right on histories that nobody tuned it on.
//
// A history is a trend (what the service's memory does by construction: healthy is bounded, a leak is not) under a
// texture (what the allocator, the day and the work add on top). Sizes, rates, onsets, periods and noise are drawn
// from a seeded generator, so a seed names a whole set. One seed is for choosing parameters, others are never looked
// at until the choice is made.

extension SplitMix {
    mutating func uniform(_ low: Double, _ high: Double) -> Double {
        low + (high - low) * unit()
    }

    /// As likely between 1 and 10 as between 10 and 100.
    mutating func logarithmic(_ low: Double, _ high: Double) -> Double {
        low * pow(high / low, uniform(0, 1))
    }

    /// Mean 0, deviation 1 (sum of twelve uniform numbers: no tail beyond six).
    mutating func normal() -> Double { (0..<12).reduce(-6.0) { sum, _ in sum + uniform(0, 1) } }
}

/// One made history.
struct MadeTrace {
    enum Label { case healthy, leak, ambiguous }

    var name: String
    var label: Label
    var kind: String
    /// When the leak begins, in seconds.
    var onset = 0.0
    var seconds: [Double]
    /// Anonymous memory in KiB.
    var kibibytes: [Double]
}

enum TrendKind: String, CaseIterable {
    case stationary, plateau, fill, steps, wander, restart, downtrend, fragmentation, highWater, generations
    case linear, late, stair, loadLinked, accelerating, slow, afterDeploy, decelerating

    var isLeak: Bool {
        switch self {
        case .linear, .late, .stair, .loadLinked, .accelerating, .slow, .afterDeploy, .decelerating: true
        default: false
        }
    }
}

enum Texture: String, CaseIterable {
    case flat, saw, season, batch, spiky, mix
}

private let day = 86_400.0

extension MadeTrace {
    /// `count` traces of each trend from one seed.
    static func set(seed: UInt64, perKind count: Int) -> [MadeTrace] {
        var random = SplitMix(seed: seed)
        var traces: [MadeTrace] = []
        for index in 0..<count {
            for kind in TrendKind.allCases {
                let texture = Texture.allCases[Int(random.next() % UInt64(Texture.allCases.count))]
                traces.append(make(kind, texture, name: "made-\(seed)-\(kind)-\(texture)-\(index)", &random))
            }
        }
        return traces
    }

    static func make(_ kind: TrendKind, _ texture: Texture, name: String, _ random: inout SplitMix) -> MadeTrace {
        let interval = [60.0, 300, 300, 300, 600][Int(random.next() % 5)]
        let days = random.uniform(5, 12)
        let seconds = (0..<Int(days * day / interval)).map { Double($0) * interval }
        let base = random.logarithmic(10, 2000) * 1024
        var trend = Trend(kind, base: base, days: days, &random)
        let fabric = Fabric(texture, base: base, &random)
        let warmUp = base * random.uniform(0.02, 0.5)
        let warmUpTime = random.logarithmic(0.01, 0.25) * day
        var values: [Double] = []
        var floors: [Double] = []
        for t in seconds {
            let level = trend.level(t, &random) - warmUp * exp(-t / warmUpTime)
            floors.append(level)
            values.append(max(1024, level + fabric.thread(t, interval, load: fabric.load(t), &random)))
        }
        var label: Label = kind.isLeak ? .leak : .healthy
        if !kind.isLeak, stillRises(floors) { label = .ambiguous }
        return MadeTrace(
            name: name, label: label, kind: "\(kind)/\(texture)", onset: trend.onset, seconds: seconds,
            kibibytes: values)
    }

    /// A bounded history whose envelope still rises by more than 1 % over the last quarter says nothing either way.
    private static func stillRises(_ values: [Double]) -> Bool {
        let eighth = values.count / 8
        let before = values[(6 * eighth)..<(7 * eighth)].min()!
        return values.suffix(eighth).min()! > before * 1.01
    }
}

/// What the memory does by construction.
private struct Trend {
    let kind: TrendKind
    let base: Double
    let days: Double
    var onset = 0.0
    /// Relative growth a day.
    var rate = 0.0
    var scale = 1.0
    var time = 0.0
    var jumps: [(at: Double, by: Double)] = []
    var state = 0.0
    var nextEvent = 0.0

    init(_ kind: TrendKind, base: Double, days: Double, _ random: inout SplitMix) {
        self.kind = kind
        self.base = base
        self.days = days
        rate = random.logarithmic(0.015, 0.4)
        scale = random.logarithmic(0.1, 3)
        time = random.logarithmic(0.1, 1.0) * day
        switch kind {
        case .slow: rate = random.logarithmic(0.006, 0.02)
        case .late, .afterDeploy: onset = random.uniform(0.2, 0.6) * days * day
        case .fill: time = random.uniform(0.5, 2.9) * day
        case .plateau: time = random.uniform(0.03, 0.12) * days * day
        case .fragmentation: time = random.uniform(0.05, 0.15) * days * day
        case .steps:
            for _ in 0..<(1 + random.next() % 5) {
                jumps.append((random.uniform(0.05, 0.95) * days * day, base * random.uniform(-0.15, 0.4)))
            }
        case .stair: time = random.uniform(0.1, 0.8) * day
        case .restart: time = random.uniform(0.5, 2.5) * day
        case .wander: scale = random.uniform(0.01, 0.06)
        default: break
        }
        if kind == .late || kind == .afterDeploy { rate = random.logarithmic(0.03, 0.4) }
        if kind == .afterDeploy { jumps = [(onset, base * random.uniform(0.05, 0.4))] }
    }

    mutating func level(_ t: Double, _ random: inout SplitMix) -> Double {
        let sinceOnset = max(0, t - onset) / day
        switch kind {
        case .stationary: return base
        case .plateau, .fragmentation:
            let shape = kind == .plateau ? 1 - exp(-t / time) : 1 - pow(1 + t / time, -1.5)
            return base * (1 + scale * shape)
        case .fill: return base * (1 + scale * min(1, t / time))
        case .steps, .afterDeploy:
            let stepped = jumps.reduce(base) { $1.at <= t ? $0 + $1.by : $0 }
            return stepped + base * (kind == .afterDeploy ? rate * sinceOnset : 0)
        case .wander:
            if t >= nextEvent {
                state = 0.97 * state + 0.24 * random.normal()
                nextEvent = t + 1800
            }
            return base * (1 + scale * state)
        case .restart:
            if t >= nextEvent {
                nextEvent = t + time * random.uniform(0.6, 1.4)
                state = t
            }
            return base * (1 + 0.4 * scale * (1 - exp(-(t - state) / (0.1 * time))))
        case .downtrend: return base * (2 - min(1, rate * t / day / 2))
        case .highWater:
            // Work of random size; what the largest needed so far stays with the process.
            if t >= nextEvent {
                state = max(state, min(3.5, pow(random.uniform(0, 1), -0.35) - 1))
                nextEvent = t + 7200
            }
            return base * (1 + 0.3 * scale * state / 3)
        case .generations:
            // A collector that lets its heap grow in a few lumps, up to a maximum.
            if t >= nextEvent {
                state = min(1, state + random.uniform(0.05, 0.4) * (1.02 - state))
                nextEvent = t + time * random.uniform(0.3, 1)
            }
            return base * (1 + 0.5 * scale * state)
        case .linear, .late, .slow: return base * (1 + rate * sinceOnset)
        case .accelerating: return base * (1 + rate * 0.6 * pow(t / day, 1.6) / pow(days, 0.6) * 1.6)
        case .decelerating: return base * (1 + rate * pow(t / day, 0.75) * pow(days, 0.25))
        case .loadLinked: return base + grown(t, by: rate * base * (1 + 0.9 * sin(2 * .pi * t / day)))
        case .stair: return base * (1 + rate * (t / time).rounded(.down) * time / day)
        }
    }

    /// The integral of a rate a day.
    private mutating func grown(_ t: Double, by rate: Double) -> Double {
        state += rate * (t - nextEvent) / day
        nextEvent = t
        return state
    }
}

/// What lies on top: garbage, days, batches, spikes.
private struct Fabric {
    let texture: Texture
    let amplitude: Double
    let period: Double
    let noise: Double
    let phase: Double
    let weekly: Double
    let keeps: Double

    init(_ texture: Texture, base: Double, _ random: inout SplitMix) {
        self.texture = texture
        amplitude = base * random.logarithmic(0.05, 1)
        period = random.logarithmic(0.3, 30) * 3600
        noise = base * random.logarithmic(0.0001, 0.006)
        phase = random.uniform(0, 1)
        weekly = random.uniform(0, 0.5)
        keeps = random.uniform(0, 0.3)
    }

    /// 0…1 over the day, less at week-ends.
    func load(_ t: Double) -> Double {
        let ofDay = 0.5 - 0.5 * cos(2 * .pi * (t / day + phase))
        let isWeekend = Int(t / day + 7 * phase) % 7 >= 5
        return ofDay * (isWeekend ? 1 - weekly : 1)
    }

    func thread(_ t: Double, _ interval: Double, load: Double, _ random: inout SplitMix) -> Double {
        let jitter = noise * random.normal()
        let tooth = amplitude * (t / period + phase).truncatingRemainder(dividingBy: 1)
        let batch = (t / day + phase).truncatingRemainder(dividingBy: 1) < 0.08 ? amplitude : 0
        let spike = random.uniform(0, 1) < interval / 20_000 ? amplitude * random.uniform(0.2, 1) : 0
        switch texture {
        case .flat: return jitter
        case .saw: return jitter + tooth
        case .season: return jitter + 0.5 * amplitude * load
        case .batch: return jitter + batch
        case .spiky: return jitter + spike
        case .mix: return jitter + 0.3 * tooth + 0.3 * amplitude * load * (1 - keeps) + 0.4 * spike + 0.3 * batch
        }
    }
}
