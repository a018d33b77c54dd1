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
        abstract: "One alert with its evidence, or the loops and stalls of a service with the probe.")

    @Argument(help: "id of an alert, the first digits are enough; or name or pid of a service with the probe")
    var id: String

    @OptionGroup var agent: AgentOptions
    @OptionGroup var output: OutputOptions

    func run() throws { say(try agent.get("/api/v1/alerts/\(APIRequest.escaped(id))?\(output.query)")) }
}

struct Disk: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "File systems: how full, when full, who fills them, and what could be freed.",
        discussion: "Asks the agent. Without one it looks for a few seconds itself; forecasts need the agent.")

    @OptionGroup var look: LookOptions

    func run() throws {
        try look.answer("/api/v1/disks") { span in
            let snapshot = DiskSnapshot.measure(span: span)
            return (snapshot.json, { DiskTable.text(snapshot, width: $0) })
        }
    }
}

struct Logs: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Who writes how much log, now and lately, and which line floods.",
        discussion: "Asks the agent. Without one it looks for a few seconds itself; what is usual only the agent knows."
    )

    @OptionGroup var look: LookOptions

    func run() throws {
        try look.answer("/api/v1/logs") { span in
            let snapshot = LogSnapshot.measure(span: span)
            return (snapshot.json, { LogTable.text(snapshot, width: $0) })
        }
    }
}

/// Options of commands that ask the agent and, where none runs, look for a few seconds themselves.
struct LookOptions: ParsableArguments {
    @Option(help: "without an agent: how long to look, in seconds")
    var seconds = 4.0

    @OptionGroup var agent: AgentOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard (0.1...3600).contains(seconds) else { throw ValidationError("--seconds must be 0.1 to 3600") }
    }

    /// Prints what the agent answers, else what `measure` sees within that time.
    func answer(_ path: String, measure: (Duration) -> (json: JSON, table: (Int) -> String)) throws {
        try say(
            agent.get("\(path)?\(output.query)") {
                if output.format == .table {
                    warn("no agent runs: looking for \(Duration.seconds(seconds).spoken); history needs the agent")
                }
                let seen = measure(.seconds(seconds))
                return output.format == .json ? seen.json.text + "\n" : seen.table(output.width)
            })
    }
}
