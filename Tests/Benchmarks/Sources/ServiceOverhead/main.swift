// What the probe costs a service under load: a Hummingbird service (Tests/Samples/Checkout) and wrk, with the probe and
// without. Both servers are the same program; NIGHTJAR_PROBE=off makes the one without. They take the load in turn, for a
// few seconds each, many times, so that whatever else the machine does meets both alike; and both are started afresh every
// few pairs, because two processes of one program differ by a per cent of their own.
//
//     --service PATH   the server, built by packaging/bench.sh
//     --pairs N        pairs of runs (24); --seconds N  length of a run (3)
//
// CPU time is the scheduler's, of all threads of the process, in nanoseconds. What the probe's own thread used is told
// beside it: most of the cost, and free of the noise of two processes.

import BenchmarkKit
import Glibc

let pairs = Arguments.value(of: "--pairs").flatMap { Int($0) } ?? (Arguments.isQuick ? 6 : 24)
let seconds = Arguments.value(of: "--seconds").flatMap { Int($0) } ?? (Arguments.isQuick ? 2 : 3)
let pairsOfOneStart = 4

guard let program = Arguments.value(of: "--service"), access(program, X_OK) == 0 else {
    print("ServiceOverhead: which service? --service PATH; packaging/bench.sh gives it the one that it builds")
    exit(3)
}
guard run(["wrk", "-v"]).text.contains("wrk") else {
    print("ServiceOverhead: wrk is not installed (apt-get install wrk)")
    exit(3)
}

/// One run's figures.
struct Run {
    var cpuPerRequest: Double
    var p99: Double
    /// CPU of the probe's thread, as a share of the whole process's.
    var watchdogShare: Double
}

/// Loads a server for a while.
func load(_ server: Server) -> Run {
    let before = (server.cpuSeconds, server.watchdogSeconds)
    let answer = run([
        "wrk", "-t1", "-c16", "-d\(seconds)s", "--latency", "http://127.0.0.1:\(server.port)/orders",
    ]).text
    let cpu = server.cpuSeconds - before.0
    guard let requests = number(before: " requests in", in: answer), requests > 0,
        let p99 = latency(behind: "99%", in: answer)
    else {
        print("ServiceOverhead: wrk said nothing of use:\n\(answer)")
        exit(3)
    }
    return Run(
        cpuPerRequest: cpu / requests, p99: p99, watchdogShare: (server.watchdogSeconds - before.1) / cpu)
}

var cpuRatios = Series()
var p99Ratios = Series()
var costs = Series()
var watchdog = Series()
var pair = 0
while pair < pairs {
    let with = Server(program, port: 18090, isProbed: true)
    let without = Server(program, port: 18091, isProbed: false)
    for server in [with, without] { _ = load(server) }
    for _ in 0..<min(pairsOfOneStart, pairs - pair) {
        // Whoever is second finds a warmer machine, so they take turns in that, too.
        let isFirst = pair % 2 == 0
        let first = load(isFirst ? with : without)
        let second = load(isFirst ? without : with)
        let (on, off) = isFirst ? (first, second) : (second, first)
        cpuRatios.append(on.cpuPerRequest / off.cpuPerRequest)
        p99Ratios.append(on.p99 / off.p99)
        costs.append(off.cpuPerRequest)
        watchdog.append(on.watchdogShare)
        pair += 1
    }
    with.stop()
    without.stop()
}

/// The middle of a series and the span that holds the true middle in 95 of 100 such measurements, by rank.
func interval(_ series: Series) -> (low: Double, high: Double) {
    let sorted = series.values.sorted()
    let half = 0.98 * Double(sorted.count).squareRoot()
    let middle = Double(sorted.count) / 2
    let low = max(0, Int((middle - half).rounded(.down)))
    let high = min(sorted.count - 1, Int((middle + half).rounded(.up)))
    return (sorted[low], sorted[high])
}

let report = Report("the probe in a Hummingbird service under wrk, \(pairs) pairs of \(seconds) s")
report.add("CPU a request, without the probe", costs, scale: 1e6, "µs")
report.add("CPU a request, with / without, median", cpuRatios.median, "×", .atMost(1.005))
report.add("  95 of 100: from", interval(cpuRatios).low, "×")
report.add("  95 of 100: to", interval(cpuRatios).high, "×")
report.add("the probe's thread, of all CPU", watchdog, scale: 100, "%")
report.add("p99, with / without, median", p99Ratios.median, "×", .atMost(1.03))
report.add("  95 of 100: from", interval(p99Ratios).low, "×")
report.add("  95 of 100: to", interval(p99Ratios).high, "×")
report.finish()
