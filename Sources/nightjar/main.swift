import ArgumentParser
@preconcurrency import Glibc
import NightjarAgent

// `nightjar`: what the agent knows, on the terminal. Exit status: 0 fine, 1 findings where the command is a check,
// 2 wrong usage, 3 cannot (one line says what and what to do).

struct Nightjar: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "nightjar",
        abstract: "Says which service grows, stalls or floods: who, where and why.",
        discussion: """
            Most commands ask the agent (nightjard) over its socket. ps, disk, logs, heap, leaks, why, stacks, replay, \
            explain and config also work without one.

            Exit status: 0 fine, 1 findings where the command is a check, 2 wrong usage, 3 cannot.
            """,
        version: agentVersion,
        groupedSubcommands: [
            CommandGroup(
                name: "Look:", subcommands: [PS.self, Top.self, Alerts.self, Show.self, Disk.self, Logs.self]),
            CommandGroup(name: "Ask one process:", subcommands: [Heap.self, Leaks.self, Why.self, Stacks.self]),
            CommandGroup(name: "Decide:", subcommands: [SilenceCommand.self]),
            CommandGroup(
                name: "Check and learn:",
                subcommands: [
                    Drill.self, ReplayCommand.self, Explain.self, ConfigCommand.self, Doctor.self,
                ]),
        ])
}

signal(SIGPIPE, SIG_IGN)
do {
    var command = try Nightjar.parseAsRoot()
    try command.run()
} catch let error as Cannot {
    warn(error.description)
    exit(3)
} catch {
    let code = Nightjar.exitCode(for: error)
    let message = Nightjar.fullMessage(for: error)
    if code.isSuccess {
        say(message.isEmpty ? "" : message + "\n")
        exit(0)
    }
    if !message.isEmpty { fputs(message + "\n", stderr) }
    exit(code == .validationFailure ? 2 : code.rawValue)
}
