import CNightjarLinux
@preconcurrency import Glibc
import NightjarAgent
import NightjarModel

// `nightjard`: the agent. See nightjard(8).

/// Watches until a signal ends it, and answers with the exit code.
func run(_ options: Options.Run) -> Int32 {
    let paths = Paths()
    let config = Config(path: options.config ?? paths.configFile, mustExist: options.config != nil)
    for problem in config.problems { fputs("nightjard: \(problem)\n", stderr) }
    guard config.problems.isEmpty else { return 2 }
    if options.check {
        print("\(config.files.isEmpty ? "defaults" : config.files.joined(separator: ", ")): fine")
        return 0
    }
    let logs = config.text("Logging", "Directory")
    let log = OwnLog(
        directory: logs.isEmpty ? paths.logs : logs, level: config.text("Logging", "Level"),
        maxBytes: config.bytes("Logging", "MaxSize").count)
    do {
        return try Agent(config: config, paths: paths, root: options.root, log: log).run()
    } catch {
        log.error("cannot start: \(error)")
        log.finish()
        return 3
    }
}

signal(SIGPIPE, SIG_IGN)
// Helper threads come and go; an arena each would keep what they once used.
_ = nj_malloc_arenas(1)
let code: Int32
switch Options.parse(Array(CommandLine.arguments.dropFirst())) {
case .help:
    print(Options.helpText)
    code = 0
case .version:
    print(agentVersion)
    code = 0
case .mistake(let what):
    fputs("nightjard: \(what)\n\(Options.usage)\n", stderr)
    code = 2
case .run(let options):
    code = run(options)
}
fflush(stdout)
exit(code)
