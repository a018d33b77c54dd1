import CNightjarLinux
import Glibc
import NightjarModel

/// What a command answered: text for standard output and the exit code.
public struct InspectAnswer: Hashable, Sendable {
    public var text: String
    public var exitCode: Int32
}

extension InspectCommand {
    /// Carries the command out. Throws an `InspectError` where it cannot.
    public func run() throws -> InspectAnswer {
        switch verb {
        case .heap: try heap()
        case .leaks: try leaks()
        case .why: try why()
        case .census: try census()
        }
    }

    private func open() throws -> Target {
        try Target(pid: pid, startTime: startTime, procRoot: procRoot, budget: budget)
    }

    private func heap() throws -> InspectAnswer {
        let first = try takeCensus()
        if first.entries.isEmpty { throw InspectError(.notSwift, notSwiftSentence(first)) }
        guard let difference else {
            return answer(first.json(), fitted(first.table(by: grouping, top: top)))
        }
        let began = monotonicSeconds()
        pause(difference)
        let second = try takeCensus()
        let span = Duration.seconds(monotonicSeconds() - began + second.seconds)
        let growth = second.growth(since: first, over: span)
        return answer(
            second.json(growth: growth, over: span),
            fitted(Census.growthTable(growth, over: span) + "\n" + second.table(by: grouping, top: top)))
    }

    private func takeCensus() throws -> Census {
        let target = try open()
        return exact ? try Census.takeExactly(of: target, way: snapshot) : try Census.take(of: target)
    }

    private func leaks() throws -> InspectAnswer {
        let report = try LeakSearch(open()).run(way: snapshot)
        return answer(report.json, report.text, exitCode: report.unreachable.isEmpty ? 0 : 1)
    }

    private func why() throws -> InspectAnswer {
        guard let report = try RetainingReport.of([type], open: open)[type] else {
            throw InspectError(.noSuchType, "the objects of type '\(type)' went away while the heap was read")
        }
        return answer(report.json, report.text)
    }

    private func census() throws -> InspectAnswer {
        let study = try GrowthStudy.run(
            pid: pid, interval: interval, censuses: censuses, open: open, pause: pause)
        return InspectAnswer(text: study.lines, exitCode: 0)
    }

    private func notSwiftSentence(_ census: Census) -> String {
        "process \(pid) has \(Bytes(census.fragmentation.used)) on its heap, but nothing of it is Swift's: "
            + "only Swift types can be told apart"
    }

    /// Names of types can be very long: on a terminal their lines are cut, elsewhere they stay whole.
    private func fitted(_ table: String) -> String {
        guard let width else { return table }
        return table.split(separator: "\n", omittingEmptySubsequences: false)
            .map { $0.count > width ? $0.prefix(width - 1) + "…" : $0 }.joined(separator: "\n")
    }

    private func answer(_ json: JSON, _ table: @autoclosure () -> String, exitCode: Int32 = 0) -> InspectAnswer {
        InspectAnswer(text: self.json ? json.text + "\n" : table(), exitCode: exitCode)
    }

    private func pause(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        var wanted = timespec(tv_sec: Int(seconds), tv_nsec: Int(attoseconds / 1_000_000_000))
        var left = timespec()
        while nanosleep(&wanted, &left) != 0 { wanted = left }
    }
}
