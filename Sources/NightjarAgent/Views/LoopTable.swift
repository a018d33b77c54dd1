// Services with a probe as a person reads them: in one line each for `top`, on a page of its own for `show`.
//
//     checkout (pid 4242)  3 loops
//     LOOP             STATE    LAG P50  P99     MAX     STALLS  HELD UP  LONGEST
//     event loop 1     stalled  0.1 ms   1.2 ms  2.1 s        3    2.9 s    2.1 s
//     stalls, newest first
//       12 s ago  event loop 1  668 ms  computing
//           Catalog.decode() Catalog.swift:25 in JSONDecoder.decode(_:from:)
//           called by closure #1 in routes(catalog:) Routes.swift:26

import NightjarModel

enum LoopTable {
    /// One line a service, the one that is held up most on top; empty where nothing has a probe.
    static func lines(_ services: [ProbeSnapshot.Service], width: Int, limit: Int, now: Moment) -> [String] {
        let sorted = services.sorted { ($0.urgency, $1.name) > ($1.urgency, $0.name) }
        var lines = sorted.prefix(limit).map { TextTable.cut(line($0, now), to: width) }
        if sorted.count > limit { lines.append("and \(sorted.count - limit) more services with a probe") }
        return lines
    }

    private static func line(_ service: ProbeSnapshot.Service, _ now: Moment) -> String {
        if let open = service.loops.filter({ $0.open != nil }).max(by: { $0.open ?? .zero < $1.open ?? .zero }) {
            let record = service.stalls.last { $0.loop == open.name && !$0.isOver }
            let cause = record.map { ": " + words($0.evidence) } ?? ""
            return "\(service.name)  \(open.name) is held up for \((open.open ?? .zero).spoken)\(cause)"
        }
        let loops = service.loops.filter { !$0.isPool }
        var parts = ["\(service.name)  \(loops.count) \(loops.count == 1 ? "loop" : "loops")"]
        if let lag = loops.compactMap(\.lag99).max(), let most = loops.compactMap(\.lagMaximum).max() {
            parts.append("lag p99 \(lag.spoken), longest \(most.spoken) in the last minute")
        }
        if let last = service.stalls.last {
            let age = (now - last.time).spoken
            parts.append("last stall \(age) ago, \(last.evidence.duration.spoken) \(words(last.evidence))")
        } else {
            parts.append("no stalls")
        }
        return parts.joined(separator: ", ")
    }

    /// A service's loops and its latest stalls with their evidence.
    static func page(_ service: ProbeSnapshot.Service, width: Int, colour: Bool, now: Moment) -> String {
        let unit = service.unit.map { ", \($0)" } ?? ""
        var text = "\(service.name) (pid \(service.pid)\(unit))\n" + table(service).text(width: width, colour: colour)
        text += stalls(service.stalls, now: now)
        if service.suppressed > 0 { text += "\(service.suppressed) reports were held back by the probe's budget\n" }
        return text + "nightjar stacks \(service.pid)\n"
    }

    private static func table(_ service: ProbeSnapshot.Service) -> TextTable {
        var table = TextTable([
            .init("LOOP", isFlexible: true), .init("STATE"), .init("LAG P50", .right), .init("P99", .right),
            .init("MAX", .right), .init("STALLS", .right), .init("HELD UP", .right), .init("LONGEST", .right),
            .init("NO CPU", .right),
        ])
        for loop in service.loops {
            let lags = [loop.lagMedian, loop.lag99, loop.lagMaximum].map { $0?.spoken ?? "-" }
            table.add(
                [loop.name, loop.open.map { "held up \($0.spoken)" } ?? loop.state] + lags
                    + ["\(loop.stalls)", loop.blocked.spoken, loop.longest.spoken, loop.starved.spoken],
                loop.open == nil ? .none : .warning)
        }
        return table
    }

    /// The latest stalls, newest first, with who called and who holds what. Evidence is not cut.
    static func stalls(_ records: [StallRecord], now: Moment) -> String {
        guard !records.isEmpty else { return "no stalls\n" }
        var lines = ["stalls, newest first"]
        for record in records.reversed() {
            let length = record.evidence.duration.spoken + (record.isOver ? "" : " and on")
            let evidence = record.evidence
            lines.append("  \((now - record.time).spoken) ago  \(record.loop)  \(length)  \(evidence.phrase)")
            lines += ([evidence.function].filter { !$0.isEmpty } + evidence.lines).map { "      \($0)" }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// One that is no longer there: when and how it went, and what had not come back by then.
    static func departure(_ departure: Departure, now: Moment) -> String {
        let age = (now - departure.time).spoken
        let lines =
            ["\(departure.service) (pid \(departure.pid)) \(departure.how) \(age) ago"]
            + (departure.wasDoing.isEmpty ? ["no loop was held up"] : departure.wasDoing).map { "  \($0)" }
        return lines.map { $0 + "\n" }.joined()
    }

    private static func words(_ evidence: StallEvidence) -> String {
        evidence.function.isEmpty ? evidence.phrase : "\(evidence.phrase): \(evidence.function)"
    }
}

extension ProbeSnapshot.Service {
    /// What is going on comes before what was.
    fileprivate var urgency: Duration {
        loops.compactMap(\.open).max().map { $0 + .seconds(3600) } ?? loops.compactMap(\.lagMaximum).max() ?? .zero
    }
}

extension ProbeSnapshot {
    /// The services that an operator means by a name or a process id.
    func services(named name: String) -> [Service] {
        services.filter { $0.name == name || $0.unit == name || "\($0.pid)" == name }
    }

    /// Those that went away, oldest first.
    func departures(named name: String) -> [Departure] {
        departures.filter { $0.service == name || "\($0.pid)" == name }
    }

    /// The stalls that an alert of a loop or pool is about, newest last.
    func stalls(of subject: Subject) -> [StallRecord] {
        let service = services.first { $0.pid == subject.process?.pid }
        return (service?.stalls ?? []).filter { subject.label.hasSuffix($0.loop) || subject.label == service?.name }
    }
}
