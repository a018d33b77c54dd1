// The agent's eyes on a suspect's heap. HeapGrowth suspects a process after minutes; memory alone would need hours to call
// it a leak. So once an incident a `nightjar-inspect` child takes a few censuses some time apart and answers which
// types grow and who holds them. The child has limits of its own, the agent reads a few lines of text from it, and
// nothing here ever waits: a thread sits with the child, the round only collects what is finished.

import Glibc
public import NightjarModel
import Synchronization

/// What one study of a suspect may cost.
public struct CensusBudget: Hashable, Sendable {
    /// The child's own memory: it must fit into the unit's MemoryHigh= beside the agent.
    public var memory: Bytes
    /// CPU time of the child; the wall clock limit is this and the waiting between the censuses.
    public var time: Duration
    /// Bytes copied out of the suspect.
    public var bytesRead: Bytes
    /// Between two censuses.
    public var interval: Duration
    public var censuses: Int

    public init(
        memory: Bytes = .mebi(256), time: Duration = .seconds(60), bytesRead: Bytes = .gibi(256),
        interval: Duration = .seconds(20), censuses: Int = 3
    ) {
        self.memory = memory
        self.time = time
        self.bytesRead = bytesRead
        self.interval = interval
        self.censuses = censuses
    }

    public static let standard = CensusBudget()
}

/// One type that grows.
public struct CensusType: Hashable, Sendable {
    public var type: String
    /// `class`, `array`, `closure`, …
    public var kind: String
    public var count: Int64
    public var bytes: Bytes
    public var countGrowth: Int64
    public var byteGrowth: Bytes
    public var bytesPerSecond: Double
    /// Gained in every interval.
    public var steady: Bool
    /// `Request ← closure #1 in handle(_:) ← Emitter.handlers ← global emitter`, or the cycle of what nothing reaches.
    public var heldBy: String?
}

/// What the censuses say of a suspect.
public struct CensusEvidence: Hashable, Sendable {
    /// What it comes to.
    public enum Verdict: String, Hashable, Sendable {
        /// Objects that are forgotten gather steadily, and something holds them: raise the alarm now.
        case leak
        /// Steady, but in use, or held by something that calls itself a cache: let memory decide.
        case cache
        /// The heap is mostly free: no leak.
        case fragmentation
        /// Nothing grows steadily.
        case churn
    }

    public var process: ProcessKey
    public var verdict: Verdict
    /// Most telling first.
    public var growing: [CensusType]
    public var span: Duration
    public var heap: Bytes
    public var used: Bytes
    public var free: Bytes
    /// What `malloc_trim(0)` could return at most.
    public var trimmable: Bytes
    public var paused: Duration
}

/// Why there is no evidence, in one sentence.
public struct CensusFailure: Error, Hashable, Sendable {
    public var sentence: String

    public init(sentence: String) { self.sentence = sentence }
}

extension CensusEvidence {
    /// What a finding says of it, no full stop; nil where there is nothing to add.
    public var sentence: String? {
        switch verdict {
        case .leak, .cache:
            guard let first = growing.first else { return nil }
            let held = first.heldBy.map { ", held by \($0)" } ?? ""
            return "\(first.type) +\(first.countGrowth) in \(span.spoken) "
                + "(\(Bytes(Int64(first.bytesPerSecond))) a second)\(held)\(bulk(beside: first))"
        case .fragmentation:
            return "not a leak: \(used) in use in \(heap) of heap, the rest is free inside it"
        case .churn: return nil
        }
    }

    /// Where the bytes are, when the type to speak of has few of its own: a request and the arrays that it keeps.
    private func bulk(beside first: CensusType) -> String {
        let total = growing.reduce(0) { $0 + $1.byteGrowth.count }
        guard let most = growing.max(by: { $0.byteGrowth < $1.byteGrowth }), most.type != first.type,
            most.byteGrowth.count * 2 > total, most.countGrowth > 0
        else { return "" }
        let along = most.countGrowth * 2 >= first.countGrowth && most.countGrowth <= first.countGrowth * 2
        return "; \(along ? "along with them" : "most bytes are") \(most.type) +\(most.countGrowth) "
            + "(\(Bytes(Int64(most.bytesPerSecond))) a second)"
    }

    /// One line a growing type, for the tree under a finding's sentence.
    public var details: [String] {
        let total = growing.reduce(0) { $0 + $1.byteGrowth.count }
        return growing.prefix(5).map { type in
            let share = total > 0 ? "  \(type.byteGrowth.count * 100 / total) % of the rise" : ""
            let held = type.heldBy.map { "  \($0)" } ?? ""
            return "\(type.type)  +\(type.byteGrowth)  +\(type.countGrowth) objects\(share)\(held)"
        }
    }

    /// For NIGHTJAR_EVIDENCE.
    public var evidence: [EvidenceField] {
        [
            EvidenceField("census_verdict", .text(verdict.rawValue)), EvidenceField("census_span", .duration(span)),
            EvidenceField("heap", .bytes(heap)), EvidenceField("heap_used", .bytes(used)),
            EvidenceField("heap_free", .bytes(free)),
            EvidenceField(
                "growing_types",
                .list(
                    growing.map { type in
                        [
                            EvidenceField("type", .text(type.type)), EvidenceField("count", .count(type.count)),
                            EvidenceField("count_growth", .count(type.countGrowth)),
                            EvidenceField("growth", .bytes(type.byteGrowth)),
                            EvidenceField("rate", .bytesPerSecond(type.bytesPerSecond)),
                        ] + (type.heldBy.map { [EvidenceField("held_by", .text($0))] } ?? [])
                    })),
        ]
    }

    /// Reads the lines of `nightjar-inspect census`; nil where they are not what they should be.
    init?(_ text: String, process: ProcessKey) {
        let rows = text.split(separator: "\n").map { $0.split(separator: "\t", omittingEmptySubsequences: false) }
        guard let head = rows.first, head.count == 9, head[0] == "study",
            let verdict = Verdict(rawValue: String(head[2])),
            let span = Double(head[3]), let heap = Int64(head[4]), let used = Int64(head[5]), let free = Int64(head[6]),
            let trimmable = Int64(head[7]), let paused = Double(head[8])
        else { return nil }
        self.process = process
        self.verdict = verdict
        self.span = .seconds(span)
        self.heap = Bytes(heap)
        self.used = Bytes(used)
        self.free = Bytes(free)
        self.trimmable = Bytes(trimmable)
        self.paused = .milliseconds(paused)
        growing = rows.dropFirst().compactMap(CensusType.init)
    }
}

extension CensusType {
    init?(_ row: [Substring]) {
        guard row.count == 13, row[0] == "type", let count = Int64(row[3]), let bytes = Int64(row[4]),
            let countGrowth = Int64(row[5]), let byteGrowth = Int64(row[6]), let rate = Double(row[7])
        else { return nil }
        self.init(
            type: String(row[1]), kind: String(row[2]), count: count, bytes: Bytes(bytes), countGrowth: countGrowth,
            byteGrowth: Bytes(byteGrowth), bytesPerSecond: rate, steady: row[8] == "1",
            heldBy: row[12].isEmpty ? nil : String(row[12]))
    }
}
