// Compares what was planted with what the probe reported.

import Foundation
import NightjarSymbols
import NightjarWire
import Synchronization

/// A stall that was planted, as the loop itself measured it.
struct Injection: Sendable {
    var loop: String
    var cause: String
    var began: UInt64 = 0
    var ended: UInt64 = 0
    /// Of that, ready but without a processor.
    var waited: UInt64 = 0
}

/// One cause: the function, what the probe must call it, and whether it ends.
struct Cause: Sendable {
    var name: String
    var function: String
    var verdicts: Set<StallCause>
    var run: @Sendable (Double) -> Void

    static let all: [Cause] = [
        Cause(name: "compute", function: "plantedCompute", verdicts: [.computing], run: { Planted.plantedCompute($0) }),
        Cause(name: "json", function: "plantedJSON", verdicts: [.computing], run: { Planted.plantedJSON($0) }),
        Cause(name: "regex", function: "plantedRegex", verdicts: [.computing], run: { Planted.plantedRegex($0) }),
        Cause(name: "sort", function: "plantedSort", verdicts: [.computing], run: { Planted.plantedSort($0) }),
        Cause(name: "sleep", function: "plantedSleep", verdicts: [.systemCall], run: { Planted.plantedSleep($0) }),
        Cause(name: "read", function: "plantedRead", verdicts: [.systemCall], run: { Planted.plantedRead($0) }),
        Cause(
            name: "receive", function: "plantedReceive", verdicts: [.systemCall], run: { Planted.plantedReceive($0) }),
        Cause(name: "mutex", function: "plantedMutex", verdicts: [.lock], run: { Planted.plantedMutex($0) }),
        Cause(
            name: "semaphore", function: "plantedSemaphore", verdicts: [.wait], run: { Planted.plantedSemaphore($0) }),
        Cause(
            name: "queue-sync", function: "plantedQueueSync", verdicts: [.wait], run: { Planted.plantedQueueSync($0) }),
        Cause(
            name: "page-faults", function: "plantedPageFaults", verdicts: [.paging],
            run: { Planted.plantedPageFaults($0) }),
    ]
    static let deadlock = Cause(
        name: "deadlock", function: "plantedDeadlock", verdicts: [.deadlock], run: { Planted.plantedDeadlock($0) })
}

/// Keeps the probe's reports, and answers for them.
final class Judge: Sendable {
    private let reports = Mutex<[StallReport]>([])

    func hear(_ report: StallReport) { reports.withLock { $0.append(report) } }

    /// Reports of one loop whose stall overlaps a span; a begun one counts where `whileItLasts`.
    func reports(of loop: String, from began: UInt64, to ended: UInt64, whileItLasts: Bool = false) -> [StallReport] {
        reports.withLock { all in
            all.filter { report in
                !report.cause.isStarvation && report.loop == loop && (whileItLasts || report.phase == .ended)
                    && report.startedAt < ended && report.startedAt &+ report.lastedNanoseconds > began
            }
        }
    }

    /// Reports of application stalls that belong to no injection.
    func strangers(_ injections: [Injection]) -> [StallReport] {
        reports.withLock { all in
            all.filter { report in
                report.phase == .ended && !report.cause.isStarvation && report.cause != .poolExhausted
                    && !injections.contains {
                        report.startedAt < $0.ended && report.startedAt &+ report.lastedNanoseconds > $0.began
                    }
            }
        }
    }

    /// The probe told that this loop was starved just then.
    func wasStarved(_ loop: String, from began: UInt64, to ended: UInt64) -> Bool {
        reports.withLock { all in
            all.contains {
                $0.cause.isStarvation && $0.loop == loop && $0.startedAt < ended
                    && $0.startedAt &+ $0.lastedNanoseconds > began
            }
        }
    }

    func count(of cause: StallCause) -> Int { reports.withLock { $0.count { $0.cause == cause } } }
    func ofPool() -> [StallReport] { reports.withLock { $0.filter { $0.cause == .poolExhausted } } }
}

/// One line of the result, tab separated: what the script adds up.
enum Line {
    static func text(
        _ injection: Injection, _ cause: Cause, _ report: StallReport?, _ symbolizer: Symbolizer,
        wasStarved: @autoclosure () -> Bool = false
    ) -> String {
        let length = injection.ended - injection.began
        guard let report else {
            let own = length - min(length, injection.waited)
            return
                "\(injection.loop)\t\(cause.name)\tmissed\t-\t-\t-\t-\t\(length / 1000)\t\(own / 1000)\t\(wasStarved() ? "starved" : "-")"
        }
        let stacks = report.samples.map { sample in symbolizer.stack(of: sample.addresses) }
        let story = StackStory(stacks)
        // Where debug information tells of inlined functions, the innermost may be one that was planted inside the cause; its
        // caller then stands next in the line that is told. Where it does not, the enclosing function stands for it.
        let names = [story.guilty?.name, story.inside?.name, story.callers(1).first?.name].compactMap(\.self)
        let isNamed = names.contains { $0.contains(cause.function) || $0.contains("inject") }
        let isRight = cause.verdicts.contains(report.cause)
        let start = Int64(bitPattern: report.startedAt &- injection.began) / 1000
        // One that goes on has no length yet.
        let duration =
            report.phase == .ended ? "\(Int64(bitPattern: report.lastedNanoseconds &- length) / 1000)" : "-"
        return
            "\(injection.loop)\t\(cause.name)\tdetected\t\(isNamed ? "named" : "unnamed")\t\(isRight ? "right" : "wrong")\t\(start)\t\(duration)\t\(length / 1000)\t\(report.cause.word)\t\(story.sentence)\t\(spent(report))"
    }

    /// `ran 12 waited 3 faults 80 stacks bbr`: in ms, and for every stack whether its thread ran or was blocked.
    private static func spent(_ report: StallReport) -> String {
        let stacks = report.samples.map { $0.doing == .running ? "r" : $0.doing == .blocked ? "b" : "?" }.joined()
        let (ran, waited) = (report.ranNanoseconds / 1_000_000, report.waitedNanoseconds / 1_000_000)
        return "ran \(ran) waited \(waited) faults \(report.majorFaults) stacks \(stacks)"
    }

    /// What was reported beside the injections.
    static func text(quiet loop: String, _ judge: Judge, _ injections: [Injection] = []) -> String {
        let (host, quota) = (judge.count(of: .starvedByHost), judge.count(of: .starvedByQuota))
        return "\(loop)\tbeside\tfalse=\(judge.strangers(injections).count)\thost=\(host)\tquota=\(quota)"
    }

    /// A report that belongs to nothing that was planted.
    static func text(stranger report: StallReport, _ symbolizer: Symbolizer) -> String {
        let story = StackStory(report.samples.map { sample in sample.addresses.map { symbolizer.frame(at: $0) } })
        let figures = [
            report.lastedNanoseconds, report.ranNanoseconds, report.waitedNanoseconds, report.uncertaintyNanoseconds,
        ].map { "\($0 / 1000)" }.joined(separator: "\t")
        let offsets = report.samples.map { "\($0.offsetNanoseconds / 1_000_000)" }.joined(separator: ",")
        return
            "stranger\t\(report.loop)\t\(report.cause.word)\t\(figures)\t\(story.sentence)\t\(spent(report)) at \(offsets)"
    }
}
