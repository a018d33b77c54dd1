// What does it cost to decide? A thousand processes, an hour of samples a second apart, through all detectors of a
// process at once; one process in twenty moves, as on a real host, and then all of them.
//
//     floor    one reading of the clock (clock_gettime, no system call): what any timer costs that asks the time
//     step     one detector's share of one sample, making it included   ≤ 2 × the floor (50 ns where the floor is 25)

import BenchmarkKit
import Glibc
import NightjarDetectors
import NightjarModel

let processes = 1000
let seconds = Arguments.isQuick ? 1800 : 3600
let rounds = Arguments.isQuick ? 2 : 5
let steps = Double(processes * seconds * ProcessDetector.allCases.count)

func identity(_ index: Int) -> ProcessIdentity {
    ProcessIdentity(
        key: ProcessKey(pid: Int32(index + 1), startTime: 1), name: "service", unit: "service-\(index).service",
        startedAt: Moment(nanoseconds: 0))
}
let contexts = (0..<processes).map { ProcessContext(identity: identity($0)) }

/// All processes of a host through their detectors. `moving`: one process in so many changes at every sample.
final class Host {
    private var detectors = [ProcessDetectors](repeating: ProcessDetectors(), count: processes)
    private var time: Int64 = 0
    private let moving: Int
    private(set) var told = 0

    init(moving: Int) { self.moving = moving }

    func hour() {
        for _ in 0..<seconds {
            time += 1_000_000_000
            for index in 0..<processes { step(index) }
        }
    }

    private func step(_ index: Int) {
        let isMoving = index % moving == 0
        // Saw teeth of every length, so that nothing is a leak and nothing is at rest.
        let wave = isMoving ? (Int(time / 1_000_000_000) &* (index % 7 + 1)) % 300 : 0
        let sample = ProcessSample(
            key: contexts[index].identity.key, time: Moment(nanoseconds: time), rss: .mebi(Int64(200 + wave)),
            anonymous: .mebi(Int64(100 + wave)), cpuTime: .nanoseconds(time / 8), threads: 12 + wave / 10,
            descriptors: 40 + wave, descriptorLimit: 1024)
        detectors[index].observe(sample, in: contexts[index]) { _, _ in told += 1 }
    }

    /// State of all that has any, as it would be saved.
    func savedBytes() -> Double {
        var bytes: [UInt8] = []
        for detector in detectors { detector.encode(into: &bytes) }
        return Double(bytes.count) / Double(processes)
    }
}

func readClock() {
    var time = timespec()
    var sum = 0
    for _ in 0..<Int(steps / 10) {
        clock_gettime(CLOCK_MONOTONIC, &time)
        sum &+= time.tv_nsec
    }
    if sum == 42 { print("") }
}

/// Anonymous memory of this process, from statm: resident less shared pages.
func anonymousBytes() -> Double {
    var buffer = [CChar](repeating: 0, count: 256)
    let file = open("/proc/self/statm", O_RDONLY)
    defer { close(file) }
    _ = read(file, &buffer, buffer.count - 1)
    let fields = String(decoding: buffer.map { UInt8(bitPattern: $0) }, as: UTF8.self).split(separator: " ")
    return (Double(fields[1])! - Double(fields[2])!) * Double(sysconf(Int32(_SC_PAGESIZE)))
}

let idle = Host(moving: 20)
let busy = Host(moving: 1)
let made = anonymousBytes()
let series = interleaved(rounds: rounds, [{ readClock() }, { idle.hour() }, { busy.hour() }])
let after = anonymousBytes()

let floor = Series(series[0].values.map { $0 / (steps / 10) })
let quietStep = Series(series[1].values.map { $0 / steps })
let busyStep = Series(series[2].values.map { $0 / steps })

let report = Report("DetectorSteps: \(processes) processes, \(seconds) s of samples, all detectors of a process")
report.add("floor, one reading of the clock", floor, scale: 1e9, "ns")
report.add("step, one process in twenty moves", quietStep, scale: 1e9, "ns")
report.add("  against the floor", medianRatio(quietStep, floor), "×", .atMost(2))
report.add("step, every process moves", busyStep, scale: 1e9, "ns")
report.add("  against the floor", medianRatio(busyStep, floor), "×", .atMost(2))
report.add("state inline", Double(MemoryLayout<ProcessDetectors>.stride), "bytes a process", .atMost(640))
report.add("state on the heap, both hosts", (after - made) / Double(2 * processes), "bytes a process", .atMost(1100))
report.add("state as saved, every process moves", busy.savedBytes(), "bytes a process", .atMost(1500))
if idle.told + busy.told > 0 { print("told of \(idle.told + busy.told) findings where there is nothing to find") }
report.finish()
