// What the history weighs in the agent: anonymous memory of SQLite with five thousand detector states saved, and saved
// again unchanged; and the time of each. The states themselves belong to the agent and are made beforehand.

import BenchmarkKit
import Glibc
import NightjarHistory
import NightjarModel

let count = Arguments.isQuick ? 1000 : 5000
let folder = "/var/tmp/nightjar-history-\(getpid())"
mkdir(folder, 0o700)
let path = "\(folder)/history.db"

func anonymous() -> Double { procField("RssAnon") ?? .nan }

let states = (0..<count).map { index in
    (key: "HeapGrowth/unit-\(index).service/worker", bytes: (0..<1024).map { UInt8(truncatingIfNeeded: $0 &* index) })
}
let before = anonymous()
let history = History.open(path)
let opened = anonymous()

func milliseconds(_ body: () -> Void) -> Double {
    let begin = wallSeconds()
    body()
    return (wallSeconds() - begin) * 1000
}

let first = milliseconds { history.save(states: states) }
let rows = history.counters.rowsWritten
let saved = anonymous()
let again = milliseconds { for _ in 0..<10 { history.save(states: states) } } / 10
let settled = anonymous()
let few = milliseconds { history.save(states: Array(states.prefix(1).map { (key: $0.key, bytes: [1, 2, 3]) })) }
let rowsAgain = history.counters.rowsWritten - rows

let report = Report("HistoryWeight: \(count) states of 1 KiB")
report.add("anonymous memory of an open history", opened - before, "KiB", .atMost(512))
report.add("  after saving everything", saved - before, "KiB", .atMost(1024))
report.add("  after saving it ten times more", settled - before, "KiB", .atMost(1024))
report.add("rows written by eleven further saves", Double(rowsAgain), "", .atMost(1))
report.add("save of everything, new", first, "ms")
report.add("save of everything, unchanged", again, "ms")
report.add("save of one changed state", few, "ms")
report.add("size on disk a state", Double(history.size?.count ?? 0) / Double(count), "bytes", .atMost(3072))
history.close()
for suffix in ["", "-wal", "-shm"] { unlink(path + suffix) }
rmdir(folder)
report.finish()
