import NightjarModel

// From suspicion to typed evidence. A process whose floors rise is examined from outside, minutes after growth begins:
// two or three censuses some time apart. A type that gathers steadily and a chain that holds it raise `leak` at once,
// long before memory alone could tell a leak from a cache; everything else only adds to what memory says later.

struct CensusDesk {
    /// An open typed leak is looked at again after this time; it is over when the types no longer gather.
    static let again = Duration.minutes(10)
    /// How often an open finding is told to the alert book.
    static let retell = Duration.seconds(60)
    /// A suspicion that has been gone for so long is forgotten, and may be raised anew.
    static let forgetAfter = Duration.minutes(15)
    static let casesAtMost = 256
    /// A leak must be seen by two studies in a row: a compiler or a batch gathers objects too, and is gone by then.
    static let studiesNeeded = 2
    /// Less growth than this within one study is no leak worth an alarm; memory decides about slow ones.
    static let leastGrowth = Bytes.kibi(512)

    private struct Case {
        var subject: Subject
        let firstSuspectedAt: Moment
        var suspectedAt: Moment
        var isStudied = false
        var studiedAt: Moment?
        var evidence: CensusEvidence?
        /// Studies in a row that called it a leak.
        var confirmations = 0
        var toldAt: Moment?
        var isOpen = false
    }

    private let runner: CensusRunner
    private var cases: [ProcessKey: Case] = [:]
    private var notes: [String] = []
    private(set) var failures: Int64 = 0

    init(runner: CensusRunner) { self.runner = runner }

    /// Nil where the inspector is there; else the line that says so.
    var limitation: String? {
        runner.isAvailable
            ? nil
            : "no nightjar-inspect beside nightjard, going on without heap censuses; reinstall: packaging/install.sh"
    }

    /// The census in one line.
    var check: DoctorReport.Check {
        if let limitation { return .init(.limited, "census", limitation) }
        let refused = failures > 0 ? ", \(failures) could not be made (nightjard's log says why)" : ""
        let open = cases.values.filter(\.isOpen).count
        return .init(.good, "census", "\(cases.count) growing now, \(open) with a leak named by type\(refused)")
    }

    /// Takes this round's suspects; returns what was found, what goes on, and what is over.
    mutating func round(at now: Moment, suspects: [Subject]) -> [WatchAnswer] {
        for subject in suspects { note(subject, at: now) }
        startNext(at: now)
        for (key, result) in runner.takeResults() { take(result, for: key, at: now) }
        return cases.keys.sorted { $0.pid < $1.pid }.compactMap { step($0, at: now) }
    }

    mutating func ended(_ process: ProcessKey) {
        guard cases.removeValue(forKey: process) != nil else { return }
        runner.forget(process)
    }

    func finish() { runner.shutdown() }

    private mutating func note(_ subject: Subject, at now: Moment) {
        guard let key = subject.process else { return }
        if cases[key] == nil {
            guard cases.count < Self.casesAtMost else { return }
            cases[key] = Case(subject: subject, firstSuspectedAt: now, suspectedAt: now)
        }
        cases[key]?.suspectedAt = now
    }

    /// One study at a time, the longest suspected first: what grows and is gone in a minute need not be examined.
    private mutating func startNext(at now: Moment) {
        let waiting = cases.filter { !$0.value.isStudied && $0.value.suspectedAt == now }
        guard let next = waiting.min(by: { $0.value.firstSuspectedAt < $1.value.firstSuspectedAt }) else { return }
        if runner.request(next.key) { cases[next.key]?.isStudied = true }
    }

    /// What the studies came to since the last call, one line each for the agent's log.
    mutating func takeNotes() -> [String] {
        defer { notes = [] }
        return notes
    }

