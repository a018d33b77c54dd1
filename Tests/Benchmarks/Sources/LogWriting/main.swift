// What a log call costs, CPU of all threads: switched off, left out, and written with rotation and compression; beside
// swift-log's own stream handler and spdlog's rotating sink in the same run. A line is about 150 bytes of JSON.

import BenchmarkKit
import CSpdlog
import Glibc
import Logging
import NightjarLogFile

let rounds = Arguments.isQuick ? 3 : 9
let cheap = Arguments.isQuick ? 200_000 : 1_000_000
let lines = Arguments.isQuick ? 100_000 : 400_000
var template = Array("/tmp/nightjar-bench.XXXXXX".utf8CString)
let folder = String(cString: mkdtemp(&template)!)

func makeLog(_ name: String, _ configure: (inout LogFileConfiguration) -> Void = { _ in }) -> (LogFile, Logger) {
    let file = LogFile("\(folder)/\(name).log") { settings in
        settings.sampling = .none
        settings.compression = .none
        settings.errorFile = nil
        settings.freeSpaceFloor = .none
        settings.notices = .silent
        settings.rotation.bytes = 16 << 20
        settings.retention.totalBytes = 128 << 20
        configure(&settings)
    }
    return (file, Logger(label: "bench.service", factory: { file.handler(label: $0) }))
}

/// Never faster than the writer, so that every line is written and paid for.
func write(_ file: LogFile, _ logger: Logger, _ line: (Logger, Int) -> Void) {
    for index in 0..<lines {
        line(logger, index)
        if index % 4_096 == 4_095 { file.flush() }
    }
    file.flush()
}

func request(_ logger: Logger, _ index: Int) {
    logger.info("GET /api/v1/cart/items finished with status 200, request \(index)")
}

/// Until every rotated file is packed: that work is part of the price.
func settle(_ file: LogFile) {
    while file.health.packedFiles < file.health.rotations {
        usleep(2_000)
        file.flush()
    }
}

/// What swift-log's own handler writes to.
struct DescriptorStream: TextOutputStream, Sendable {
    let stream: LockedFile
    mutating func write(_ text: String) { stream.write(text) }
}

/// As swift-log's standard streams do it: fwrite and a flush a line.
final class LockedFile: @unchecked Sendable {
    private let file: UnsafeMutablePointer<FILE>
    init(_ path: String) { file = fopen(path, "a")! }
    func write(_ text: String) {
        var text = text
        flockfile(file)
        defer { funlockfile(file) }
        _ = text.withUTF8 { fwrite($0.baseAddress!, 1, $0.count, file) }
        _ = fflush(file)
    }
}

let (plainFile, plain) = makeLog("plain")
let (siteFile, site) = makeLog("site")
let (packedZstdFile, packedZstd) = makeLog("zstd") { $0.compression = .zstd() }
let (packedGzipFile, packedGzip) = makeLog("gzip") { $0.compression = .gzip() }
let (ruleFile, ruled) = makeLog("rule") {
    $0.sampling = Sampling(
        rules: [.info: .firstThenEvery(first: 1, every: 1 << 20)], bytesPerSecond: nil, verboseBytesPerSecond: nil)
}
let (budgetFile, budgeted) = makeLog("budget") { $0.sampling = Sampling(bytesPerSecond: 1_000) }
let streamFile = LockedFile("\(folder)/stream.log")
let stream = Logger(label: "bench.service") { label in
    StreamLogHandler(label: label, stream: DescriptorStream(stream: streamFile), metadataProvider: nil)
}
let hasSpdlog = spdlog_open("\(folder)/spdlog.log", 16 << 20, 6) == 1
let streamLines = lines / 8
for logger in [plain, site, ruled, budgeted, packedZstd, packedGzip] { logger.info("first") }

let series = interleaved(
    rounds: rounds, clock: processCPUSeconds,
    [
        { for index in 0..<cheap { plain.debug("value \(index)") } },
        { for index in 0..<cheap { site.sampled(.info, "value \(index)", first: 1, thenEvery: 1 << 30) } },
        { for index in 0..<cheap { ruled.info("GET /api/v1/cart/items finished, request \(index)") } },
        { for index in 0..<cheap { budgeted.info("GET /api/v1/cart/items finished, request \(index)") } },
        { write(plainFile, plain, request) },
        {
            write(packedZstdFile, packedZstd, request)
            settle(packedZstdFile)
        },
        {
            write(packedGzipFile, packedGzip, request)
            settle(packedGzipFile)
        },
        { for index in 0..<streamLines { request(stream, index) } },
        { for index in 0..<cheap { spdlog_disabled(index) } },
        { for index in 0..<lines { spdlog_request(index) } },
    ])

func nanoseconds(_ index: Int, _ count: Int) -> Series { Series(series[index].values.map { $0 / Double(count) * 1e9 }) }
let disabled = nanoseconds(0, cheap)
let callSite = nanoseconds(1, cheap)
let byRule = nanoseconds(2, cheap)
let byBudget = nanoseconds(3, cheap)
let written = nanoseconds(4, lines)
let zstd = nanoseconds(5, lines)
let gzip = nanoseconds(6, lines)
let swiftLog = nanoseconds(7, streamLines)
let spdlogOff = nanoseconds(8, cheap)
let spdlog = nanoseconds(9, lines)

let report = Report("LogWriting: CPU of all threads per call, a line of 150 bytes")
report.add("level off", disabled, scale: 1, "ns")
report.add("left out at the call site", callSite, scale: 1, "ns")
report.add("left out by a rule in the handler", byRule, scale: 1, "ns")
report.add("left out by the byte budget in the handler", byBudget, scale: 1, "ns")
report.add("written", written, scale: 1, "ns")
report.add("written, rotated, zstd", zstd, scale: 1, "ns")
report.add("written, rotated, gzip", gzip, scale: 1, "ns")
report.add("swift-log's stream handler, to a file", swiftLog, scale: 1, "ns")
if hasSpdlog {
    report.add("spdlog 1.10, level off", spdlogOff, scale: 1, "ns")
    report.add("spdlog 1.10, rotating sink, no compression", spdlog, scale: 1, "ns")
    report.add("written / spdlog rotating", medianRatio(written, spdlog), "×", .atMost(1.25))
    report.add("written, rotated, zstd / spdlog rotating", medianRatio(zstd, spdlog), "×", .atMost(1.6))
    report.add("written, rotated, gzip / spdlog rotating", medianRatio(gzip, spdlog), "×", .atMost(1.6))
    report.add("left out in the handler / spdlog rotating", medianRatio(byRule, spdlog), "×", .atMost(0.75))
} else {
    report.add("spdlog is not installed (libspdlog-dev)", .nan, "")
}
report.add("left out at the call site / level off", medianRatio(callSite, disabled), "×", .atMost(2.2))
report.add("written, rotated, zstd / stream handler", medianRatio(zstd, swiftLog), "×", .atMost(0.25))
report.add("written, rotated, gzip / stream handler", medianRatio(gzip, swiftLog), "×", .atMost(0.2))
let lost = [plainFile, packedZstdFile, packedGzipFile].reduce(0) { $0 + $1.ledger.droppedTotal }
report.add("lines lost while writing", Double(lost), "", .atMost(0))
for file in [plainFile, siteFile, packedZstdFile, packedGzipFile, ruleFile, budgetFile] { file.close() }
if hasSpdlog { spdlog_close() }
_ = system("rm -rf '\(folder)'")
report.finish()
