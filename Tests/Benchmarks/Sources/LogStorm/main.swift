// The story of the debug log that was left on: 1 GB of debug lines a second, offered by a service that has its own work
// to do, into a file system of 256 MB. Beside it the same service with the same lines to /dev/null.
//
// The service does a piece of work every 2 ms and measures how long it takes, from the moment when it was due; the flood
// comes from a second thread. Both logs take turns, so that whatever else the machine does meets both.
//
//     LogStorm [--quick] [--unsampled] [--directory DIR]
//
// DIR: an empty file system, else a tmpfs of 256 MB is mounted (root). Unsampled, every line is written that the writer
// can take: then the budget is what holds.

import BenchmarkKit
import Glibc
import Logging
import NightjarLogFile
import Synchronization

let rounds = Arguments.isQuick ? 3 : 8
let secondsPerTurn = Arguments.isQuick ? 1.0 : 3.0
/// Bytes a second.
let offered = 1_000_000_000.0
let isUnsampled = CommandLine.arguments.contains("--unsampled")
let padding = String(repeating: "x", count: 1_000)

/// Writes each message to /dev/null: the least that logging can be.
struct NullHandler: LogHandler {
    let descriptor: Int32
    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level = .trace
    var metadataProvider: Logger.MetadataProvider?
    subscript(metadataKey key: String) -> Logger.MetadataValue? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }
    func log(event: LogEvent) {
        var text = event.message.description
        _ = text.withUTF8 { write(descriptor, $0.baseAddress!, $0.count) }
    }
}

/// One turn: the flood in a thread of its own, the service in this one.
struct Turn {
    var latencies: [Double] = []
    var produced = 0
    var errors = 0
}

final class Flood: Sendable {
    let stops = Atomic(false)
    let lines = Atomic(0)
    let ended = Atomic(false)
    let logger: Logger

    init(_ logger: Logger) { self.logger = logger }

    /// Lines at the offered rate, in bursts of a fifth of a millisecond.
    func run() {
        let begin = wallSeconds()
        var count = 0
        while !stops.load(ordering: .relaxed) {
            let due = Int((wallSeconds() - begin) * offered / 1_024)
            let target = min(due, count + 200)
            while count < target {
                logger.debug("cache miss for item \(count) \(padding)")
                count += 1
            }
            if due <= count { usleep(100) }
        }
        lines.store(count, ordering: .relaxed)
        ended.store(true, ordering: .releasing)
    }
}

func work(_ seed: Int) -> UInt64 {
    var hash = UInt64(truncatingIfNeeded: seed)
    for step in 0..<60_000 { hash = (hash ^ UInt64(truncatingIfNeeded: step)) &* 0x100_0000_01B3 }
    return hash
}

func turn(_ logger: Logger) -> Turn {
    let flood = Flood(logger)
    var thread = pthread_t()
    let argument = Unmanaged.passRetained(flood)
    pthread_create(
        &thread, nil,
        { argument in
            Unmanaged<Flood>.fromOpaque(argument!).takeRetainedValue().run()
            return nil
        }, argument.toOpaque())
    var turn = Turn()
    let begin = wallSeconds()
    var due = begin
    while due < begin + secondsPerTurn {
        due += 0.002
        pause(seconds: due - wallSeconds())
        let result = work(turn.latencies.count)
        logger.info("request done \(result)")
        turn.produced += 1
        if turn.latencies.count % 50 == 0 {
            logger.error("payment \(turn.errors) failed")
            turn.errors += 1
        }
        turn.latencies.append(wallSeconds() - due)
    }
    flood.stops.store(true, ordering: .relaxed)
    pthread_join(thread, nil)
    turn.produced += flood.lines.load(ordering: .relaxed) + turn.errors
    return turn
}

func percentile(_ values: [Double], _ share: Double) -> Double {
    let sorted = values.sorted()
    return sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))]
}

