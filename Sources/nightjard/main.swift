import ArgumentParser
@preconcurrency import Glibc
import NightjarAgent
import NightjarModel

// `nightjard`: the agent. See nightjard(8).

struct Nightjard: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "nightjard",
        abstract: "Watches every process, file system and log of this host, and says who is in trouble, where and why.",
        discussion: """
            Runs in the foreground; systemd starts it as nightjard.service. SIGHUP reads the configuration again, \
            SIGTERM ends it.

            Exit status: 0 ended by a signal, 2 wrong usage or a mistake in the configuration, 3 cannot start.
            """,
        version: agentVersion)

    @Option(help: "the configuration; its drop-ins in FILE.d are read too (default: /etc/nightjar/nightjar.conf)")
    var config: String?

    @Flag(help: "only check the configuration: name every mistake with file and line")
    var check = false

    @Option(help: "read DIR/proc and DIR/sys instead of /proc and /sys")
    var root = "/"

    func run() throws {
        let paths = Paths()
        let read = Config(path: config ?? paths.configFile, mustExist: config != nil)
        for problem in read.problems { fputs("nightjard: \(problem)\n", stderr) }
        guard read.problems.isEmpty else { throw ExitCode(2) }
        if check {
            print("\(read.files.isEmpty ? "defaults" : read.files.joined(separator: ", ")): fine")
            return
        }
        let logs = read.text("Logging", "Directory")
        let log = OwnLog(
            directory: logs.isEmpty ? paths.logs : logs, level: read.text("Logging", "Level"),
            maxBytes: read.bytes("Logging", "MaxSize").count)
        do {
            throw ExitCode(try Agent(config: read, paths: paths, root: root, log: log).run())
        } catch let error as AgentError {
            log.error("cannot start: \(error)")
            log.finish()
            throw ExitCode(3)
        }
    }
}

signal(SIGPIPE, SIG_IGN)
do {
    var command = try Nightjard.parseAsRoot()
    try command.run()
} catch {
    let code = Nightjard.exitCode(for: error)
    let message = Nightjard.fullMessage(for: error)
    if !message.isEmpty { fputs(message + "\n", code.isSuccess ? stdout : stderr) }
    fflush(stdout)
    exit(code == .validationFailure ? 2 : code.rawValue)
}
