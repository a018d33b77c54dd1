// What does it cost to watch logs? 500 files, a tenth of which grow, and a journal that takes 10,000 lines a second;
// a round every ten seconds, as the agent does it.
//
//     500 files        one statx a file, 4 KiB sampled of each that grows
//     the journal      100,000 entries between two rounds: 1,500 read one by one, the rest estimated from stretches
//
// Both together may take 1 % of a core. The journal is measured where one runs (Tests/System/journald-sandbox.sh gives
// this program one of its own).

import BenchmarkKit
import Glibc
import NightjarModel
import NightjarSources

let roundLength = 10.0
let files = 500
let growing = 50
let report = Report("watching logs")

/// CPU seconds of one round over the files, the median of several.
func filesRound() -> Double {
    var template = Array("/dev/shm/nightjar-bench.XXXXXX".utf8CString)
    let folder = String(cString: mkdtemp(&template)!)
    defer { removeFolder(folder) }
    let line = [UInt8](repeating: 65, count: 139) + [10]
    let block = Array(repeatElement(line, count: 70_000 / 140).joined())
    func append(_ name: String, _ bytes: [UInt8]) {
        let descriptor = open("\(folder)/\(name)", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        _ = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        close(descriptor)
    }
    for number in 0..<files { append("\(number).log", line) }
    let watched = LogFiles(patterns: ["\(folder)/*.log"])
    var miner = TemplateMiner()
    _ = watched.round(at: Moment(seconds: 0))
    var costs = Series()
    for round in 1...12 {
        for number in 0..<growing { append("\(number).log", block) }
        let begin = threadCPUSeconds()
        let now = Moment(seconds: Double(round) * roundLength)
        for growth in watched.round(at: now) {
            for line in growth.lines { line.withUnsafeBufferPointer { miner.observe($0, weight: 1, at: now) } }
        }
        costs.append(threadCPUSeconds() - begin)
    }
    return costs.median
}

func removeFolder(_ folder: String) {
    for number in 0..<files { unlink("\(folder)/\(number).log") }
    rmdir(folder)
}

/// CPU seconds of one round over 100,000 new entries; nil without a journal.
func journalRound() -> Double? {
    guard access("/run/systemd/journal/stdout", W_OK) == 0, let journal = JournalVolume() else { return nil }
    _ = journal.round()
    var costs = Series()
    for _ in 0..<3 {
        let text = "DEBUG cache miss for key=9f3a in shard 7 \(String(repeating: "7", count: 100))"
        guard system("yes '\(text)' | head -n 100000 | systemd-cat -t bench && journalctl --sync") == 0 else {
            return nil
        }
        let begin = threadCPUSeconds()
        let round = journal.round()
        costs.append(threadCPUSeconds() - begin)
        let counted = round.shares.values.reduce(0) { $0 + $1.entries }
        print("  \(Int(round.entries)) entries, \(Int(counted)) counted, estimated: \(round.isEstimated)")
    }
    return costs.median
}

let filesCost = filesRound()
report.add("500 files, 50 of them growing, a round", filesCost * 1e3, "ms")
report.add("the same, of a core", filesCost / roundLength * 100, "%", .atMost(0.5))
if let cost = journalRound() {
    report.add("100,000 journal entries, a round", cost * 1e3, "ms")
    report.add("the same, of a core", cost / roundLength * 100, "%")
    report.add("both, of a core", (filesCost + cost) / roundLength * 100, "%", .atMost(1))
} else {
    print("  no journal here: run it in Tests/System/journald-sandbox.sh to measure that part")
}
report.finish()
