// What the probe costs a service under load: a Hummingbird service (Tests/Samples/Checkout) and wrk, measured in two ways.
//
// CPU a request: within one process, its probe's thread held and let go in turn (Windows.swift). What the thread itself used
// is told beside it: free of all noise, but without the pings, which the service's own threads run.
//
// Latency: two servers of the same program, NIGHTJAR_PROBE=off making the one without, take the load in turn for a few
// seconds each, and are started afresh every few pairs.
//
//     --service PATH   the server, built by packaging/bench.sh
//     --windows N      pairs of windows (500, four minutes); 0 = none
//     --pairs N        pairs of runs (24); 0 = none
//     --seconds N      length of a run (3)
//
// CPU time is the scheduler's, of all threads of the process, in nanoseconds.

import BenchmarkKit
import Glibc

let windowPairs = Arguments.value(of: "--windows").flatMap { Int($0) } ?? (Arguments.isQuick ? 40 : 500)
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

var windows = Windows()
if windowPairs > 0 { windows.measure(program, pairs: windowPairs) }

let report = Report("the probe in a Hummingbird service under wrk")

@MainActor func add(_ name: String, _ ratios: Series, _ threshold: Report.Threshold? = nil) {
    report.add("\(name), median of \(ratios.values.count)", ratios.median, "×", threshold)
    report.add("  95 of 100: from", interval(ratios).low, "×")
    report.add("  95 of 100: to", interval(ratios).high, "×")
}

if windowPairs > 0 {
    add("CPU a request, probe running / held", windows.ratios, .atMost(1.005))
    report.add("the probe's thread, of all CPU", windows.shares, scale: 100, "%")
}
if pairs > 0 {
    report.add("CPU a request, without the probe", costs, scale: 1e6, "µs")
    add("CPU a request, with / without", cpuRatios)
    report.add("the probe's thread, of all CPU, in these", watchdog, scale: 100, "%")
    add("p99, with / without", p99Ratios, .atMost(1.03))
}
report.finish()
