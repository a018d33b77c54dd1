// Three options need no parser of a whole command language: swift-argument-parser links Foundation, and that alone was
// 8 MiB of the agent's resident memory. (`nightjar`, which runs for a second, uses it.)

/// What the command line of `nightjard` asks for.
enum Options {
    struct Run {
        /// Nil: the usual place, which need not exist.
        var config: String?
        var check = false
        var root = "/"
    }

    case run(Run)
    case help
    case version
    /// One line that says what was wrong.
    case mistake(String)

    /// Takes `--name value` and `--name=value`.
    static func parse(_ arguments: [String]) -> Options {
        var run = Run()
        var rest = arguments[...]
        while let word = rest.popFirst() {
            let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = String(parts[0])
            let attached = parts.count == 2 ? String(parts[1]) : nil
            switch name {
            case "-h", "--help": return .help
            case "--version": return .version
            case "--check" where attached == nil: run.check = true
            case "--config", "--root":
                guard let value = attached ?? rest.popFirst(), !value.isEmpty else {
                    return .mistake("\(name) wants a value")
                }
                if name == "--config" { run.config = value } else { run.root = value }
            default:
                return .mistake("unknown argument '\(word)'")
            }
        }
        return .run(run)
    }

    static let usage = "usage: nightjard [--config FILE] [--check] [--root DIR]"

    static let helpText = """
        Watches every process, file system and log of this host, and says who is in trouble, where and why.

        Runs in the foreground; systemd starts it as nightjard.service. SIGHUP reads the configuration again,
        SIGTERM ends it.

        \(usage)

          --config FILE  the configuration; its drop-ins in FILE.d are read too (default: /etc/nightjar/nightjar.conf)
          --check        only check the configuration: name every mistake with file and line
          --root DIR     read DIR/proc and DIR/sys instead of /proc and /sys (default: /)
          --version      show the version
          -h, --help     show this

        Exit status: 0 ended by a signal, 2 wrong usage or a mistake in the configuration, 3 cannot start.
        """
}