    private mutating func take(
        _ result: Result<CensusEvidence, CensusFailure>, for key: ProcessKey, at now: Moment
    ) {
        guard let label = cases[key]?.subject.label else { return }
        cases[key]?.studiedAt = now
        switch result {
        case .success(let evidence):
            cases[key]?.evidence = evidence
            confirm(evidence, key)
            notes.append("census of \(label): \(evidence.verdict.rawValue)\(evidence.sentence.map { ", \($0)" } ?? "")")
        case .failure(let failure):
            cases[key]?.evidence = nil
            cases[key]?.confirmations = 0
            failures += 1
            notes.append("no census of \(label): \(failure.sentence)")
        }
    }

    /// Counts studies that agree; the first that says leak is followed by another at once.
    private mutating func confirm(_ evidence: CensusEvidence, _ key: ProcessKey) {
        let growth = evidence.growing.reduce(Bytes.zero) { $0 + $1.byteGrowth }
        guard evidence.verdict == .leak, growth >= Self.leastGrowth else {
            cases[key]?.confirmations = 0
            return
        }
        cases[key]?.confirmations += 1
        guard (cases[key]?.confirmations ?? 0) < Self.studiesNeeded else { return }
        runner.forget(key)
        cases[key]?.isStudied = false
        cases[key]?.studiedAt = nil
    }

    private mutating func step(_ key: ProcessKey, at now: Moment) -> WatchAnswer? {
        guard var known = cases[key] else { return nil }
        defer { cases[key] = known }
        if now - known.suspectedAt > Self.forgetAfter {
            defer { forget(key) }
            return known.isOpen ? answer(.quiet, known) : nil
        }
        if let studiedAt = known.studiedAt, now - studiedAt > Self.again {
            runner.forget(key)
            known.isStudied = false
            known.studiedAt = nil
        }
        guard let evidence = known.evidence, known.confirmations >= Self.studiesNeeded else {
            guard known.isOpen, known.studiedAt != nil else { return nil }
            known.isOpen = false
            return answer(.quiet, known)
        }
        if known.isOpen, let toldAt = known.toldAt, now - toldAt < Self.retell { return nil }
        known.isOpen = true
        known.toldAt = now
        return answer(.found(finding(evidence, known)), known)
    }

    private mutating func forget(_ key: ProcessKey) {
        cases[key] = nil
        runner.forget(key)
    }

    private func answer(_ answer: Answer, _ known: Case) -> WatchAnswer {
        WatchAnswer(detector: "HeapGrowth", subject: known.subject, answer: answer)
    }

    private func finding(_ evidence: CensusEvidence, _ known: Case) -> Finding {
        Finding(
            detector: "HeapGrowth", subject: known.subject, severity: .warning, verdict: "leak",
            sentence: evidence.sentence ?? "objects gather and are never given back", details: evidence.details,
            evidence: evidence.evidence, nextStep: "nightjar heap \(known.subject.process?.pid ?? 0) --diff 30s")
    }

    /// What memory says, with what the census knows; nil where the census says otherwise and is to be believed.
    func completed(_ answer: WatchAnswer) -> WatchAnswer? {
        guard answer.detector == "HeapGrowth", let key = answer.subject.process, let known = cases[key],
            let evidence = known.evidence
        else { return answer }
        guard case .found(var finding) = answer.answer else { return known.isOpen ? nil : answer }
        finding.details += evidence.details
        finding.evidence += evidence.evidence
        switch evidence.verdict {
        // Memory that calls it a leak by itself is the second witness.
        case .leak where known.confirmations >= Self.studiesNeeded || finding.verdict == "leak":
            finding.verdict = "leak"
            finding.severity = max(finding.severity, .warning)
            if let sentence = evidence.sentence { finding.details.insert(sentence, at: 0) }
        case .fragmentation:
            finding.verdict = "fragmentation"
            finding.severity = min(finding.severity, .notice)
            if let sentence = evidence.sentence { finding.details.insert(sentence, at: 0) }
        case .leak, .cache, .churn: break
        }
        return WatchAnswer(detector: answer.detector, subject: answer.subject, answer: .found(finding))
    }
}
