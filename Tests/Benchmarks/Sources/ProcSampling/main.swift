// What does it cost to sample a process? A thousand idle ones beside whatever else runs here; the engine against a loop
// in C that reads the same fields from the same kept files, in turn.
//
//     full     every process every round: memory, CPU time, threads          ≤ 1.15 × the floor
//     tiered   one in twenty moves, the others are idle, as it really runs   ≤ 0.32 × the floor a process and second
//              (2.0 µs where the floor is 6.2)

import BenchmarkKit
import CFloor
import Glibc
import NightjarModel
import NightjarSources

let processes = 1000
let rounds = Arguments.isQuick ? 9 : 25
let repeats = Arguments.isQuick ? 4 : 10

/// Enough for two kept files of every process, twice.
func raiseDescriptorLimit() {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    limit.rlim_cur = limit.rlim_max
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
}

/// The engine with a clock of its own: one round is one second.
final class Engine {
    let sampler: ProcessSampler
    private var now = Moment(seconds: 1_700_000_000)
    private(set) var read = 0
    private(set) var systemCalls: Int64 = 0
    private(set) var rounds = 0

    init(_ limits: ProcessLimits) { sampler = try! ProcessSampler(limits: limits) }

    func round() {
        now = now + .seconds(1)
        var sum: Int64 = 0
        let summary = sampler.round(at: now) { sample, _, _ in sum &+= sample.rss.count }
        read += summary.read
        systemCalls += summary.systemCalls
        rounds += 1
    }

    func forgetCounts() { (read, systemCalls, rounds) = (0, 0, 0) }
}

/// Everything is read every round, and nothing but the floor's fields.
func fullEngine() -> Engine {
    var limits = ProcessLimits()
    limits.descriptors = 9000
    limits.slowInterval = .seconds(1_000_000)
    let engine = Engine(limits)
    engine.round()
    for slot in 0..<engine.sampler.slotCapacity { engine.sampler.watch(slot) }
    for _ in 0..<3 { engine.round() }
    return engine
}

/// As it runs on a host: one process in twenty moves.
func tieredEngine() -> Engine {
    let engine = Engine(ProcessLimits())
    engine.round()
    for slot in stride(from: 0, to: engine.sampler.slotCapacity, by: 20) { engine.sampler.watch(slot) }
    for _ in 0..<30 { engine.round() }
    return engine
}

raiseDescriptorLimit()
let herd = Herd(processes)
var samples: UnsafeMutablePointer<floor_sample>?
let floorCount = floor_open(&samples)
guard floorCount >= processes, let samples else { fatalError("the floor could not open its files") }
let full = fullEngine()
let tiered = tieredEngine()
full.forgetCounts()
tiered.forgetCounts()

let series = interleaved(
    rounds: rounds,
    [
        { for _ in 0..<repeats { floor_read(samples, floorCount) } },
        { for _ in 0..<repeats { full.round() } },
        // A minute at a time: every idle process comes to its turn, and once it is read in full.
        { for _ in 0..<60 { tiered.round() } },
    ])

func perProcess(_ series: Series, _ times: Int, _ count: Int) -> Series {
    Series(series.values.map { $0 / Double(times) / Double(count) })
}
let floor = perProcess(series[0], repeats, floorCount)
let fullCost = perProcess(series[1], repeats, full.read / full.rounds)
let tieredCost = perProcess(series[2], 60, tiered.sampler.count)

let report = Report("ProcSampling: \(floorCount) processes, \(processes) of them idle")
report.add("C floor, stat + statm kept open", floor, scale: 1e6, "µs a process")
report.add("engine, every process every round", fullCost, scale: 1e6, "µs a process")
report.add("  against the floor", medianRatio(fullCost, floor), "×", .atMost(1.15))
report.add("  system calls", Double(full.systemCalls) / Double(full.read), "a process", .atMost(2.05))
report.add("engine, tiered, one in twenty moves", tieredCost, scale: 1e6, "µs a process and second")
report.add("  against the floor", medianRatio(tieredCost, floor), "×", .atMost(0.32))
report.add(
    "  system calls", Double(tiered.systemCalls) / Double(tiered.rounds * tiered.sampler.count),
    "a process and second", .atMost(0.55))
report.add(
    "  readings", Double(tiered.read) / Double(tiered.rounds * tiered.sampler.count), "a process and second",
    .atLeast(0.14))
report.add("  descriptors kept", Double(tiered.sampler.cachedDescriptors), "", .atMost(1024))
floor_close(samples, floorCount)
herd.end()
report.finish()
