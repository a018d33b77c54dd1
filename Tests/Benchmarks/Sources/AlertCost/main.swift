// What an answer costs in the alert book. Nearly all answers are "quiet" about subjects without an alert, tens of
// thousands a second; their floor is one look-up of the detector's name in a dictionary of strings.

import BenchmarkKit
import NightjarAlerts
import NightjarModel

func subject(_ index: Int) -> Subject {
    Subject(
        .process, name: "worker-\(index)", unit: "unit-\(index).service",
        process: ProcessKey(pid: Int32(index), startTime: 1))
}

func finding(_ index: Int, _ detector: String) -> Finding {
    Finding(
        detector: detector, subject: subject(index), severity: .warning, verdict: "leak",
        sentence: "live heap floor 96 → 132 MiB in 6 min, still rising; limit 512 MiB in about 63 min",
        details: ["JSONValue                +21 MiB  58 % of the rise   first seen 14:02"],
        evidence: [EvidenceField("to", .bytes(.mebi(132))), EvidenceField("rate", .bytesPerSecond(1e5))])
}

/// Nanoseconds a call.
func nanoseconds(_ times: Int, _ body: () -> Void) -> Double {
    let begin = threadCPUSeconds()
    for _ in 0..<times { body() }
    return (threadCPUSeconds() - begin) / Double(times) * 1e9
}

let now = Moment(seconds: 1_700_000_000)
let times = Arguments.isQuick ? 20_000 : 200_000
let names = ["CPUSpin": 1, "HeapGrowth": 2, "ThreadLeak": 3]
let one = subject(7)
var book = AlertBook()
_ = book.receive(.found(finding(1, "CPUSpin")), from: "CPUSpin", about: subject(1), at: now)

var sum = 0
let floor = nanoseconds(times) { sum &+= names[one.name] ?? 1 }
let idle = nanoseconds(times) { sum &+= book.receive(.quiet, from: "HeapGrowth", about: one, at: now).count }
let other = nanoseconds(times) { sum &+= book.receive(.quiet, from: "CPUSpin", about: one, at: now).count }
let gone = nanoseconds(times) { book.ended(ProcessKey(pid: 99, startTime: 1), at: now) }

var full = AlertBook()
for index in 0..<512 {
    _ = full.receive(.found(finding(index, "CPUSpin")), from: "CPUSpin", about: subject(index), at: now)
}
let confirm = nanoseconds(times / 20) {
    sum &+= full.receive(.found(finding(7, "CPUSpin")), from: "CPUSpin", about: one, at: now).count
}
let tick = nanoseconds(max(times / 2000, 20)) { sum &+= full.tick(at: now).count }
let snapshot = full.snapshot(at: now)
let bytes = snapshot.filter { $0.key.hasPrefix("alert/") }.reduce(0) { $0 + $1.bytes.count }

let report = Report("AlertCost")
report.add("floor: a name in a dictionary", floor, "ns")
report.add("quiet, no alert of the detector", idle, "ns")
report.add("  beside the floor", idle / floor, "×", .atMost(4))
report.add("quiet, the detector has another alert", other, "ns")
report.add("  beside the floor", other / floor, "×", .atMost(16))
report.add("a process ended that confirms nothing", gone, "ns")
report.add("found again, 512 open", confirm / 1000, "µs")
report.add("a round's tick, 512 open", tick / 1000, "µs")
report.add("snapshot of one alert", Double(bytes) / 512, "bytes", .atMost(1024))
report.add("(kept from being optimised away)", Double(sum & 1), "")
report.finish()
