import Glibc
import Logging
import NightjarLogFile

// The same service with the same debug log left on, through NightjarLogFile: it survives, the disk keeps room for the
// orders, and the log itself says what was left out.

let debugLogTamed = Incident(
    name: "debug-log-tamed",
    story: "the same debug log goes through NightjarLogFile and the disk stays usable",
    detector: nil,
    limit: .seconds(60),
    mustSay: [],
    run: { arguments in try runDebugLogTamed(arguments: arguments) }
)

/// Arguments as of `debug-log`. Fails where a request failed or the log grew beyond its budget.
func runDebugLogTamed(arguments: Arguments) throws {
    let disk = try SmallDisk(for: "debug-log-tamed", arguments)
    defer { disk.end() }
    let budget = 64 << 20
    let log = LogFile("\(disk.directory)/debug-log-tamed.log") { settings in
        settings.level = .debug
        settings.retention.totalBytes = budget
        settings.errorFile?.retention.totalBytes = 16 << 20
        settings.notices = .standardError
    }
    let logger = Logger(label: "cart.cache", factory: { log.handler(label: $0) })
    var service = DebugService(directory: disk.directory, arguments)
    service.run { line in
        logger.debug("\(line)")
        return line.utf8.count
    }
    log.flush()
    let ledger = log.ledger
    let bytes = log.health.bytesOnDisk
    log.close()
    print(
        "log: \(ledger.produced) records, \(ledger.kept) kept, \(ledger.droppedTotal) left out, \(bytes) bytes on disk")
    guard service.failed == 0, bytes <= budget, ledger.kept + ledger.droppedTotal == ledger.produced else {
        throw SmallDisk.Trouble(
            text: "\(service.failed) requests failed, \(bytes) bytes of log on a budget of \(budget)")
    }
    for name in ["debug-log-tamed.log", "debug-log-tamed-error.log"] {
        _ = system("rm -f '\(disk.directory)/\(name)'*")
    }
}
