// What do a census and a leak search cost, in time, in memory of our own, and to the process that is looked at? The real
// nightjar-inspect on heaps of 100 MB, 1 GB and 4 GB over eight arenas, beside the floor: process_vm_readv over the same
// heap and nothing else, on one thread and on two. Ratios hold on any machine; GB a second are for a quiet one.
//
//     --inspect PATH    the inspector to weigh; packaging/bench.sh gives the one that is shipped

import BenchmarkKit
import CFloor
import Glibc

let inspector: String = Arguments.value(of: "--inspect") ?? ""
if access(inspector, X_OK) != 0 {
    print("HeapCensus: which inspector? --inspect PATH; packaging/bench.sh gives it the one that it builds")
    exit(3)
}

/// A child with its standard output as a pipe.
struct Child {
    let pid: pid_t
    let output: Int32

    init(_ words: [String]) {
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { word in strdup(word) }
        arguments.append(nil)
        defer { for argument in arguments { free(argument) } }
        var ends: [Int32] = [0, 0]
        precondition(pipe(&ends) == 0, "cannot make a pipe")
        _ = fcntl(ends[0], F_SETFD, FD_CLOEXEC)
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
        posix_spawn_file_actions_addclose(&actions, ends[1])
        defer { posix_spawn_file_actions_destroy(&actions) }
        var child: pid_t = 0
        let failed = posix_spawn(&child, arguments[0]!, &actions, nil, arguments, environ)
        precondition(failed == 0, "cannot start \(words[0]): \(failed)")
        close(ends[1])
        (pid, output) = (child, ends[0])
    }

    /// The next piece of its output; empty at the end.
    func read() -> String {
        var piece = [UInt8](repeating: 0, count: 1 << 16)
        let got = Glibc.read(output, &piece, piece.count)
        return String(decoding: piece.prefix(max(0, got)), as: UTF8.self)
    }
}

/// What one run of the inspector was.
struct Run {
    var text = ""
    var cpu = 0.0
    var wall = 0.0
    var resident = 0.0

    init(_ words: [String]) {
        let began = wallSeconds()
        let child = Child([inspector] + words + ["--format", "json"])
        while case let piece = child.read(), !piece.isEmpty { text += piece }
        var usage = rusage()
        var status: Int32 = 0
        wait4(child.pid, &status, 0, &usage)
        close(child.output)
        wall = wallSeconds() - began
        for time in [usage.ru_utime, usage.ru_stime] { cpu += Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
        resident = Double(usage.ru_maxrss) * 1024
    }

    /// A number of the answer.
    func number(_ key: String) -> Double {
        guard let place = text.firstRange(of: "\"\(key)\":") else { return .nan }
        return Double(text[place.upperBound...].prefix { $0.isNumber || $0 == "." }) ?? .nan
    }
}

/// The longest gap between two beats of the target, in ms, while `work` runs.
func gap(_ target: Child, _ work: () -> Void) -> Double {
    _ = fcntl(target.output, F_SETFL, O_NONBLOCK)
    while !target.read().isEmpty {}
    work()
    usleep(200_000)
    var text = ""
    while case let piece = target.read(), !piece.isEmpty { text += piece }
    return (text.split(separator: "\n").compactMap { Double($0.dropFirst(4)) }.max() ?? 0) / 1000
}

let own = CommandLine.arguments[0]
let folder = own.lastIndex(of: "/").map { String(own[..<$0]) } ?? "."
let sizes = Arguments.isQuick ? [100] : [100, 1000, 4000]
let report = Report("HeapCensus: \(inspector)")
for megabytes in sizes {
    let target = Child(["\(folder)/heapfill", "\(megabytes)", "8", "20000"])
    defer { kill(target.pid, SIGKILL) }
    while case let piece = target.read(), !piece.contains("ready") { precondition(!piece.isEmpty, "heapfill ended") }
    let name = "\(megabytes) MB"
    let quiet = gap(target) { pause(seconds: 1) }
    var (bytes, floor, floorOfTwo) = (0.0, Series(), Series())
    var (census, leaks, pauses) = (Series(), Series(), Series())
    var (censusGap, leakGap, censusMemory, leakMemory) = (0.0, 0.0, 0.0, 0.0)
    for _ in 0..<(Arguments.isQuick ? 3 : 5) {
        for threads: Int32 in [1, 2] {
            let began = wallSeconds()
            let cpu = processCPUSeconds()
            _ = floor_read_heap(target.pid, threads)
            if threads == 1 {
                floor.append(processCPUSeconds() - cpu)
            } else {
                floorOfTwo.append(wallSeconds() - began)
            }
        }
        censusGap = max(
            censusGap,
            gap(target) {
                let run = Run(["heap", "\(target.pid)"])
                census.append(run.cpu)
                bytes = run.number("heap_bytes")
                censusMemory = max(censusMemory, run.resident)
            })
        leakGap = max(
            leakGap,
            gap(target) {
                let run = Run(["leaks", "\(target.pid)"])
                leaks.append(run.cpu)
                pauses.append(run.number("paused_ms") / 1000)
                leakMemory = max(leakMemory, run.resident)
                precondition(run.text.contains("heapfill.Ring"), "the planted cycles were not found: \(run.text)")
            })
    }
    let gigabytes = bytes / 1e9
    report.add("\(name): floor, reading alone", gigabytes / floor.median, "GB a CPU second")
    report.add("\(name): census", gigabytes / census.median, "GB a CPU second")
    report.add("\(name): leak search", gigabytes / leaks.median, "GB a CPU second")
    report.add("\(name): pause of a leak search", pauses.median * 1000 / gigabytes, "ms a GB")
    report.add("\(name): floor of the pause, two threads reading", floorOfTwo.median * 1000 / gigabytes, "ms a GB")
    // A small heap is over before the inspector has started.
    if megabytes >= 1000 {
        report.add("\(name): census / floor", medianRatio(census, floor), "×", .atMost(4))
        report.add("\(name): leak search / floor", medianRatio(leaks, floor), "×", .atMost(16))
        report.add("\(name): pause / its floor", medianRatio(pauses, floorOfTwo), "×", .atMost(4))
        report.add("\(name): census, own memory / heap", censusMemory / bytes * 100, "%", .atMost(10))
        report.add("\(name): leak search, own memory / heap", leakMemory / bytes * 100, "%", .atMost(10))
    } else {
        report.add("\(name): census, own memory", censusMemory / 1e6, "MB")
        report.add("\(name): leak search, own memory", leakMemory / 1e6, "MB")
    }
    report.add("\(name): target's longest gap, undisturbed", quiet, "ms")
    report.add("\(name): target's longest gap, census", censusGap, "ms")
    report.add("\(name): target's longest gap, leak search", leakGap, "ms")
}
report.finish()
