// What do a census and a leak search cost, in time, in memory of our own, and to the process that is looked at? The real
// nightjar-inspect on heaps of 100 MB, 1 GB and 4 GB over eight arenas, beside two floors: process_vm_readv over the same
// heap and nothing else, and fork(2) of a process of that size. Ratios hold on any machine; GB a second are for a quiet one.
//
//     --inspect PATH    the inspector to weigh; packaging/bench.sh gives the one that is shipped
//     --size MB         one size alone

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
func longestGap(_ target: Child, _ work: () -> Void) -> Double {
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
let only = Arguments.value(of: "--size").flatMap { Int($0) }
let sizes = only.map { [$0] } ?? (Arguments.isQuick ? [100] : [100, 1000, 4000])
let rounds = Arguments.isQuick ? 3 : 5
let report = Report("HeapCensus: \(inspector)")
let bare = (0..<3).map { _ in Run(["--help"]).resident }.max()!

/// One way of looking at the target, some rounds of it.
struct Look {
    var cpu = Series()
    var wall = Series()
    var pause = Series()
    var resident = 0.0
    var gap = 0.0
    var bytes = 0.0

    init(_ target: Child, _ words: [String], expects: String = "heap_bytes") {
        for _ in 0..<rounds {
            var run = Run?.none
            let gap = longestGap(target) { run = Run([words[0], "\(target.pid)"] + words.dropFirst()) }
            guard let run, run.text.contains(expects) else { preconditionFailure("no answer to \(words)") }
            cpu.append(run.cpu)
            wall.append(run.wall)
            pause.append(run.number("paused_ms"))
            bytes = run.number("heap_bytes")
            resident = max(resident, run.resident)
            self.gap = max(self.gap, gap)
        }
    }
}

for megabytes in sizes {
    let target = Child(["\(folder)/heapfill", "\(megabytes)", "8", "20000"])
    defer { kill(target.pid, SIGKILL) }
    while case let piece = target.read(), !piece.contains("ready") { precondition(!piece.isEmpty, "heapfill ended") }
    let name = "\(megabytes) MB"
    let quiet = (0..<rounds).map { _ in longestGap(target) { pause(seconds: 1) } }.max()!
    var (reading, forking) = (Series(), Series())
    for _ in 0..<rounds {
        let cpu = processCPUSeconds()
        let bytes = floor_read_heap(target.pid, 1)
        reading.append(processCPUSeconds() - cpu)
        forking.append(floor_fork(UInt64(bytes)) * 1000)
    }
    let census = Look(target, ["heap"])
    let copied = Look(target, ["leaks", "--snapshot", "fork"], expects: "heapfill.Ring")
    let held = Look(target, ["leaks", "--snapshot", "stop", "--pause-limit", "60"], expects: "heapfill.Ring")
    let exact = Look(target, ["heap", "--exact", "--snapshot", "fork"])
    let gigabytes = census.bytes / 1e9
    report.add("\(name): floor, reading alone", gigabytes / reading.median, "GB a CPU second")
    report.add("\(name): census", gigabytes / census.cpu.median, "GB a CPU second")
    report.add("\(name): leak search, from a copy", copied.wall.median / gigabytes, "s a GB")
    report.add("\(name): leak search, from a copy", copied.cpu.median / gigabytes, "CPU s a GB")
    report.add("\(name): floor of the pause, fork(2)", forking.median / gigabytes, "ms a GB")
    report.add("\(name): pause of a leak search, copy", copied.pause.median / gigabytes, "ms a GB")
    report.add("\(name): pause of an exact census, copy", exact.pause.median / gigabytes, "ms a GB")
    report.add("\(name): pause of a leak search, stop", held.pause.median / gigabytes, "ms a GB")
    // A small heap is over before the inspector has started.
    if megabytes >= 1000 {
        report.add("\(name): census / floor", medianRatio(census.cpu, reading), "×", .atMost(4))
        report.add("\(name): leak search / floor", medianRatio(copied.cpu, reading), "×", .atMost(16))
        report.add("\(name): pause, copy / its floor", medianRatio(copied.pause, forking), "×", .atMost(3))
        report.add("\(name): census, own memory / heap", census.resident / census.bytes * 100, "%", .atMost(10))
        report.add("\(name): leak search, own memory / heap", copied.resident / census.bytes * 100, "%", .atMost(10))
    }
    for (what, look) in [("census", census), ("leak search", copied)] {
        report.add("\(name): \(what), resident", look.resident / 1e6, "MB")
        report.add("\(name): \(what), of it the program itself (--help)", bare / 1e6, "MB")
        report.add(
            "\(name): \(what), memory for its work / heap", (look.resident - bare) / census.bytes * 100, "%",
            .atMost(10))
    }
    report.add("\(name): target's longest gap, undisturbed", quiet, "ms")
    report.add("\(name): target's longest gap, census", census.gap, "ms")
    report.add("\(name): target's longest gap, leak search, copy", copied.gap, "ms")
    report.add("\(name): target's longest gap, leak search, stop", held.gap, "ms")
    report.add("\(name): target's longest gap, exact census, copy", exact.gap, "ms")
}
report.finish()
