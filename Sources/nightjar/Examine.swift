import ArgumentParser
import NightjarAgent
import NightjarDetectors

/// Hands over to `nightjar-inspect`, the only program of ours that reads another process's memory.
private func inspect(_ words: [String], _ output: OutputOptions) throws {
    throw Cannot(InspectTool.become(words + ["--format", output.format.rawValue]))
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

    @Flag(help: "exact counts: stops the process briefly, and says for how long")
    var exact = false

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
        if let top { words += ["--top", "\(top)"] }
        try inspect(words, output)
    }
}

struct Leaks: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Objects that nothing reaches any more: retain cycles, by type and field.",
        discussion: "Exit status 1 when there are any. The process is stopped briefly; the pause is reported.")

    @Argument(help: "process id")
    var pid: Int32

    @OptionGroup var output: OutputOptions

    func run() throws { try inspect(["leaks", "\(pid)"], output) }
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
        abstract: "What every thread of a process does just now, by function.")

    @Argument(help: "process id")
    var pid: Int32

    func run() throws {
        switch StacksCommand.text(pid: pid) {
        case .success(let text): say(text)
        case .failure(let error): throw Cannot("\(error)")
        }
    }
}
