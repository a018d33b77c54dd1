// The false alarms and misses of other tools, each under its name, with what this one must say.

import Foundation
import NightjarDetectors
import NightjarModel
import NightjarTestKit
import Testing

struct NamedHistory: CustomTestStringConvertible, Sendable {
    enum Expected: Sendable { case quiet, neverLeak, leak }

    let name: String
    let expected: Expected
    let days: Double
    let interval: Double
    let mebibytes: @Sendable (Double, inout SplitMix) -> Double
    /// Of a process whose files grow as well.
    var fileMebibytes: (@Sendable (Double) -> Double)?

    init(
        _ name: String, _ expected: Expected, days: Double = 9, every interval: Double = 900,
        file: (@Sendable (Double) -> Double)? = nil, _ mebibytes: @escaping @Sendable (Double, inout SplitMix) -> Double
    ) {
        (self.name, self.expected, self.days, self.interval) = (name, expected, days, interval)
        self.mebibytes = mebibytes
        fileMebibytes = file
    }

    var testDescription: String { name }

    var history: History {
        var history = History(days, every: interval, mebibytes)
        history.name = name
        return history
    }

    var samples: [HeapSample] {
        history.samples().map { sample in
            guard let file = fileMebibytes?(sample.time.seconds) else { return sample }
            return HeapSample(time: sample.time, live: sample.live, fileBacked: .mebi(Int64(file)))
        }
    }

    /// As a trace file: one row a reading.
    var text: String {
        var text = "# nightjar-trace v1; source=made; speedup=1; KiB\nt,anon\n"
        for sample in history.samples() { text += "\(Int(sample.time.seconds)),\(sample.live.count / 1024)\n" }
        return text
    }

    static let all: [NamedHistory] = [
        // Found.
        .init("steady-leak", .leak, days: 5) { t, random in 200 + 10 * t / oneDay + 0.3 * random.normal() },
        .init("leak-under-daily-load", .leak, days: 8) { t, random in
            300 + 14 * t / oneDay + 60 * load(t) + 20 * garbage(t, every: 5 * 3600) + random.normal()
        },
        .init("twelve-megabytes-a-day", .leak, days: 7) { t, random in
            900 + 12 * t / oneDay + 8 * garbage(t, every: 7000) + random.normal()
        },
        .init("leak-since-a-deploy", .leak) { t, random in
            200 + (t > 4 * oneDay ? 60 + 14 * (t / oneDay - 4) : 0) + 0.5 * random.normal()
        },
        .init("leak-that-begins-late", .leak, days: 12) { t, random in
            250 + 16 * max(0, t / oneDay - 6) + 10 * garbage(t, every: 4000) + 0.5 * random.normal()
        },
        .init("stair-of-requests", .leak) { t, random in
            180 + 6 * (t / (0.4 * oneDay)).rounded(.down) + 0.3 * random.normal()
        },
        .init("season-and-leak", .leak) { t, random in 400 + 16 * t / oneDay + 90 * load(t) + random.normal() },
        .init("one-alert-per-life", .leak) { t, random in
            500 + 25 * t / oneDay + 80 * garbage(t, every: 9 * 3600) + 2 * random.normal()
        },
        // Quiet.
        .init("idle", .quiet) { _, _ in 64 },
        .init("busy-then-rests", .quiet) { t, random in 100 + 300 * load(t) + random.normal() },
        .init("warm-up-of-a-jit-runtime", .quiet, days: 3) { t, random in
            80 + 240 * (1 - exp(-t / 2400)) + 60 * garbage(t, every: 1700) + random.normal()
        },
        .init("database-cache-warms-up", .quiet, days: 6) { t, random in
            50 + 4000 * (1 - exp(-t / 9000)) + random.normal()
        },
        .init("more-instances-is-not-growth", .quiet) { _, random in 150 + 0.5 * random.normal() },
        .init("gc-sawtooth", .quiet) { t, random in 120 + 200 * garbage(t, every: 11 * 3600) + 3 * random.normal() },
        .init("first-quarter-hour", .quiet, days: 0.2, every: 10) { t, _ in 40 + 400 * min(1, t / 900) },
        .init("cache-that-fills-once", .neverLeak, days: 10) { t, random in
            200 + 900 * min(1, t / (2.2 * oneDay)) + random.normal()
        },
        .init("page-cache-is-not-heap", .quiet, file: { 100 + 900 * $0 / oneDay }) { _, random in
            90 + 0.2 * random.normal()
        },
        .init("own-store-is-not-a-leak", .quiet, file: { 2.5 * 24 * $0 / oneDay }) { t, random in
            25 + 2 * garbage(t, every: 3600) + 0.1 * random.normal()
        },
        .init("forked-workers-share-pages", .quiet, file: { _ in 3000 }) { _, random in 40 + 0.3 * random.normal() },
        .init("flat-with-five-steps", .quiet) { t, _ in
            500 + [0.7, 2.1, 3.9, 5.2, 7.4].reduce(0) { $0 + (t > $1 * oneDay ? 0.15 : 0) }
        },
        .init("step-after-deploy", .quiet) { t, random in 200 + (t > 3 * oneDay ? 90 : 0) + random.normal() },
        .init("batch-sawtooth", .quiet) { t, random in
            150 + ((t / oneDay).truncatingRemainder(dividingBy: 1) < 0.1 ? 900 : 0) + 2 * random.normal()
        },
        .init("fragmentation-churn", .neverLeak) { t, random in
            100 + 80 * (1 - exp(-t / (0.7 * oneDay))) + 6 * sin(t / 40_000) + random.normal()
        },
    ]
}
