import ArgumentParser
@preconcurrency import Glibc
import NightjarAgent
import NightjarDetectors
import NightjarModel

struct ReplayCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replay", abstract: "Runs recorded samples through the detectors of the live agent.",
        discussion:
            "A trace is CSV: a head line '# nightjar-trace v1; speedup=N', column names, rows. '-' reads standard input."
    )

    @Argument(help: "trace files")
    var files: [String]

    @OptionGroup var output: OutputOptions

    func run() throws {
        for (index, file) in files.enumerated() {
            if files.count > 1, isatty(2) == 1 { fputs("\r\(index + 1) of \(files.count): \(file)\u{1B}[K", stderr) }
            let result: ReplayResult
            do { result = try replay(trace: try contents(of: file), name: stem(of: file)) } catch let error
                as TraceError
            {
                throw Cannot("\(error)")
            }
            say(output.format == .json ? result.json.text + "\n" : ReplayText.table(result, width: output.width))
        }
        if files.count > 1, isatty(2) == 1 { fputs("\r\u{1B}[K", stderr) }
    }
}

struct Explain: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "What a detector means, what to look at, what to do; without a name: all of them.")

    @Argument(help: "a detector, such as HeapGrowth")
    var detector: String?

    func run() throws {
        guard let detector else { return say(ExplainText.list(width: 100)) }
        guard let card = DetectorRegistry.all.first(where: { $0.name.lowercased() == detector.lowercased() }) else {
            let names = DetectorRegistry.all.map(\.name).joined(separator: ", ")
            throw ValidationError("no detector '\(detector)'; there are \(names)")
        }
        say(ExplainText.page(card))
    }
}

struct ConfigCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "Effective settings and where each came from.",
        discussion: "Exit status 2 when the configuration has a mistake; each is printed with its file and line.")

    @Option(help: "the file to read; its drop-ins in FILE.d are read too")
    var file: String?

    @Flag(help: "only check, print nothing else")
    var check = false

    @Flag(help: "print the commented default file")
    var defaults = false

    @OptionGroup var output: OutputOptions

    func run() throws {
        if defaults { return say(Config.defaultFile) }
        let config = Config(path: file ?? Paths().configFile, mustExist: file != nil)
        for problem in config.problems { warn("\(problem)") }
        if !check {
            say(output.format == .json ? config.effectiveJSON.text + "\n" : config.effectiveText)
        } else if config.problems.isEmpty {
            say("\(config.files.isEmpty ? "defaults" : config.files.joined(separator: ", ")): fine\n")
        }
        if !config.problems.isEmpty { throw ExitCode(2) }
    }
}

struct Doctor: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "What works, what the agent cannot see and why, and what to do.",
        discussion: "Exit status 1 when something needs attention.")

    @Flag(help: "send a real test message through each sink and say whether it arrived")
    var sendTest = false

    @OptionGroup var agent: AgentOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
        let remote: [DoctorReport.Check]
        var hasAgent = true
        do {
            let client = AgentClient(socket: agent.socket, patience: .seconds(90))
            let answer = try client.get("/api/v1/doctor?\(output.query)&send-test=\(sendTest ? 1 : 0)")
            remote = DoctorReport(wire: String(decoding: answer, as: UTF8.self)).checks
        } catch {
            remote = [.init(.bad, "agent", error.description)]
            hasAgent = false
        }
        let report = DoctorReport(checks: DoctorReport.local(hasAgent: hasAgent).checks + remote)
        say(output.format == .json ? report.json.text + "\n" : report.text(colour: output.isColoured))
        if report.needsAttention { throw ExitCode(1) }
    }
}
