import ArgumentParser
import NightjarAgent
import NightjarModel

/// What processes are sorted by.
enum SortKey: String, ExpressibleByArgument, CaseIterable {
    case memory, growth, cpu, descriptors, threads, name
}

struct PS: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ps", abstract: "Processes with memory, growth, CPU, descriptors and what detectors say of them.",
        discussion:
            "Asks the agent. Without one it takes two readings a second apart and shows those; growth needs the agent.")

    @Argument(help: "only processes whose name or unit matches this glob")
    var pattern: String?

    @Option(name: .shortAndLong, help: "memory, growth, cpu, descriptors, threads or name")
    var sort: SortKey = .memory

    @Option(name: [.customShort("n"), .long], help: "at most so many rows")
    var limit = 30

    @OptionGroup var agent: AgentOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard limit > 0 else { throw ValidationError("--limit must be at least 1") }
    }

    func run() throws {
        var query = "\(output.query)&sort=\(sort.rawValue)&limit=\(limit)"
        if let pattern { query += "&match=\(APIRequest.escaped(pattern))" }
        try say(
            agent.get("/api/v1/processes?\(query)") {
                if output.format == .table { warn("no agent runs: two readings, a second apart") }
                return try LocalView.processes(APIRequest(method: "GET", uri: "/?\(query)", accept: nil, isLocal: true))
            })
    }
}

struct Alerts: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "What is wrong now, and with --all what was.",
        discussion: "Exit status 1 while anything fires.")

    @Flag(help: "also what is over, and what is silenced")
    var all = false

    @OptionGroup var agent: AgentOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
        say(try agent.get("/api/v1/alerts?\(output.query)&all=\(all ? 1 : 0)"))
        let firing = try agent.get("/api/v1/alerts/firing")
        if firing != "0\n" { throw ExitCode(1) }
    }
}

struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "One alert with its evidence, the setting that applied, and the next step.")

    @Argument(help: "its id, as alerts prints it; the first digits are enough")
    var id: String

    @OptionGroup var agent: AgentOptions
    @OptionGroup var output: OutputOptions

    func run() throws { say(try agent.get("/api/v1/alerts/\(APIRequest.escaped(id))?\(output.query)")) }
}
