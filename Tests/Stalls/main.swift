// Plants stalls on a loop of this process and tells what the probe made of them:
//
//     nightjar-stalls LOOP REPETITIONS [CAUSE…] [SECONDS]      LOOP: runloop, dispatch-main, queue, nio, main-actor; the
//                                                    shortest stall lasts 0.06 s where nothing is said
//     nightjar-stalls deadlock LOOP                  one that never ends
//     nightjar-stalls pool                           every thread of the cooperative pool taken
//     nightjar-stalls short LOOP REPETITIONS         stalls of 50 ms, with a threshold of 30 ms
//     nightjar-stalls stuck                          every thread taken; how soon are all stacks with an agent?
//     nightjar-stalls lives                          agents killed and hostile, a service killed while it hangs
//     nightjar-stalls race                           a race on purpose: does the thread sanitizer see one?
//     nightjar-stalls quiet LOOP SECONDS [busy]      nothing is planted: every report is a false one; busy = short jobs
//
// One line an injection, tab separated; Tests/Stalls/run.sh adds them up.

import Dispatch
import Foundation
import NIOCore
import NIOPosix
import NightjarProbe
import NightjarProbeNIO
import NightjarSymbols
import NightjarWire

let words = Array(CommandLine.arguments.dropFirst())
let loops = ["runloop", "dispatch-main", "queue", "nio", "main-actor"]

func usage() -> Never {
    FileHandle.standardError.write(
        Data(
            "usage: nightjar-stalls LOOP REPETITIONS [CAUSE…] [SECONDS] | deadlock LOOP | short LOOP REPETITIONS | pool | stuck | lives | quiet LOOP SECONDS [busy]\n"
                .utf8
        ))
    exit(2)
}

let judge = Judge()
var settings = ProbeSettings()
settings.reportsPerMinute = 100_000
if !["stuck-child", "lives-child"].contains(words.first) { settings.socket = "" }
if words.first == "short" { settings.stallThreshold = .milliseconds(30) }
settings.observe = { judge.hear($0) }
settings.report = { _ in }
if words.first == "stuck" { exit(Stuck.measure()) }
if words.first == "lives" { exit(Lives.measure()) }
if words.first == "race" { Planted.race() }
let probe = Probe.start(service: "stalls", settings: settings)

/// A loop to plant stalls on.
struct Stage: Sendable {
    /// The name under which the probe watches it.
    var name: String
    var execute: @Sendable (@escaping @Sendable () -> Void) -> Void

    static func named(_ loop: String, _ probe: Probe) -> Stage? {
        switch loop {
        case "runloop", "dispatch-main":
            return Stage(name: "main queue") { job in DispatchQueue.main.async(execute: job) }
        case "main-actor":
            return Stage(name: "main queue") { job in Task { @MainActor in job() } }
        case "queue":
            let queue = DispatchQueue(label: "planted queue")
            probe.watch(queue)
            return Stage(name: "planted queue") { job in queue.async(execute: job) }
        case "nio":
            let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
            probe.watch(group, name: "loop")
            let loop = group.next()
            let index = group.makeIterator().enumerated().first { $0.element === loop }?.offset ?? 0
            return Stage(name: "loop \(index)") { job in loop.execute(job) }
        default: return nil
        }
    }
}

/// Runs the whole plan on a thread of its own, while main serves its loop.
func plan(_ body: @escaping @Sendable () -> Void) {
    Helper.run {
        usleep(500_000)
        body()
        fflush(nil)
        exit(0)
    }
}

@Sendable func waitedSoFar() -> UInt64 {
    guard let text = try? String(contentsOfFile: "/proc/thread-self/schedstat", encoding: .utf8) else { return 0 }
    return text.split(separator: " ").dropFirst().first.flatMap { UInt64($0) } ?? 0
}

/// Plants one stall and waits until it is over.
@inline(never) @Sendable func inject(_ cause: Cause, on stage: Stage, loop: String, seconds: Double) -> Injection {
    let done = DispatchSemaphore(value: 0)
    let result = Box(Injection(loop: loop, cause: cause.name))
    stage.execute {
        let waited = waitedSoFar()
        let began = DispatchTime.now().uptimeNanoseconds
        cause.run(seconds)
        let ended = DispatchTime.now().uptimeNanoseconds
        result.value.began = began
        result.value.ended = ended
        result.value.waited = waitedSoFar() - waited
        done.signal()
    }
    done.wait()
    return result.value
}

final class Box<Value>: @unchecked Sendable {
    var value: Value

    init(_ value: Value) { self.value = value }
}

