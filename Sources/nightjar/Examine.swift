import ArgumentParser
@preconcurrency import Glibc
import NightjarAgent
import NightjarDetectors
import NightjarModel
import NightjarSymbols

/// Hands over to `nightjar-inspect`, the only program of ours that reads another process's memory.
private func inspect(_ words: [String], _ output: OutputOptions) throws {
    throw Cannot(InspectTool.become(words + ["--format", output.format.rawValue]))
}

/// How a process is held still for what must be exact.
enum SnapshotOption: String, ExpressibleByArgument, CaseIterable {
    case auto, fork, stop
}

struct Heap: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Live objects of any Swift process by type, from outside: not restarted, not stopped.")

    enum Grouping: String, ExpressibleByArgument, CaseIterable {
        case type, module, size
    }

    @Argument(help: "process id")
    var pid: Int32

    @Option(help: "two censuses so long apart (seconds, or a span such as 30s): what grew")
    var diff: String?

    @Option(help: "type, module or size")
    var by: Grouping = .type

    @Flag(help: "counts of one moment: the process stands still briefly, and for how long is told")
    var exact = false

    @Option(
        help:
            "with --exact: from a copy of the process (fork), in a stop, or a copy where nothing speaks against it (auto)"
    )
    var snapshot: SnapshotOption?

    @Option(help: "at most so many rows")
    var top: Int?

    @OptionGroup var output: OutputOptions

    func run() throws {
        var words = ["heap", "\(pid)", "--by", by.rawValue]
        if let diff {
            guard let span = SettingText.duration(diff), span > .zero else {
                throw ValidationError("--diff takes a span such as 30s or 2min, not '\(diff)'")
            }
            words += ["--diff", "\(Double(span.components.seconds) + Double(span.components.attoseconds) / 1e18)"]
        }
        if exact { words.append("--exact") }
        if let snapshot {
            guard exact else { throw ValidationError("--snapshot belongs to --exact") }
            words += ["--snapshot", snapshot.rawValue]
        }
        if let top { words += ["--top", "\(top)"] }
        try inspect(words, output)
    }
}

struct Leaks: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Objects that nothing reaches any more: retain cycles, by type and field.",
        discussion: """
            Exit status 1 when there are any. Where objects seem to be unreachable the process stands still for a moment:
            while it is copied (fork, some 25 ms a GB), or, where it must not be asked for a copy, while it is read (stop).
            The pause, and the way that was taken, are told.
            """)

    @Argument(help: "process id")
    var pid: Int32

    @Option(
        help:
            "fork: from a copy of the process; stop: hold it while it is read; auto: a copy where nothing speaks against it"
    )
    var snapshot: SnapshotOption = .auto

    @Option(help: "longest stop; the process goes on without an answer after it")
    var pauseLimit: String?

    @OptionGroup var output: OutputOptions

    func run() throws {
        var words = ["leaks", "\(pid)", "--snapshot", snapshot.rawValue]
        if let pauseLimit {
            guard let span = SettingText.duration(pauseLimit), span > .zero else {
                throw ValidationError("--pause-limit takes a span such as 500ms or 2s, not '\(pauseLimit)'")
            }
            words += [
                "--pause-limit", "\(Double(span.components.seconds) + Double(span.components.attoseconds) / 1e18)",
            ]
        }
        try inspect(words, output)
    }
}

struct Why: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "What keeps objects of a type alive: the shortest chain from a root.")

    @Argument(help: "process id")
    var pid: Int32

    @Argument(help: "type name as heap prints it; a part that is unique is enough")
    var type: String

    @OptionGroup var output: OutputOptions

    func run() throws { try inspect(["why", "\(pid)", type], output) }
}

struct Stacks: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "What every thread of a process does just now, by function and line.",
        discussion: """
            Works for any process that you may look into, Swift or not, and stops nothing. The stack of a thread that is
            running can only be taken by a probe: a service that has one is asked through the agent.
            """)

    @Argument(help: "process id")
    var pid: Int32

    @OptionGroup var agent: AgentOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard pid > 0 else { throw ValidationError("a process id is a number above 0, not \(pid)") }
    }

    func run() throws {
        if let answer = fromProbe() { return say(answer) }
        switch ThreadStacks.read(pid: pid) {
        case .success(let stacks):
            say(
                output.format == .json
                    ? StacksCommand.json(stacks).text + "\n" : StacksCommand.text(stacks, width: output.width))
        case .failure(let error): throw Cannot("\(error)")
        }
    }

    /// What the process's own probe says; nil where it has none, no agent runs, or it does not answer within two seconds.
    private func fromProbe() -> String? {
        let client = agent.client
        let path = "/api/v1/stacks?pid=\(pid)&\(output.query)"
        guard (try? client.get(path + "&ask=1")) != nil else { return nil }
        for _ in 0..<40 {
            usleep(50_000)
            guard let answer = try? client.get(path) else { return nil }
            if !answer.isEmpty { return String(decoding: answer, as: UTF8.self) }
        }
        return nil
    }
}
