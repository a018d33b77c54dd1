// A probe sends bare addresses; here they become functions and sentences. The names are read from the very files that the
// process has mapped, in its own root, and where it has ended meanwhile from the same build on this host.

import NightjarModel
import NightjarSymbols
import NightjarWire

/// Names the addresses of one process's reports, and gives its tables back afterwards.
final class ProbeStory {
    private static let callers = 4
    private static let mostLines = 12

    private let pid: Int32
    private let procRoot: String
    private let modules: [ModuleSpan]
    private let names: ProbeNames
    /// Where all names are known, nothing of the process is read.
    private lazy var symbolizer = Symbolizer(pid: pid, procRoot: procRoot)

    init(pid: Int32, procRoot: String, modules: [ModuleSpan], names: ProbeNames = ProbeNames()) {
        self.pid = pid
        self.procRoot = procRoot
        self.modules = modules
        self.names = names
    }

    func stack(of addresses: [UInt64]) -> [SymbolizedFrame] { addresses.flatMap(frames) }

    private func frames(_ address: UInt64) -> [SymbolizedFrame] {
        let span = modules.first { $0.start <= address && address < $0.end }
        return names.frames(at: address, in: span) { lookUp(address, span) }
    }

    private func lookUp(_ address: UInt64, _ span: ModuleSpan?) -> [SymbolizedFrame] {
        let live = symbolizer.frames(at: address)
        guard live.allSatisfy({ $0.module == nil }), let span else { return live }
        let module = ModuleReference(path: span.path, buildID: span.buildID, bias: span.bias)
        return symbolizer.frames(at: address, inDepartedModule: module)
    }

    /// What a stall report says, in words.
    func evidence(_ report: StallReport) -> StallEvidence {
        report.cause == .poolExhausted ? poolEvidence(report) : loopEvidence(report)
    }

    private func loopEvidence(_ report: StallReport) -> StallEvidence {
        let story = StackStory(report.samples.map { stack(of: $0.addresses) })
        var lines = story.callers(Self.callers).map { "called by \($0)" }
        for thread in report.threads where thread.role == .holder { lines.append(holder(thread)) }
        if report.waitedNanoseconds >= report.lastedNanoseconds / 5, report.lastedNanoseconds > 0 {
            let waited = Duration.nanoseconds(Int64(clamping: report.waitedNanoseconds)).spoken
            lines.append("\(waited) of it ready to run, without a processor")
        }
        if !story.isUnanimous { lines.append("\(story.agreeing) of \(story.samples) stacks agree") }
        return StallEvidence(
            function: story.guilty.map { _ in story.sentence } ?? "", cause: report.cause.word,
            phrase: report.cause.phrase(call: report.call, target: report.target),
            duration: .nanoseconds(Int64(clamping: report.lastedNanoseconds)),
            lines: Array(lines.prefix(Self.mostLines)))
    }

    private func holder(_ thread: ThreadReport) -> String {
        let story = StackStory([stack(of: thread.addresses)])
        let call =
            thread.call >= 0 ? ", in \(SystemCall.name(thread.call))" : thread.doing == .running ? ", running" : ""
        return "held by \(ThreadName.spoken(thread.name)) (thread \(thread.tid)\(call)): \(story.sentence)"
    }

    private func poolEvidence(_ report: StallReport) -> StallEvidence {
        let threads = report.threads.map { thread in
            (thread, StackStory([stack(of: thread.addresses)]).sentence)
        }
        var counts: [String: Int] = [:]
        for (_, sentence) in threads { counts[sentence, default: 0] += 1 }
        let most = counts.max { ($0.value, $1.key) < ($1.value, $0.key) }
        return StallEvidence(
            function: most?.key ?? "", cause: report.cause.word, phrase: report.target,
            duration: .nanoseconds(Int64(clamping: report.lastedNanoseconds)),
            lines: threads.prefix(Self.mostLines).map {
                "\(ThreadName.spoken($0.0.name)) (thread \($0.0.tid)): \($0.1)"
            })
    }

    /// A thread of a stacks report, with names.
    func threadStack(_ thread: ThreadReport) -> ThreadStack {
        let state: ThreadStack.State =
            switch thread.doing {
            case .running: .running
            case .blocked: .blocked(call: thread.call)
            case .unreadable: .unreadable
            }
        return ThreadStack(tid: thread.tid, name: thread.name, state: state, frames: stack(of: thread.addresses))
    }
}
