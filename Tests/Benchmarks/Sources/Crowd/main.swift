// Does a huge host make a round late? As many idle processes as the kernel gives us pids for (`--processes`, 25,000
// by default), the engine with its default limits, and a clock that goes by a second a round: no round may take longer
// than its limit, everybody is found and read again and again, and memory stays small.

import BenchmarkKit
import Glibc
import NightjarModel
import NightjarSources

let processes = Arguments.value(of: "--processes").flatMap { Int($0) } ?? (Arguments.isQuick ? 3000 : 25_000)

let herd = Herd(processes)
let limits = ProcessLimits()
let before = procField("RssAnon") ?? .nan
let sampler = try ProcessSampler(limits: limits)
var now = Moment(seconds: 1_700_000_000)
var durations = Series()
var overran = 0
var foundAll = 0
for second in 1...60 {
    now = now + .seconds(1)
    let summary = sampler.round(at: now) { _, _, _ in }
    durations.append(summary.duration.inSeconds)
    if summary.overran { overran += 1 }
    if foundAll == 0, summary.tracked >= processes { foundAll = second }
}
let after = procField("RssAnon") ?? .nan
let oldest =
    (0..<sampler.slotCapacity).compactMap { sampler.latest($0)?.time }.map { (now - $0).inSeconds }.max() ?? .nan

let report = Report("Crowd: \(sampler.count) processes")
report.add("found after", Double(foundAll), "rounds", .atLeast(1))
report.add("longest round against its limit", durations.most / limits.roundTime.inSeconds, "×", .atMost(2))
report.add("a round (median)", durations.median * 1000, "ms")
report.add("rounds that met their limit", Double(overran), "of 60")
report.add("oldest reading of anybody", oldest, "s", .atMost(30))
report.add("descriptors kept", Double(sampler.cachedDescriptors), "", .atMost(1024))
report.add("memory a process", (after - before) * 1024 / Double(sampler.count), "bytes", .atMost(320))
herd.end()
report.finish()
