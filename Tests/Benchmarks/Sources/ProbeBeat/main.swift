// What the probe costs the service that it lives in: one beat beside the clock reading that it cannot do without, and a
// process with eight event loops at rest beside a thread that only sleeps as often as the watchdog does. Loops at rest must
// not be woken at all.

import BenchmarkKit
import Glibc
import NIOCore
import NIOPosix
import NightjarProbe
import NightjarProbeNIO
import Synchronization

let report = Report("probe: a beat, and loops at rest")
let isQuick = Arguments.isQuick
let beats = isQuick ? 200_000 : 2_000_000

var settings = ProbeSettings()
settings.socket = ""
settings.watchesMain = false
settings.watchesPool = false
let probe = Probe.start(service: "benchmark", settings: settings)

/// The job that the probe leaves on a loop, caught by a loop that never runs it: running it is a beat.
let caught = Mutex<(@Sendable () -> Void)?>(nil)
probe.watch(name: "caught") { job in caught.withLock { $0 = job } }
while caught.withLock({ $0 == nil }) { usleep(1000) }
let beat = caught.withLock { $0! }

@inline(never) func readClock() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
}

let sink = Atomic<UInt64>(0)
let costs = interleaved(
    rounds: isQuick ? 5 : 15,
    [
        { for _ in 0..<beats { beat() } },
        {
            var sum: UInt64 = 0
            for _ in 0..<beats { sum &+= readClock() }
            sink.store(sum, ordering: .relaxed)
        },
    ])
report.add("one beat", costs[0], scale: 1e9 / Double(beats), "ns")
report.add("one clock reading", costs[1], scale: 1e9 / Double(beats), "ns")
report.add("beat / clock reading", medianRatio(costs[0], costs[1]), "×", .atMost(1.5))

/// CPU of the whole process over a span, in ms a second.
func atRest(_ seconds: Double) -> Double {
    let before = processCPUSeconds()
    pause(seconds: seconds)
    return (processCPUSeconds() - before) * 1000 / seconds
}

// The floor: a thread that wakes fifty times a second and reads a clock.
let span = isQuick ? 3.0 : 10.0
probe.stop()
usleep(200_000)
let nobody = atRest(span)
let floor = Sleeper()
let sleeper = atRest(span) - nobody
floor.stop()

/// How often the threads of event loops went to sleep so far: a loop that sleeps through a span was not woken in it.
func loopsWoken() -> Double {
    guard let folder = opendir("/proc/self/task") else { return .nan }
    defer { closedir(folder) }
    var sum = 0.0
    while let entry = readdir(folder) {
        let tid = withUnsafeBytes(of: entry.pointee.d_name) { raw in
            String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
        }
        guard let id = Int32(tid), loopThreads.contains(id) else { continue }
        sum += procField("voluntary_ctxt_switches", "/proc/self/task/\(tid)/status") ?? 0
    }
    return sum
}

/// The kernel's number of the calling thread.
func threadID() -> Int32 {
    var buffer = [CChar](repeating: 0, count: 64)
    guard readlink("/proc/thread-self", &buffer, buffer.count - 1) > 0 else { return 0 }
    let path = String(decoding: buffer.map { UInt8(bitPattern: $0) }.prefix { $0 != 0 }, as: UTF8.self)
    return path.split(separator: "/").last.flatMap { Int32($0) } ?? 0
}

let group = MultiThreadedEventLoopGroup(numberOfThreads: 8)
let loopThreads = Set(try group.makeIterator().map { loop in try loop.submit { threadID() }.wait() })

/// CPU and wake-ups of the whole process with its eight loops at rest, watched with these settings.
func watched(_ settings: ProbeSettings) -> (cpu: Double, woken: Double) {
    let probe = Probe.start(service: "benchmark", settings: settings)
    defer {
        probe.stop()
        usleep(200_000)
    }
    probe.watch(group)
    // Every loop answers once before it is known to be one.
    usleep(500_000)
    let before = loopsWoken()
    let cpu = atRest(span)
    return (cpu, loopsWoken() - before)
}

let alone = watched(settings)
var everything = settings
everything.watchesMain = true
everything.watchesPool = true
let whole = watched(everything)
report.add("8 loops at rest, watched", alone.cpu, "ms/s")
report.add("the same, with main queue and pool", whole.cpu, "ms/s")
report.add("this process without a probe", nobody, "ms/s")
report.add("a thread that sleeps 20 ms at a time", sleeper, "ms/s")
report.add("watched / sleeping thread", (alone.cpu - nobody) / max(sleeper, 0.05), "×", .atMost(6))
report.add("loops woken while they rested", alone.woken + whole.woken, "", .atMost(0))
report.finish()
