import NightjarAlerts
import NightjarDetectors
import NightjarHistory
import NightjarModel
import NightjarSinks

// What the agent answers over HTTP. Every function runs on the agent's own thread, between two rounds.

/// How an answer is to be printed.
private struct Look {
    var isJSON: Bool
    var width: Int
    var isColoured: Bool

    init(_ request: APIRequest) {
        isJSON = request.query["format"] == "json"
        width = request.query["width"].flatMap { Int($0) }.map { max(40, min($0, 500)) } ?? 120
        isColoured = request.query["color"] == "1"
    }

    /// JSON or text, as asked for.
    func answer(json: @autoclosure () -> JSON, text: @autoclosure () -> String) -> APIResponse {
        isJSON
            ? APIResponse(contentType: "application/json", body: Array((json().text + "\n").utf8)) : .text(text())
    }
}

extension Agent {
    /// What of the past a request is about, and where on disk that is; nil where the living agent knows all of it.
    func recollection(for request: APIRequest) -> (@Sendable (History) -> [Alert])? {
        let parts = request.path.split(separator: "/").map(String.init)
        guard parts.count >= 3, parts[0] == "api", parts[1] == "v1", parts[2] == "alerts" else { return nil }
        guard parts.count > 3 else {
            guard request.query["all"] == "1" else { return nil }
            let since = clock.now - .days(30)
            return { $0.alerts(since: since).filter { $0.state == .resolved } }
        }
        let id = parts[3]
        guard !["firing", "match"].contains(id), book.alert(id: id) == nil else { return nil }
        return { [$0.alert(id: id)].compactMap(\.self) }
    }

    /// One request, one answer; `past` is what its recollection found.
    func answer(_ request: APIRequest, remembering past: [Alert]) -> APIResponse {
        if request.method != "GET", request.method != "HEAD", !request.isLocal {
            return .problem(403, "changes are only taken over the Unix socket \(paths.apiSocket)")
        }
        let look = Look(request)
        let parts = request.path.split(separator: "/").map(String.init)
        switch (request.method, parts.count) {
        case (_, 0): return page()
        case (_, 1) where parts[0] == "metrics": return metrics(request)
        default: break
        }
        guard parts.count >= 3, parts[0] == "api", parts[1] == "v1" else { return notFound(request) }
        switch (parts[2], parts.count) {
        case ("now", 3): return .text("\(clock.now.seconds)\n")
        case ("status", 3): return look.answer(json: statusJSON, text: statusLine + "\n")
        case ("processes", 3): return processes(request, look)
        case ("top", 3): return top(request, look)
        case ("alerts", 3...5): return alerts(request, Array(parts.dropFirst(3)), past, look)
        case ("silences", 3...4): return silences(request, parts.count > 3 ? parts[3] : nil, look)
        case ("disks", 3): return disks(look)
        case ("logs", 3): return logs(look)
        case ("services", 3): return services()
        case ("stacks", 3): return stacks(request, look)
        case ("doctor", 3): return .text(DoctorReport(checks: checks() + sinkChecks()).wire)
        case ("config", 3): return look.answer(json: config.effectiveJSON, text: config.effectiveText)
        default: return notFound(request)
        }
    }

    private func notFound(_ request: APIRequest) -> APIResponse {
        .problem(404, "nothing at '\(TextTable.cut(request.path, to: 80))'; see /, /metrics and /api/v1/alerts")
    }

    // MARK: Processes

    private func processes(_ request: APIRequest, _ look: Look) -> APIResponse {
        let rows = ProcessQuery(request).select(observatory.rows(alerts: book.open))
        return look.answer(
            json: ProcessTable.json(rows),
            text: ProcessTable.text(rows, width: look.width, colour: look.isColoured))
    }

    private func top(_ request: APIRequest, _ look: Look) -> APIResponse {
        let lines = request.query["rows"].flatMap { Int($0) }.map { max(8, min($0, 1_000)) } ?? 40
        let open = book.open
        let view = TopView(
            host: observatory.host, alerts: open, rows: observatory.rows(alerts: open),
            services: watches.probeSnapshot?.services ?? [], processes: observatory.processCount, agentLine: statusLine,
            now: clock.now)
        let query = ProcessQuery(request)
        return look.answer(
            json: ProcessTable.json(query.select(view.rows)),
            text: view.text(width: look.width, rows: lines, colour: look.isColoured, query: query))
    }

