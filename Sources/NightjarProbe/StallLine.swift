// A stall as one line of the service's own log:
//
//     nightjar: checkout: main queue stalled 312 ms, computing (98 % on a processor): Checkout.parse(_:) Checkout.swift:88
//     in JSONDecoder.decode(_:from:) ← closure #1 in Checkout.run()

import NightjarSymbols
import NightjarWire

enum StallLine {
    private static let callers = 3

    static func text(_ report: StallReport, service: String, symbolizer: Symbolizer) -> String {
        let head = "nightjar: \(service): \(report.loop)"
        if report.cause == .poolExhausted { return pool(report, head, symbolizer) }
        let story = StackStory(report.samples.map { stack(of: $0.addresses, symbolizer) })
        let verb = report.phase == .ended ? "stalled" : "is stalled for"
        var line = "\(head) \(verb) \(spoken(report.lastedNanoseconds)), \(cause(report)): \(story.sentence)"
        line += story.callers(callers).map { " ← \($0.name)" }.joined()
        for holder in report.threads where holder.role == .holder { line += "; \(self.holder(holder, symbolizer))" }
        return line
    }

    private static func cause(_ report: StallReport) -> String {
        let phrase = report.cause.phrase(call: report.call, target: report.target)
        guard report.cause == .computing, report.lastedNanoseconds > 0 else { return phrase }
        let share = min(100, report.ranNanoseconds &* 100 / report.lastedNanoseconds)
        let waited = report.waitedNanoseconds
        let queue = waited >= report.lastedNanoseconds / 5 ? ", \(spoken(waited)) waiting for one" : ""
        return "\(phrase) (\(share) % on a processor\(queue))"
    }

    private static func holder(_ thread: ThreadReport, _ symbolizer: Symbolizer) -> String {
        let story = StackStory([stack(of: thread.addresses, symbolizer)])
        let call =
            thread.call >= 0 ? ", in \(SystemCall.name(thread.call))" : thread.doing == .running ? ", running" : ""
        return "held by \(ThreadName.spoken(thread.name)) (thread \(thread.tid)\(call)): \(story.sentence)"
    }

    private static func pool(_ report: StallReport, _ head: String, _ symbolizer: Symbolizer) -> String {
        let verb = report.phase == .ended ? "was exhausted for" : "is exhausted for"
        let threads = report.threads.map { StackStory([stack(of: $0.addresses, symbolizer)]).sentence }
        var counts: [(String, Int)] = []
        for thread in threads {
            if let index = counts.firstIndex(where: { $0.0 == thread }) {
                counts[index].1 += 1
            } else {
                counts.append((thread, 1))
            }
        }
        let list = counts.map { $0.1 > 1 ? "\($0.1) × \($0.0)" : $0.0 }.joined(separator: "; ")
        return "\(head) \(verb) \(spoken(report.lastedNanoseconds)), \(report.target): \(list)"
    }

    private static func stack(of addresses: [UInt64], _ symbolizer: Symbolizer) -> [SymbolizedFrame] {
        symbolizer.stack(of: addresses)
    }
}

/// `312 ms`, `4.1 s`, `12 min`.
func spoken(_ nanoseconds: UInt64) -> String {
    let milliseconds = nanoseconds / 1_000_000
    switch milliseconds {
    case ..<1000: return "\(milliseconds) ms"
    case ..<10_000: return "\(milliseconds / 1000).\(milliseconds % 1000 / 100) s"
    case ..<600_000: return "\(milliseconds / 1000) s"
    default: return "\(milliseconds / 60_000) min"
    }
}
