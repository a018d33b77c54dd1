import Glibc
import NIOCore
import NightjarAlerts
import NightjarDetectors
import NightjarHistory
import NightjarModel
import NightjarSinks
import NightjarSources

// What the agent says of itself and of the host when asked: status, metrics, doctor.

extension Agent {
    /// One line for systemd's STATUS=, the log and `top`.
    var statusLine: String {
        let firing = book.open.filter { $0.state == .firing && $0.mutedBy == nil }.count
        var parts = [firing == 0 ? "nothing fires" : "\(firing) firing", "\(observatory.processCount) processes"]
        if let cpu = selfWatch.cpuShare { parts.append("agent \(ProcessTable.percent(cpu)) CPU") }
        if let memory = SelfWatch.memory() { parts.append("\(memory.rss) RSS") }
        parts.append("every \(selfWatch.interval.spoken)")
        return parts.joined(separator: ", ")
    }

    var statusJSON: JSON {
        let memory = SelfWatch.memory()
        return .object([
            ("version", .string(agentVersion)), ("now_seconds", .double(clock.now.seconds)),
            ("started_seconds", .double(startedAt.seconds)), ("processes", .int(Int64(observatory.processCount))),
            ("rounds", .int(selfWatch.rounds)), ("late_rounds", .int(selfWatch.lateRounds)),
            ("interval_seconds", .double(selfWatch.interval.inSeconds)),
            ("round_seconds", .double(selfWatch.lastRound.inSeconds)), ("cpu_share", .optional(selfWatch.cpuShare)),
            ("rss_bytes", .optional(memory?.rss.count)), ("anonymous_bytes", .optional(memory?.anonymous.count)),
            ("alerts_open", .int(Int64(book.open.count))), ("history", .string(history.condition.sentence)),
        ])
    }

    /// What works and what does not, in this agent, sinks apart.
    func checks() -> [DoctorReport.Check] {
        var checks: [DoctorReport.Check] = [.init(.good, "agent", statusLine)]
        checks += config.checks(fallback: paths.configFile)
        let missing = observatory.limitations + watches.refusals
        if missing.isEmpty { checks.append(.init(.good, "sight", "every process's figures can be read")) }
        checks += missing.map { .init(.limited, "sight", $0) }
        checks += watches.checks(config)
        if let failure = observatory.hostFailure { checks.append(.init(.bad, "host", failure)) }
        if selfWatch.interval > selfWatch.configuredInterval {
            let intervals = "\(selfWatch.interval.spoken) instead of \(selfWatch.configuredInterval.spoken)"
            checks.append(
                .init(
                    .limited, "budget",
                    "over the CPU budget: sampling every \(intervals); raise [Agent] CPUBudget= or Interval="))
        }
        switch history.condition {
        case .disk: checks.append(.init(.good, "history", history.condition.sentence))
        case .memory: checks.append(.init(.bad, "history", history.condition.sentence))
        }
        return checks
    }

    /// What the sinks did so far.
    func sinkChecks() -> [DoctorReport.Check] {
        var checks = sinks.map { sink in
            let counters = sink.counters
            let line = "\(counters.delivered) delivered, \(counters.failed) failed, \(counters.heldBack) held back"
            let last = counters.lastError.map { "; last: \($0)" } ?? ""
            return DoctorReport.Check(counters.failed > 0 ? .limited : .good, sink.name, line + last)
        }
        if sinks.allSatisfy({ $0.name == "terminal" }) {
            checks.append(.init(.limited, "sinks", "nobody is told: switch on [Journal], [Mail] or [Hook]"))
        }
        return checks
    }

    /// Answers now, or, where a sink's time limit or the disk must be waited for, by way of another thread.
    func answer(_ request: APIRequest, to promise: EventLoopPromise<APIResponse>) {
        switch recollection(for: request) {
        case nil where request.path == "/api/v1/doctor" && request.query["send-test"] == "1" && request.isLocal:
            proveSinks(promise)
        case nil: promise.succeed(answer(request, remembering: []))
        case let read?:
            let isTaken = reader.submit { [history, mailbox] in
                let found = read(history)
                let isTaken = mailbox.post { agent in promise.succeed(agent.answer(request, remembering: found)) }
                if !isTaken { promise.succeed(.problem(503, "too many requests wait; try again in a second")) }
            }
            if !isTaken { promise.succeed(.problem(503, "the history's disk is slow; try again in a minute")) }
        }
    }

    private func proveSinks(_ promise: EventLoopPromise<APIResponse>) {
        let known = checks()
        let sinks = sinks
        let now = clock.now
        let isTaken = prover.submit {
            let proofs = sinks.map { sink in
                switch sink.prove(at: now) {
                case .proved(let line): DoctorReport.Check(.good, sink.name, line)
                case .failed(let line): DoctorReport.Check(.bad, sink.name, line)
                }
            }
            promise.succeed(.text(DoctorReport(checks: known + proofs).wire))
        }
        if !isTaken { promise.succeed(.problem(503, "another test is under way; try again in a minute")) }
    }
}

extension History.Condition {
    /// One line for status and doctor.
    var sentence: String {
        switch self {
        case .disk: "kept on disk"
        case .memory(let reason): "kept in memory only, lost at a restart: \(reason)"
        }
    }
}

extension Agent {
    /// `/`: for a person with a browser.
    func page() -> APIResponse {
        let open = book.open
        let page = Page(
            host: Self.hostName(), status: statusLine, alerts: open, rows: observatory.rows(alerts: open),
            now: clock.now)
        return APIResponse(contentType: "text/html; charset=utf-8", body: Array(page.html.utf8))
    }
}