    // MARK: Alerts

    private func alerts(_ request: APIRequest, _ rest: [String], _ past: [Alert], _ look: Look) -> APIResponse {
        guard let id = rest.first else {
            let isAll = request.query["all"] == "1"
            let open = book.open
            let shown = isAll ? open + past : open.filter { $0.mutedBy == nil && $0.state == .firing }
            return look.answer(
                json: .array(shown.map(AlertJSON.object)),
                text: AlertTable.text(
                    open: open, closed: past, isAll: isAll, width: look.width, colour: look.isColoured, now: clock.now
                ))
        }
        switch id {
        case "firing":
            return .text("\(book.open.filter { $0.state == .firing && $0.mutedBy == nil }.count)\n")
        case "match":
            return match(request, look)
        default: break
        }
        guard let alert = book.alert(id: id) ?? past.first else {
            if rest.count == 1, let page = probed(id, look) { return page }
            return .problem(
                404,
                "no alert and no service '\(TextTable.cut(id, to: 40))'; see 'nightjar alerts --all', 'nightjar top'")
        }
        if rest.count == 2, rest[1] == "silence", request.method == "POST" { return silence(alert, request) }
        guard rest.count == 1 else { return notFound(request) }
        return look.answer(
            json: AlertJSON.object(alert),
            text: AlertTable.page(alert, width: look.width, colour: look.isColoured, now: clock.now)
                + stalls(behind: alert))
    }

    /// The stalls of the loop that an alert is about, where its service is still there.
    private func stalls(behind alert: Alert) -> String {
        guard ["LoopStall", "PoolStarvation"].contains(alert.finding.detector),
            let records = watches.probeSnapshot?.stalls(of: alert.finding.subject), !records.isEmpty
        else { return "" }
        return LoopTable.stalls(records, now: clock.now)
    }

    /// Loops and stalls of the probed services of a name, unit or process id, and what those that went away had been doing;
    /// nil where there is neither.
    private func probed(_ name: String, _ look: Look) -> APIResponse? {
        guard let snapshot = watches.probeSnapshot else { return nil }
        let found = snapshot.services(named: name)
        let gone = snapshot.departures(named: name)
        guard !found.isEmpty || !gone.isEmpty else { return nil }
        let pages =
            found.map { LoopTable.page($0, width: look.width, colour: look.isColoured, now: clock.now) }
            + gone.reversed().map { LoopTable.departure($0, now: clock.now) }
        return look.answer(
            json: .array(found.isEmpty ? gone.map(\.json) : found.map(\.json)), text: pages.joined(separator: "\n"))
    }

    /// The newest alert that fired since a moment and says certain words; empty where there is none. For drills.
    private func match(_ request: APIRequest, _ look: Look) -> APIResponse {
        let since = Moment(seconds: request.query["since"].flatMap(Double.init) ?? 0)
        let words = (request.query["says"] ?? "").split(separator: ",").map(String.init)
        let pid = request.query["pid"].flatMap { Int32($0) }
        let found = (book.open + book.recent).first { alert in
            guard let firedAt = alert.firedAt, firedAt >= since else { return false }
            if let detector = request.query["detector"], detector != alert.finding.detector { return false }
            let finding = alert.finding
            if let pid, finding.subject.process?.pid == pid, request.query["detector"] != nil { return true }
            let said =
                ([finding.subject.label, finding.sentence, finding.cause] + finding.details).joined(separator: "\n")
                + finding.evidenceJSON.text
            return words.allSatisfy { said.contains($0) }
        }
        guard let found else { return .text("") }
        return .text(TerminalBlock(width: look.width, colour: look.isColoured).text(found, at: clock.now))
    }

    // MARK: Disks, logs and probed services