/// A tmpfs of 256 MB that only this process sees, or the directory that was given.
func smallDisk() -> String? {
    if let directory = Arguments.value(of: "--directory") { return directory }
    typealias Unshare = @convention(c) (Int32) -> Int32
    typealias Mount =
        @convention(c) (
            UnsafePointer<CChar>?, UnsafePointer<CChar>, UnsafePointer<CChar>?, UInt, UnsafePointer<CChar>?
        ) -> Int32
    let everywhere = UnsafeMutableRawPointer(bitPattern: 0)
    let unshare = unsafeBitCast(dlsym(everywhere, "unshare"), to: Unshare.self)
    let mount = unsafeBitCast(dlsym(everywhere, "mount"), to: Mount.self)
    guard geteuid() == 0, unshare(0x0002_0000) == 0, mount("none", "/", nil, 1 << 14 | 1 << 18, nil) == 0,
        mount("none", "/mnt", "tmpfs", 0, "size=256m") == 0
    else { return nil }
    return "/mnt"
}

func bytesUsed(_ directory: String) -> Int {
    var status = statvfs()
    statvfs(directory, &status)
    return Int(status.f_blocks - status.f_bfree) * Int(status.f_frsize)
}

func count(_ needle: String, in directory: String, _ prefix: String) -> Int {
    let command = "cat \(directory)/\(prefix)* | grep -c '\(needle)'"
    guard let pipe = popen(command, "r") else { return -1 }
    defer { pclose(pipe) }
    var line = [CChar](repeating: 0, count: 64)
    fgets(&line, 64, pipe)
    return Int(String(decoding: line.prefix { $0 > 47 }.map { UInt8($0) }, as: UTF8.self)) ?? -1
}

guard let disk = smallDisk() else {
    print("LogStorm: skipped: needs root to mount a file system of 256 MB, or --directory")
    exit(0)
}
let before = bytesUsed(disk)
let budget = 160 << 20
let errorBudget = 32 << 20
let file = LogFile("\(disk)/storm.log") { settings in
    settings.level = .trace
    settings.notices = .silent
    if isUnsampled { settings.sampling = .none }
    settings.retention.totalBytes = budget
    settings.rotation.bytes = 8 << 20
    settings.errorFile?.retention.totalBytes = errorBudget
}
let storm = Logger(label: "storm") { file.handler(label: $0) }
let null = open("/dev/null", O_WRONLY)
let quiet = Logger(label: "storm") { _ in NullHandler(descriptor: null) }

var ratios = Series()
var all: [[Double]] = [[], []]
var produced = 0
var errors = 0
var floods = 0
var highest = 0
_ = turn(quiet)
for round in 0..<rounds {
    // Who begins changes from round to round.
    var p99 = [0.0, 0.0]
    for which in round % 2 == 0 ? [0, 1] : [1, 0] {
        let result = turn(which == 0 ? quiet : storm)
        p99[which] = percentile(result.latencies, 0.99)
        all[which] += result.latencies
        guard which == 1 else { continue }
        produced += result.produced
        errors += result.errors
        floods += result.produced
        highest = max(highest, bytesUsed(disk) - before)
    }
    ratios.append(p99[1] / p99[0])
}
file.close()
highest = max(highest, bytesUsed(disk) - before)
let ledger = file.ledger
let seconds = Double(rounds) * secondsPerTurn

let report = Report("LogStorm: 1 GB/s of debug lines into 256 MB, beside /dev/null")
report.add("offered", Double(floods) * 1_024 / seconds / 1e6, "MB/s")
report.add("p99 of the service, /dev/null", percentile(all[0], 0.99) * 1e6, "µs")
report.add("p99 of the service, LogFile", percentile(all[1], 0.99) * 1e6, "µs")
report.add(
    "p99, LogFile / /dev/null, median of \(rounds) rounds", ratios.median, "×",
    Arguments.isQuick || isUnsampled ? nil : .atMost(1.1))
report.add("produced", Double(produced), "records")
report.add("kept", Double(ledger.kept), "records")
report.add("dropped", Double(ledger.droppedTotal), "records")
report.add(
    "kept + dropped - produced", Double(ledger.kept + ledger.droppedTotal) - Double(produced), "", .atMost(0))
report.add(
    "produced - kept - dropped", Double(produced) - Double(ledger.kept + ledger.droppedTotal), "", .atMost(0))
report.add(
    "error lines missing on the disk", Double(errors - count("\"level\":\"error\"", in: disk, "storm-error.log")), "",
    .atMost(0))
report.add("errors dropped", Double(ledger.droppedErrors), "", .atMost(0))
report.add("most of the disk ever taken", Double(highest) / 1_048_576, "MiB")
report.add("  of the budget", Double(highest) / Double(budget + errorBudget), "", .atMost(1))
report.finish()
