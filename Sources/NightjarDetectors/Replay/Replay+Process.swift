// What else a memory trace may carry of its process, and the detectors that read it: `descriptors`,
// `descriptor_limit`, `threads`, `tasks_limit` (what its unit may start), and `cpu_seconds` (used since it began, in the
// detector's clock). `nice=` in the head is the process's nice value.

import NightjarModel

/// Runs DescriptorLeak, ThreadLeak and CPUSpin over the rows of a trace that has columns for them.
struct ProcessReplay {
    private let columns: ProcessColumns
    private let settings = DetectorSettings.defaults
    private let isNiced: Bool
    private var descriptors = DescriptorLeak()
    private var threads = ThreadLeak()
    private var cpu = CPUSpin()
    private var open: [String: Int] = [:]
    private(set) var findings: [ReplayFinding] = []

    init(_ reader: TraceReader) {
        columns = ProcessColumns(reader)
        isNiced = (reader.head["nice"].flatMap { Int($0) } ?? 0) > 0
    }

    /// Takes the reader's row, which stands at `moment` and, in the trace's clock, at `seconds`.
    mutating func step(at moment: Moment, _ seconds: Double, _ reader: TraceReader) throws(TraceError) {
        guard columns.isThere else { return }
        let (sample, tasks) = try columns.sample(at: moment, reader)
        let subject = Subject(.process, name: reader.name)
        if columns.descriptors != nil {
            let found = descriptors.step(sample, settings.descriptorLeak).isFound
            note(DescriptorLeak.card, found ? descriptors.finding(of: subject) : nil, at: seconds)
        }
        if columns.threads != nil {
            let found = threads.step(sample, under: tasks, settings.threadLeak).isFound
            note(ThreadLeak.card, found ? threads.finding(of: subject, under: tasks) : nil, at: seconds)
        }
        if columns.cpu != nil {
            let found = cpu.step(sample, isNiced: isNiced, settings.cpuSpin).isFound
            note(CPUSpin.card, found ? cpu.finding(of: subject, settings.cpuSpin) : nil, at: seconds)
        }
    }

    /// A finding that becomes more urgent ends and begins anew, so that a reader sees when each was said.
    private mutating func note(_ card: DetectorCard, _ finding: Finding?, at seconds: Double) {
        let index = open[card.name]
        let severity = finding.map { JSON.string($0.severity.word) }
        if let index {
            if findings[index]["severity"] == severity { return }
            findings[index].set("cleared_s", .double(seconds))
            open[card.name] = nil
        }
        guard let finding, let severity else { return }
        open[card.name] = findings.count
        findings.append(
            ReplayFinding([
                ("kind", .string(card.snakeName)), ("severity", severity), ("verdict", .string(finding.verdict)),
                ("at_s", .double(seconds)), ("cleared_s", .null), ("sentence", .string(finding.sentence)),
                ("evidence", finding.evidenceJSON),
            ]))
    }
}

/// Where the columns of a process stand, where they are there at all.
struct ProcessColumns {
    let descriptors: Int?
    let descriptorLimit: Int?
    let threads: Int?
    let tasksLimit: Int?
    let cpu: Int?

    init(_ reader: TraceReader) {
        descriptors = reader.column("descriptors")
        descriptorLimit = reader.column("descriptor_limit")
        threads = reader.column("threads")
        tasksLimit = reader.column("tasks_limit")
        cpu = reader.column("cpu_seconds")
    }

    var isThere: Bool { descriptors != nil || threads != nil || cpu != nil }

    /// The row as a reading, and what the process's unit may start.
    func sample(at moment: Moment, _ reader: TraceReader) throws(TraceError) -> (ProcessSample, TaskBound?) {
        let threads = try count(threads, reader)
        let sample = ProcessSample(
            key: ProcessKey(pid: 0, startTime: 0), time: moment, rss: .zero, anonymous: .zero,
            cpuTime: try reader.numberIfAny(cpu).map { .seconds(min(max($0, 0), 1e9)) }, threads: threads,
            descriptors: try count(descriptors, reader), descriptorLimit: try count(descriptorLimit, reader))
        guard let limit = try count(tasksLimit, reader), let threads else { return (sample, nil) }
        return (sample, TaskBound(limit: limit, used: threads, limitedBy: reader.name))
    }

    private func count(_ column: Int?, _ reader: TraceReader) throws(TraceError) -> Int? {
        try reader.numberIfAny(column).map { Int(min(max($0, 0), 1e9)) }
    }
}
