import CNightjarLinux
import Glibc
public import NightjarModel
import Synchronization

/// Where the inspector is, and how a command becomes it.
public enum InspectTool {
    static let name = "nightjar-inspect"

    /// The inspector beside our own executable, else in the usual places; nil where it is not installed.
    public static func locate() -> String? { Programs.locate(name) }

    /// Becomes the inspector: `nightjar heap 4242 --diff 30s`. Comes back only if that is not possible, with the reason.
    public static func become(_ arguments: [String]) -> String {
        guard let tool = locate() else { return "nightjar-inspect is not installed beside this program" }
        var words = ([tool] + arguments).map { strdup($0) }
        words.append(nil)
        execv(tool, words)
        return "cannot start '\(tool)': \(String(cString: strerror(errno)))"
    }
}

/// Runs studies of suspects, one at a time, once for each life of a process until it is forgotten. Never blocks.
public final class CensusRunner: Sendable {
    /// Suspects whose study is remembered; beyond it the oldest may be studied again.
    static let remembered = 1024
    /// Output of the child that is read; it sends a few KiB.
    static let longestAnswer = 1 << 20

    private struct State {
        var running: ProcessKey?
        var child: pid_t = 0
        var stopped = false
        var done: [ProcessKey] = []
        var results: [(ProcessKey, Result<CensusEvidence, CensusFailure>)] = []
    }

    private let tool: String?
    private let procRoot: String
    private let budget: CensusBudget
    private let state = Mutex(State())

    public init(tool: String? = nil, procRoot: String = "/proc", budget: CensusBudget = .standard) {
        self.tool = tool ?? InspectTool.locate()
        self.procRoot = procRoot
        self.budget = budget
    }

    /// Whether the inspector is there at all; `doctor` tells.
    public var isAvailable: Bool { tool != nil }

    /// Begins a study of a suspect. False where one is running, was made of this life already, or cannot be made.
    public func request(_ process: ProcessKey) -> Bool {
        guard tool != nil else { return false }
        let accepted = state.withLock { state in
            guard !state.stopped, state.running == nil, !state.done.contains(process) else { return false }
            state.running = process
            state.done.append(process)
            if state.done.count > Self.remembered { state.done.removeFirst() }
            return true
        }
        if accepted, !startThread(process) {
            finish(process, .failure(CensusFailure(sentence: "cannot start a thread")))
        }
        return accepted
    }

    /// What was finished since the last call.
    public func takeResults() -> [(ProcessKey, Result<CensusEvidence, CensusFailure>)] {
        state.withLock { state in
            defer { state.results = [] }
            return state.results
        }
    }

    /// The incident is over: a new one may be studied.
    public func forget(_ process: ProcessKey) {
        state.withLock { state in state.done.removeAll { $0 == process } }
    }

    /// Ends the child that is at work and takes no more.
    public func shutdown() {
        state.withLock { state in
            state.stopped = true
            if state.child > 0 { kill(state.child, SIGKILL) }
        }
    }

    // MARK: The thread

    private final class Job {
        let runner: CensusRunner
        let process: ProcessKey

        init(_ runner: CensusRunner, _ process: ProcessKey) {
            self.runner = runner
            self.process = process
        }
    }

    private func startThread(_ process: ProcessKey) -> Bool {
        let context = Unmanaged.passRetained(Job(self, process))
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        defer { pthread_attr_destroy(&attributes) }
        var thread = pthread_t()
        let result = pthread_create(
            &thread, &attributes,
            { context in
                let job = Unmanaged<Job>.fromOpaque(context!).takeRetainedValue()
                job.runner.finish(job.process, job.runner.study(job.process))
                return nil
            }, context.toOpaque())
        if result != 0 { context.release() }
        return result == 0
    }

    private func finish(_ process: ProcessKey, _ result: Result<CensusEvidence, CensusFailure>) {
        state.withLock { state in
            state.running = nil
            state.child = 0
            state.results.append((process, result))
        }
    }

    private func study(_ process: ProcessKey) -> Result<CensusEvidence, CensusFailure> {
        let words = [
            "census", "\(process.pid)", "--start-time", "\(process.startTime)", "--proc", procRoot,
            "--interval", "\(budget.interval.inSeconds)", "--count", "\(budget.censuses)",
            "--memory-limit", "\(budget.memory.count)", "--time-limit", "\(budget.time.inSeconds)",
            "--bytes-limit", "\(budget.bytesRead.count)",
        ]
        guard let child = ChildProcess(tool!, words) else {
            return .failure(CensusFailure(sentence: "cannot start '\(tool!)': \(String(cString: strerror(errno)))"))
        }
        // Ending it here rather than in `shutdown` would leave a moment in which nobody does.
        let stopped = state.withLock { state in
            state.child = child.pid
            return state.stopped
        }
        if stopped { kill(child.pid, SIGKILL) }
        let patience = budget.time + budget.interval * budget.censuses + .seconds(15)
        let answer = child.collect(atMost: patience, limit: Self.longestAnswer) {
            self.state.withLock { $0.child = 0 }
        }
        guard answer.exitCode == 0 else {
            let first =
                answer.errors.split(separator: "\n").first.map(String.init) ?? "the inspector did not answer in time"
            return .failure(CensusFailure(sentence: first.replacing("nightjar-inspect: ", with: "")))
        }
        guard let evidence = CensusEvidence(answer.output, process: process) else {
            return .failure(CensusFailure(sentence: "the inspector's answer made no sense"))
        }
        return .success(evidence)
    }
}
