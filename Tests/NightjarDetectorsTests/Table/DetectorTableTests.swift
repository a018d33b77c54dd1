import Foundation
import NightjarDetectors
import NightjarModel
import Testing

private let folder = URL(filePath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent()
    .deletingLastPathComponent()
private let rewrites = ProcessInfo.processInfo.environment["NIGHTJAR_REWRITE_GOLDENS"] == "1"

private func expectFile(_ path: String, _ text: String) throws {
    let file = folder.appending(path: path)
    if rewrites { try text.write(to: file, atomically: true, encoding: .utf8) }
    #expect(
        (try? String(contentsOf: file, encoding: .utf8)) == text,
        "\(path) is out of date: NIGHTJAR_REWRITE_GOLDENS=1 swift test")
}

/// What one detector said about one trace: the worst that it found and when it first found anything.
private struct Cell: Equatable {
    var found: Severity?
    var at: Double?
    var isTooEarly = false

    var text: String {
        guard let found, let at else { return isTooEarly ? "too early" : "quiet" }
        return "\(found.word) after \(Duration.seconds(at).spoken)"
    }

    mutating func note(_ said: Sighting, at seconds: Double) {
        isTooEarly = said == .tooEarly
        guard case .found(let severity) = said else { return }
        at = at ?? seconds
        found = max(found ?? severity, severity)
    }
}

// In order: a rewrite makes the traces first and then the table over them.
@Suite("Detectors and traces", .serialized) struct DetectorTableTests {
    /// Cells by detector, for the detectors that can read the trace at all.
    private func run(_ file: URL) throws -> [String: Cell] {
        let bytes = [UInt8](try Data(contentsOf: file))
        let name = file.deletingPathExtension().lastPathComponent
        let reader = try TraceReader(bytes: bytes, name: name)
        if reader.head["kind"] == "kill" { return try kills(reader) }
        switch try TraceKind(of: reader) {
        case .memory: return try process(reader, bytes)
        default: return try replayed(bytes, name)
        }
    }

    /// Everything that `nightjar replay` finds, by the detectors' names.
    private func replayed(_ bytes: [UInt8], _ name: String) throws -> [String: Cell] {
        let result = try replay(trace: bytes, name: name)
        var cells: [String: Cell] = [:]
        for finding in result.findings {
            guard case .string(let kind)? = finding["kind"], case .double(let at)? = finding["at_s"],
                let card = DetectorRegistry.all.first(where: { $0.snakeName == kind })
            else { continue }
            var cell = cells[card.name] ?? Cell()
            cell.at = cell.at ?? at
            if case .string(let word)? = finding["severity"] {
                let severity = Severity(word: word) ?? (word == "leak" ? .warning : .notice)
                cell.found = max(cell.found ?? severity, severity)
            }
            cells[card.name] = cell
        }
        return cells
    }

    private func process(_ reader: TraceReader, _ bytes: [UInt8]) throws -> [String: Cell] {
        var (reader, descriptors, threads, cpu) = (reader, DescriptorLeak(), ThreadLeak(), CPUSpin())
        let settings = DetectorSettings.defaults
        let isNiced = reader.head["nice"] != nil
        let columns = ["descriptors", "descriptor_limit", "threads", "tasks_limit", "cpu_seconds"].map(reader.column)
        var cells: [String: Cell] = [:]
        let time = try reader.require("t")
        while try reader.next() {
            let seconds = try reader.number(time)
            let values = try columns.map { try reader.numberIfAny($0) }
            let reading = sample(
                at: seconds, descriptors: values[0].map { Int($0) }, limit: values[1].map { Int($0) },
                threads: values[2].map { Int($0) }, cpu: values[4].map { .seconds($0) })
            let tasks = values[3].map { TaskBound(limit: Int($0), used: Int(values[2] ?? 0), limitedBy: "unit") }
            if columns[0] != nil {
                cells["DescriptorLeak", default: Cell()].note(
                    descriptors.step(reading, settings.descriptorLeak), at: seconds)
            }
            if columns[2] != nil {
                cells["ThreadLeak", default: Cell()].note(
                    threads.step(reading, under: tasks, settings.threadLeak), at: seconds)
            }
            if columns[4] != nil {
                cells["CPUSpin", default: Cell()].note(
                    cpu.step(reading, isNiced: isNiced, settings.cpuSpin), at: seconds)
            }
        }
        // What the command line replays is what was just run, step by step.
        let said = try replayed(bytes, reader.name)
        for (detector, cell) in cells {
            #expect(said[detector]?.at == cell.at, "\(reader.name): \(detector) in replay")
            #expect(said[detector]?.found == cell.found, "\(reader.name): \(detector) in replay")
        }
        cells["HeapGrowth"] = said["HeapGrowth"] ?? Cell()
        return cells
    }

