// What one reading of one process costs HeapGrowth, and what a process weighs in it. The floor is what any detector of
// memory must do at least: keep the lowest and highest reading of each process.

import BenchmarkKit
import NightjarDetectors
import NightjarModel

let processes = Arguments.isQuick ? 1000 : 4000
let day = 86_400.0
let interval = 10.0

/// A process that leaks a little, with noise: no bucket is like the one before, so nothing is saved by repetition.
func level(_ process: Int, _ round: Int) -> Bytes {
    let noise = (process &* 7919 &+ round &* 104_729) % 997
    return Bytes(Int64(200_000_000 + process * 1000 + round * 300 + noise * 4096))
}

struct Floor {
    var low = Int64.max
    var high = Int64.min
}

/// Anonymous memory of this process, what the allocator keeps in reserve included.
func allocated() -> Double { (procField("RssAnon") ?? .nan) * 1024 }

let settings = HeapGrowth.Settings()
var growths: [HeapGrowth] = []
let before = allocated()
growths.reserveCapacity(processes)
for _ in 0..<processes { growths.append(HeapGrowth()) }
let rounds = Int(3 * day / interval)

// Three days of history, coarsely, so that every ring is full and every test is run; one process after the other, as
// they begin in life.
for process in growths.indices {
    for round in stride(from: 0, to: rounds, by: 30) {
        let time = Moment(seconds: Double(round) * interval)
        growths[process].step(HeapSample(time: time, live: level(process, round)), settings)
    }
}
let perProcess = (allocated() - before) / Double(processes)

var floors = Array(repeating: Floor(), count: processes)
var steps = Series()
var least = Series()
for repeat_ in 0..<(Arguments.isQuick ? 5 : 15) {
    let first = rounds + repeat_ * 60
    let begin = threadCPUSeconds()
    for round in first..<first + 60 {
        let time = Moment(seconds: Double(round) * interval)
        for process in growths.indices {
            growths[process].step(HeapSample(time: time, live: level(process, round)), settings)
        }
    }
    let middle = threadCPUSeconds()
    for round in first..<first + 60 {
        for process in floors.indices {
            let value = level(process, round).count
            floors[process].low = min(floors[process].low, value)
            floors[process].high = max(floors[process].high, value)
        }
    }
    let end = threadCPUSeconds()
    steps.append((middle - begin) / Double(60 * processes) * 1e9)
    least.append((end - middle) / Double(60 * processes) * 1e9)
}

// Idle processes: one level, three days.
let beforeIdle = allocated()
var idle = Array(repeating: HeapGrowth(), count: processes)
for round in stride(from: 0, to: rounds, by: 30) {
    for process in idle.indices {
        idle[process].step(
            HeapSample(time: Moment(seconds: Double(round) * interval), live: .mebi(Int64(8 + process % 7))), settings)
    }
}
let perIdle = (allocated() - beforeIdle) / Double(processes)

let report = Report("GrowthCost")
report.add("floor: lowest and highest of a process", least.median, "ns")
report.add("one step, evaluation of closed buckets included", steps.median, "ns", .atMost(50))
report.add("  beside the floor", medianRatio(steps, least), "×")
report.add("a process with three days of changing memory", perProcess, "bytes", .atMost(1126))
report.add("an idle process after three days", perIdle, "bytes", .atMost(80))
report.add("(kept from being optimised away)", Double(floors[0].high & 1) + Double(growths[0].stage.rawValue), "")
report.finish()