guard let first = words.first else { usage() }
switch first {
case "pool":
    plan {
        for _ in 0..<ProcessInfo.processInfo.activeProcessorCount + 1 { Task.detached { Planted.plantedSleep(1.5) } }
        usleep(3_500_000)
        let symbolizer = Symbolizer()
        let reports = judge.ofPool()
        let stacks = reports.flatMap(\.threads).map { thread in
            StackStory([symbolizer.stack(of: thread.addresses)]).sentence
        }
        let isNamed = stacks.contains { $0.contains("plantedSleep") }
        print(
            "pool\texhausted\t\(reports.isEmpty ? "missed" : "detected")\t\(isNamed ? "named" : "unnamed")\t\(reports.isEmpty ? "-" : "right")\t-\t-\t-\t-\t\(stacks.first ?? "")"
        )
    }
case "lives-child" where words.count > 1: plan { Lives.begin(words[1]) }
case "stuck-child": plan { Stuck.begin() }
case "short":
    guard words.count > 2, let repetitions = Int(words[2]), let stage = Stage.named(words[1], probe) else { usage() }
    plan {
        let symbolizer = Symbolizer()
        for _ in 0..<repetitions {
            for cause in Cause.all where ["compute", "sleep", "read", "mutex"].contains(cause.name) {
                let injection = inject(cause, on: stage, loop: words[1], seconds: 0.05)
                usleep(120_000)
                let (began, ended) = (injection.began, injection.ended)
                let report = judge.reports(of: stage.name, from: began, to: ended).first
                let line = Line.text(
                    injection, cause, report, symbolizer,
                    wasStarved: judge.wasStarved(stage.name, from: began, to: ended))
                print(line)
            }
        }
    }
case "deadlock", "quiet":
    guard words.count > 1, let stage = Stage.named(words[1], probe) else { usage() }
    let loop = words[1]
    let seconds = words.count > 2 ? Double(words[2]) ?? 5 : 5
    plan {
        if first == "quiet" {
            let isBusy = words.contains("busy")
            let short = Cause.all[0]
            let end = ContinuousClock.now + .seconds(seconds)
            while ContinuousClock.now < end {
                // One job after the other: on a starved machine they must not pile up before the loop.
                if isBusy { _ = inject(short, on: stage, loop: loop, seconds: 0.003) }
                usleep(10_000)
            }
            for report in judge.strangers([]) { print(Line.text(stranger: report, Symbolizer())) }
            print(Line.text(quiet: loop, judge))
            return
        }
        let began = DispatchTime.now().uptimeNanoseconds
        stage.execute { Cause.deadlock.run(0) }
        usleep(1_500_000)
        let ended = DispatchTime.now().uptimeNanoseconds
        let injection = Injection(loop: loop, cause: "deadlock", began: began, ended: ended)
        let report = judge.reports(of: stage.name, from: began, to: ended, whileItLasts: true).last
        print(Line.text(injection, Cause.deadlock, report, Symbolizer()))
    }
default:
    guard words.count > 1, let repetitions = Int(words[1]), let stage = Stage.named(first, probe) else { usage() }
    let shortest = words.dropFirst(2).compactMap(Double.init).first ?? 0.06
    let named = words.dropFirst(2).filter { Double($0) == nil }
    let causes = named.isEmpty ? Cause.all : Cause.all.filter { named.contains($0.name) }
    plan {
        let symbolizer = Symbolizer()
        var injections: [Injection] = []
        if causes.contains(where: { $0.name == "page-faults" }) { _ = ColdFile.shared }
        _ = Planted.document
        for repetition in 0..<repetitions {
            for cause in causes {
                let injection = inject(
                    cause, on: stage, loop: first, seconds: shortest + Double((repetition * 37) % 200) / 1000)
                injections.append(injection)
                usleep(120_000)
                let (began, ended) = (injection.began, injection.ended)
                let report = judge.reports(of: stage.name, from: began, to: ended).max {
                    $0.lastedNanoseconds < $1.lastedNanoseconds
                }
                let line = Line.text(
                    injection, cause, report, symbolizer,
                    wasStarved: judge.wasStarved(stage.name, from: began, to: ended))
                print(line)
            }
        }
        for report in judge.strangers(injections) { print(Line.text(stranger: report, symbolizer)) }
        print(Line.text(quiet: first, judge, injections))
    }
}

if first == "stuck-child" { Planted.plantedSleep(60) }
if first == "runloop" || words.dropFirst().first == "runloop" { RunLoop.main.run() } else { dispatchMain() }
