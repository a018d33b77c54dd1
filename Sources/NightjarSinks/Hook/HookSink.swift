// A command of the operator's own: whatever Nightjar has no sink for.
//
//     argv          the configured command and arguments, then STATE DETECTOR ID    e.g.  firing HeapGrowth 3f09a1c2-1
//     environment   NIGHTJAR_STATE, _ALERT, _DETECTOR, _SEVERITY, _SUBJECT, _UNIT, _PID, _SENTENCE, _NEXT, _CONTACT;
//                   PATH and LANG, nothing else
//     stdin         the alert as one JSON object
//     exit          0 is delivered; anything else, a signal, or the time limit is a failure, with the first line printed
//
// No shell sees any of it, so no name can be a command.

public import NightjarModel
import Synchronization

/// Alerts → a command, one run a state change.
public final class HookSink: Sink {
    /// `[Hook]`: which program, how long it may take, how many at once.
    public struct Settings: Hashable, Sendable {
        /// The program's absolute path and its own arguments.
        public var command: [String]
        public var timeLimit: Duration
        /// Runs at the same time at most.
        public var atOnce: Int
        /// Runs that may wait for a place.
        public var queue: Int
        public var severity: Severity

        public init(
            command: [String], timeLimit: Duration = .seconds(10), atOnce: Int = 4, queue: Int = 64,
            from severity: Severity = .notice
        ) {
            self.command = command
            self.timeLimit = timeLimit
            self.atOnce = atOnce
            self.queue = queue
            self.severity = severity
        }
    }

    public let name = "hook"

    private let settings: Settings
    private let runner: ChildRunner
    private let state = Mutex(SinkCounters())

    public init(_ settings: Settings) {
        self.settings = settings
        runner = ChildRunner(name: "nj-hook", atOnce: settings.atOnce, queue: settings.queue)
    }

    /// Hands the news to the worker that speaks to the command.
    public func deliver(_ action: AlertAction, at now: Moment) -> Delivery {
        guard action.alert.worst >= settings.severity else { return .notWanted }
        let job = Job(
            arguments: settings.command + Self.arguments(of: action),
            environment: Self.environment(of: action),
            input: Array((AlertJSON.object(action.alert).text + "\n").utf8), timeLimit: settings.timeLimit,
            done: { [self] outcome in record(outcome) })
        guard runner.submit(job) else {
            state.withLock { $0.overflowed += 1 }
            return .overflowed
        }
        return .queued
    }

    /// A test message to the command, and what came of it.
    public func prove(at now: Moment) -> Proof {
        let job = Job(
            arguments: settings.command + ["test", "Nightjar", "test"],
            environment: Self.base + ["NIGHTJAR_STATE=test"], input: Array("{\"state\":\"test\"}\n".utf8),
            timeLimit: settings.timeLimit, done: { _ in })
        let outcome = run(job, with: "nj-hook-test")
        if let error = error(in: outcome) { return .failed("hook: \(error)") }
        return .proved("hook '\(settings.command.first ?? "")' ended with exit code 0")
    }

    public var counters: SinkCounters {
        var counters = state.withLock { $0 }
        counters.waiting = Int64(runner.waiting)
        return counters
    }

    /// Sends what waits, at most `limit`, and takes nothing more.
    public func finish(within limit: Duration) {
        let waiting = runner.waiting
        if !runner.finish(within: limit) { state.withLock { $0.overflowed += Int64(waiting) } }
    }

    private func record(_ outcome: Outcome) {
        let error = error(in: outcome)
        state.withLock { counters in
            if let error {
                counters.failed += 1
                counters.lastError = error
            } else {
                counters.delivered += 1
            }
        }
    }

    private func error(in outcome: Outcome) -> SinkError? {
        SinkError(outcome, of: settings.command.first ?? "", timeLimit: settings.timeLimit)
    }

    static func arguments(of action: AlertAction) -> [String] {
        [action.word, Clean.line(action.alert.finding.detector), action.alert.id]
    }

    static let base = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"]

    static func environment(of action: AlertAction) -> [String] {
        let alert = action.alert
        let finding = alert.finding
        let fields: [(String, String)] = [
            ("STATE", action.word), ("ALERT", alert.id), ("DETECTOR", finding.detector),
            ("SEVERITY", finding.severity.word), ("SUBJECT", finding.subject.identity),
            ("UNIT", finding.subject.unit ?? ""), ("PID", finding.subject.process.map { "\($0.pid)" } ?? ""),
            ("SENTENCE", finding.sentence), ("NEXT", finding.nextStep), ("CONTACT", alert.contact ?? ""),
        ]
        return base + fields.map { "NIGHTJAR_\($0.0)=\(Clean.line($0.1, limit: 4096))" }
    }
}

/// Runs one job and waits for its end: for tests a person asked for.
func run(_ job: Job, with name: String) -> Outcome {
    let runner = ChildRunner(name: name, atOnce: 1, queue: 1)
    let result = Mutex<Outcome?>(nil)
    var job = job
    job.done = { outcome in result.withLock { $0 = outcome } }
    guard runner.submit(job) else { return .cannotStart("no thread") }
    _ = runner.finish(within: job.timeLimit + .seconds(2))
    return result.withLock { $0 } ?? .late(output: "")
}

extension SinkError {
    /// nil where the command ended well.
    init?(_ outcome: Outcome, of program: String, timeLimit: Duration) {
        func tail(_ output: String) -> String { output.isEmpty ? "" : ": \(output)" }
        switch outcome {
        case .exited(0, _): return nil
        case .exited(let code, let output): self.init(.refused, program, "exit code \(code)\(tail(output))")
        case .killed(let signal, let output): self.init(.refused, program, "ended by signal \(signal)\(tail(output))")
        case .late(let output): self.init(.late, program, "not done after \(timeLimit.spoken), killed\(tail(output))")
        case .cannotStart(let why): self.init(.cannotStart, program, "cannot start: \(why)")
        }
    }
}
