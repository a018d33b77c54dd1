// Does the engine stay flat while processes come and go? Five hundred forks a second, a round a second; `--seconds 600`
// is the whole run, half a minute the short form. Compared are the state after a first part and the state at the end.

import BenchmarkKit
import Glibc
import NightjarModel
import NightjarSources

let seconds = Arguments.value(of: "--seconds").flatMap { Int($0) } ?? (Arguments.isQuick ? 20 : 600)
let warmUp = max(8, seconds / 5)

struct Weight {
    var anonymous = 0.0
    var descriptors = 0.0
    var threads = 0.0

    /// Our own; without the descriptors that the engine keeps on purpose, which have a limit of their own.
    static func now(besides kept: Int) -> Weight {
        Weight(
            anonymous: procField("RssAnon") ?? .nan, descriptors: Double(procEntries("/proc/self/fd") - kept),
            threads: procField("Threads") ?? .nan)
    }
}

/// All forks of this host since it was booted.
func forks() -> Double { procField("processes", "/proc/stat") ?? .nan }

let herd = Herd(100, forksPerSecond: 500)
let forksBefore = forks()
let sampler = try ProcessSampler()
var now = Moment(seconds: 1_700_000_000)
var born = 0
var late = 0
var early = Weight()
let started = threadCPUSeconds()
for second in 0..<seconds {
    let begin = wallSeconds()
    now = now + .seconds(1)
    let summary = sampler.round(at: now) { _, slot, isNew in
        if isNew { _ = sampler.identity(slot) }
    }
    born += summary.births
    if summary.overran { late += 1 }
    if second == warmUp { early = .now(besides: sampler.cachedDescriptors) }
    pause(seconds: max(0, begin + 1 - wallSeconds()))
}
let spent = threadCPUSeconds() - started
let forked = (forks() - forksBefore) / Double(seconds)
let end = Weight.now(besides: sampler.cachedDescriptors)
herd.end()

let report = Report("ForkStorm: 500 forks a second for \(seconds) s")
report.add("forks on this host", forked, "a second", .atLeast(300))
report.add("anonymous memory after \(warmUp) s", early.anonymous, "KiB")
report.add("  growth since", end.anonymous - early.anonymous, "KiB", .atMost(256))
report.add("descriptors beside the kept ones, growth", end.descriptors - early.descriptors, "", .atMost(0))
report.add("descriptors kept", Double(sampler.cachedDescriptors), "", .atMost(1024))
report.add("threads", end.threads, "", .atMost(2))
report.add("slots ever used", Double(sampler.slotCapacity), "", .atMost(Double(sampler.count + 200)))
report.add("rounds that met their time limit", Double(late), "")
report.add("births seen", Double(born), "")
report.add("CPU", spent / Double(seconds) * 1000, "ms a second")
report.finish()