    private func disks(_ look: Look) -> APIResponse {
        guard let snapshot = watches.diskSnapshot else {
            return .problem(404, "file systems are not watched: [Disks] Enabled=no")
        }
        return look.answer(json: snapshot.json, text: DiskTable.text(snapshot, width: look.width))
    }

    private func logs(_ look: Look) -> APIResponse {
        guard let snapshot = watches.logSnapshot else {
            return .problem(404, "logs are not watched: [Logs] Enabled=no")
        }
        return look.answer(json: snapshot.json, text: LogTable.text(snapshot, width: look.width))
    }

    private func services() -> APIResponse {
        let json = watches.probeSnapshot?.json ?? .object([("services", .array([]))])
        return APIResponse(contentType: "application/json", body: Array((json.text + "\n").utf8))
    }

    /// All threads of a probed service, the running ones too. Its probe is asked first (`ask=1`, status 202), and answers
    /// with one of the next rounds.
    private func stacks(_ request: APIRequest, _ look: Look) -> APIResponse {
        guard request.isLocal else {
            return .problem(403, "stacks are only told over the Unix socket \(paths.apiSocket)")
        }
        guard let pid = request.query["pid"].flatMap({ Int32($0) }) else {
            return .problem(400, "stacks of which pid?")
        }
        if request.query["ask"] == "1" {
            guard watches.askForStacks(of: pid) else { return .problem(404, "process \(pid) has no probe") }
            return .text("", status: 202)
        }
        guard let stacks = watches.takeStacks(of: pid) else { return .text("", status: 202) }
        return look.answer(json: StacksCommand.json(stacks), text: StacksCommand.text(stacks, width: look.width))
    }

    // MARK: Silences

    private func silence(_ alert: Alert, _ request: APIRequest) -> APIResponse {
        let span = request.query["for"].flatMap(SettingText.duration)
        let bound = request.query["up-to"].flatMap(SettingText.bytes)
        do {
            let silence = try Silence(
                detector: Glob(alert.finding.detector), subject: Glob(Glob.escaped(alert.finding.subject.identity)),
                until: span.map { clock.now + $0 }, bound: bound, reason: request.query["because"] ?? "",
                by: "nightjar",
                createdAt: clock.now)
            book.add(silence)
            keepSilences()
            let end = [span.map { "for \($0.spoken)" }, bound.map { "while it holds less than \($0)" }].compactMap(
                \.self)
            return .text(
                "silenced \(alert.finding.detector) of \(alert.finding.subject.identity) \(end.joined(separator: ", "));"
                    + " undo: nightjar silence --end \(silence.id)\n")
        } catch { return .problem(400, "\(error)") }
    }

    private func silences(_ request: APIRequest, _ id: String?, _ look: Look) -> APIResponse {
        if let id {
            guard request.method == "DELETE" else { return .problem(405, "a silence can be ended with DELETE only") }
            guard book.removeSilence(id) else {
                return .problem(404, "no silence '\(TextTable.cut(id, to: 40))'; 'nightjar silence --list' lists them")
            }
            keepSilences()
            return .text("silence \(id) ended\n")
        }
        var table = TextTable([
            .init("ID"), .init("DETECTOR"), .init("SUBJECT", isFlexible: true), .init("ENDS"), .init("BECAUSE"),
        ])
        for silence in book.silences {
            let ends = [
                silence.until.map { "in \(($0 - clock.now).spoken)" }, silence.bound.map { "above \($0)" },
            ].compactMap(\.self)
            table.add([
                silence.id, silence.detector.pattern, silence.subject.pattern, ends.joined(separator: ", "),
                silence.reason,
            ])
        }
        return look.answer(
            json: .array(
                book.silences.map {
                    .object([
                        ("id", .string($0.id)), ("detector", .string($0.detector.pattern)),
                        ("subject", .string($0.subject.pattern)), ("until_seconds", .optional($0.until?.seconds)),
                        ("bound_bytes", .optional($0.bound?.count)), ("reason", .string($0.reason)),
                    ])
                }),
            text: table.isEmpty ? "nothing is silenced\n" : table.text(width: look.width, colour: look.isColoured))
    }
}