    private func kills(_ reader: TraceReader) throws -> [String: Cell] {
        var reader = reader
        var host = HostDetectors()
        var cell = Cell()
        while try reader.next() {
            let seconds = try reader.number(0)
            let now = Moment(seconds: seconds)
            if let kills = try reader.numberIfAny(3) {
                let limit = try reader.numberIfAny(4).map { Bytes.kibi(Int64($0)) }
                host.observe(
                    CgroupSample(
                        time: now, path: checkout.cgroup!, unit: checkout.unit, memoryLimit: limit,
                        limitedBy: limit == nil ? nil : checkout.unit, oomKills: Int64(kills)))
            }
            host.observe(
                HostSample(
                    time: now, memoryTotal: .gibi(8), memoryAvailable: .kibi(Int64(try reader.number(2))),
                    oomKills: Int64(try reader.number(1))))
            let ended = reader.text(5).split(separator: ":")
            if ended.count == 2 {
                let size = Bytes.kibi(Int64(ended[1])!)
                let last = ProcessSample(key: checkout.key, time: now, rss: size, anonymous: size)
                host.vanished(VanishedProcess(identity: checkout, last: last, noticedAt: now))
            }
            host.decide(at: now, settings: { _ in .defaults }) { _, _, answer in
                if case .found(let finding) = answer { cell.note(.found(finding.severity), at: seconds) }
            }
        }
        return ["OutOfMemoryKill": cell]
    }

    private var traces: [URL] {
        let files = try? FileManager.default.contentsOfDirectory(
            at: folder.appending(path: "Traces"), includingPropertiesForKeys: nil)
        return (files ?? []).filter { $0.pathExtension == "csv" }.sorted { $0.lastPathComponent < $1.lastPathComponent }
    }

    @Test func `the made traces are the stories that made them`() throws {
        for story in ProcessStory.all { try expectFile("Traces/\(story.name).csv", story.text) }
        for story in KillStory.all { try expectFile("Traces/\(story.name).csv", story.text) }
    }

    @Test func `every detector over every trace says what it said before`() throws {
        let names = DetectorRegistry.all.map(\.name)
        var text = "# Every detector over every trace: the worst it found and when it first found anything.\n"
        text += "# A detector that has nothing to read in a trace is not listed for it.\n"
        for trace in traces {
            text += "\n\(trace.deletingPathExtension().lastPathComponent)\n"
            let cells = try run(trace)
            for name in names {
                guard let cell = cells[name] else { continue }
                text += "    \(name.padding(toLength: 18, withPad: " ", startingAt: 0))\(cell.text)\n"
            }
        }
        try expectFile("Golden/detectors-and-traces.txt", text)
    }

    @Test(arguments: DetectorRegistry.all.map(\.name))
    func `finds what its card says and leaves alone what it says`(name: String) throws {
        let card = try #require(DetectorRegistry.card(named: name))
        for trace in traces {
            let story = trace.deletingPathExtension().lastPathComponent
            guard let cell = try run(trace)[name] else { continue }
            if card.fires.contains(story) {
                #expect(cell.found.map { $0 >= .notice } == true, "\(story)")
            } else {
                // Memory that rises and may yet level off is worth a notice, never more.
                let isGrowing = name == HeapGrowth.card.name && cell.found == .notice
                #expect(cell.found == nil || isGrowing, "\(story): \(cell.text)")
            }
        }
    }
}
