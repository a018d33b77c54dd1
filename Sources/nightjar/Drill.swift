import ArgumentParser
@preconcurrency import Glibc
import NightjarAgent
import NightjarModel

struct Drill: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Breaks something on purpose and waits for the agent to name it.",
        discussion: """
            Starts a small program that leaks, stalls or floods, and waits for the running agent to say so. The agent \
            looks at processes called drill-* with shortened horizons ('nightjar config' shows them); the rest is as ever.

            Exit status 0 when every incident was named (and every healthy twin stayed quiet), 1 when not.
            """)

    @Argument(help: "incidents; none: list them")
    var names: [String] = []

    @Flag(help: "all incidents, one after another")
    var all = false

    @Option(help: "wait at most so many seconds for each, instead of its own limit")
    var limit: Double?

    @Flag(help: "print the incident's own output")
    var verbose = false

    @OptionGroup var agent: AgentOptions

    func run() throws {
        let incidents: [DrillIncident]
        do { incidents = try DrillIncident.all() } catch { throw Cannot("\(error)") }
        guard all || !names.isEmpty else { return say(DrillIncident.table(incidents)) }
        var chosen: [DrillIncident] = []
        for name in names {
            guard let incident = incidents.first(where: { $0.name == name }) else {
                throw ValidationError("no incident '\(name)'; 'nightjar drill' lists them")
            }
            chosen.append(incident)
        }
        var failures = 0
        let runner = DrillRunner(socket: agent.socket, isVerbose: verbose) { say($0 + "\n") }
        for incident in all ? incidents : chosen {
            do {
                if try !runner.run(incident, limit: limit.map { .seconds($0) } ?? incident.limit) { failures += 1 }
            } catch { throw Cannot("\(error)") }
        }
        if failures > 0 { throw ExitCode(1) }
    }
}
