// What the agent asks when a process is suspected: two or three censuses some time apart, then who holds what grew.
// Memory alone needs hours to tell a leak from a cache that fills. Objects tell sooner, by three signs:
//
//     steady     the type gains in every interval, and no interval gains less than half of the average
//     kept       instances that were there before are still there (nothing is evicted)
//     untouched  and nobody has written to them since: a cache touches what it finds, a leak has forgotten its objects
//
// A type with all three, and a chain from a root that holds it (or nothing that reaches it at all), is a leak. A type
// that is steady and kept but touched, or whose holder calls itself a cache, may be a cache that fills: memory decides.

import Glibc

/// A type that gained between the first and the last census.
public struct GrowingType: Hashable, Sendable {
    public var type: TypeInfo
    public var count: Int64
    public var bytes: Int64
    public var countGrowth: Int64
    public var byteGrowth: Int64
    public var bytesPerSecond: Double
    /// Gains in every interval, none less than half of the average.
    public var steady: Bool
    /// Share of sampled older instances that are gone, and that were written to, 0…1; nil with two censuses only.
    public var gone: Double?
    public var touched: Double?
    /// The chain that holds most of its instances.
    public var chain: RetainingChain?
    /// How many instances nothing reaches, where that was looked for, and the cycle that keeps them.
    public var unreachable: Int64 = 0
    public var cycle: [String] = []

    /// `Request ← Emitter.handlers ← global emitter`, or the cycle of what nothing reaches; nil where neither was found.
    public var heldBy: String? {
        if unreachable * 2 >= count, unreachable > 0 {
            return cycle.isEmpty
                ? "nothing refers to them: retained and never released"
                : "unreachable cycle " + (cycle + [cycle[0]]).joined(separator: " → ")
        }
        return chain?.sentence
    }

    public init(
        type: TypeInfo, count: Int64, bytes: Int64, countGrowth: Int64, byteGrowth: Int64, bytesPerSecond: Double,
        steady: Bool, gone: Double? = nil, touched: Double? = nil, chain: RetainingChain? = nil
    ) {
        self.type = type
        self.count = count
        self.bytes = bytes
        self.countGrowth = countGrowth
        self.byteGrowth = byteGrowth
        self.bytesPerSecond = bytesPerSecond
        self.steady = steady
        self.gone = gone
        self.touched = touched
        self.chain = chain
    }
}

/// What the censuses say together.
public struct GrowthStudy: Hashable, Sendable {
    /// What it comes to.
    public enum Verdict: String, Hashable, Sendable {
        /// Objects that are forgotten gather steadily, and something holds them.
        case leak
        /// Steady, but in use or held by something that calls itself a cache.
        case cache
        /// The heap is mostly free.
        case fragmentation
        /// Nothing grows steadily.
        case churn
    }

    public var pid: Int32
    public var verdict: Verdict
    /// Fastest first, at most `GrowthStudy.shown`.
    public var growing: [GrowingType]
    public var last: Census
    public var span: Duration

    public static let shown = 8
    /// Growth of less than this within the study is not worth a verdict.
    public static let smallestGrowth: Int64 = 64 << 10

    /// The verdict on a list of growing types.
    public static func verdict(_ growing: [GrowingType], _ fragmentation: Fragmentation) -> Verdict {
        let steady = growing.filter { $0.steady && $0.countGrowth > 0 && $0.byteGrowth > 0 }
        guard let main = steady.first, steady.reduce(0, { $0 + $1.byteGrowth }) >= smallestGrowth else {
            return fragmentation.verdict == .inUse ? .churn : .fragmentation
        }
        // Types that grow with the main one, object for object, belong to the same story.
        let together = steady.filter {
            $0.countGrowth * 2 >= main.countGrowth && $0.countGrowth <= main.countGrowth * 2
        }
        if together.contains(where: { $0.gone ?? 0 > 0.05 }) { return .churn }
        if together.contains(where: { $0.touched ?? 0 > 0.1 || callsItselfCache($0.chain) }) { return .cache }
        guard together.contains(where: { $0.heldBy != nil }) else { return .churn }
        return .leak
    }

    private static func callsItselfCache(_ chain: RetainingChain?) -> Bool {
        guard let text = chain?.sentence.lowercased() else { return false }
        return ["cache", "lru", "memo"].contains { text.contains($0) }
    }
}

extension GrowthStudy {
    /// Carries the study out: `censuses` (two or three) readings of the heap, `interval` apart, and one walk for the chains.
    public static func run(
        pid: Int32, interval: Duration, censuses: Int = 3, open: () throws -> Target, pause: (Duration) -> Void
    ) throws -> GrowthStudy {
        var taken: [Census] = []
        var times: [Double] = []
        var before: InstanceSample?
        for number in 0..<censuses {
            if number > 0 { pause(interval) }
            let target = try open()
            times.append(monotonicSeconds())
            taken.append(try Census.take(of: target))
            if taken[0].entries.isEmpty {
                throw InspectError(
                    .notSwift, "nothing on the heap of process \(pid) is Swift's: its types cannot be told apart")
            }
            // The last interval shows what becomes of instances that were there before it.
            if number == censuses - 2, number > 0 {
                before = try InstanceSample(target, growing: keys(taken[0], taken[number]))
            }
        }
        let span = Duration.seconds(times[times.count - 1] - times[0])
        let target = try open()
        let fates = try before?.compare(target) ?? [:]
        var growing = growth(taken, span: span, fates: fates)
        try addChains(&growing, open)
        let last = taken[taken.count - 1]
        return GrowthStudy(
            pid: pid, verdict: verdict(growing, last.fragmentation), growing: growing, last: last, span: span)
    }

    /// Records that gained, fastest first.
    private static func keys(_ first: Census, _ second: Census) -> [UInt64] {
        var gains: [(key: UInt64, gain: Int64)] = []
        for (key, entry) in second.records where key < 1 << 56 && entry.type != BlockNamer.taskFrames {
            let gain = entry.bytes - (first.records[key]?.bytes ?? 0)
            if gain > 0 { gains.append((key, gain)) }
        }
        return gains.sorted { $0.gain > $1.gain }.prefix(shown).map(\.key)
    }

    private static func growth(_ taken: [Census], span: Duration, fates: [UInt64: InstanceSample.Fate]) -> [GrowingType]
    {
        let last = taken[taken.count - 1]
        // Frames come and go with their tasks, which say more.
        let total = last.growth(since: taken[0], over: span)
            .filter { $0.bytes > 0 && $0.type != BlockNamer.taskFrames }.prefix(shown)
        let steps = zip(taken, taken.dropFirst()).map { $1.growth(since: $0, over: span) }
        return total.map { gain in
            let average = gain.count / Int64(max(1, steps.count))
            let steady = steps.allSatisfy { step in
                step.first { $0.type == gain.type }.map { $0.count * 2 >= average && $0.count > 0 } ?? false
            }
            let entry = last.entries.first { $0.type == gain.type }
            let fate = last.records.filter { $0.value.type == gain.type }.compactMap { fates[$0.key] }.max {
                $0.seen < $1.seen
            }
            return GrowingType(
                type: gain.type, count: entry?.count ?? 0, bytes: entry?.bytes ?? 0, countGrowth: gain.count,
                byteGrowth: gain.bytes, bytesPerSecond: gain.bytesPerSecond, steady: steady, gone: fate?.goneShare,
                touched: fate?.touchedShare)
        }
    }

    /// Chains for the first few steady types, and for the first of the program's own among them.
    private static func addChains(_ growing: inout [GrowingType], _ open: () throws -> Target) throws {
        let steady = growing.indices.filter { growing[$0].steady }
        var wanted = Array(steady.prefix(2))
        let own = steady.first {
            !["Swift", "", "Foundation", "FoundationEssentials"].contains(growing[$0].type.module)
        }
        if let own, !wanted.contains(own) { wanted.append(own) }
        if wanted.isEmpty { return }
        let reports = try RetainingReport.of(wanted.map { growing[$0].type.name }, open: open)
        var unheld = false
        for index in wanted {
            let report = reports[growing[index].type.name]
            if report?.isConclusive == true { growing[index].chain = report?.chains.first } else { unheld = true }
        }
        if unheld { try addCycles(&growing, LeakSearch(open()).run(mayStop: false)) }
    }

    /// What no root holds is perhaps unreachable. The target is not stopped for this: a few objects more or less that
    /// were on their way do not change what thousands say.
    private static func addCycles(_ growing: inout [GrowingType], _ report: LeakReport) {
        for index in growing.indices {
            guard let row = report.unreachable.first(where: { $0.type == growing[index].type }) else { continue }
            growing[index].unreachable = row.count
            growing[index].cycle = row.cycle
        }
    }

    /// The type to speak of: the program's own class that grows along, else the one that takes most bytes.
    public var culprit: GrowingType? {
        let steady = growing.filter(\.steady)
        guard let main = steady.first else { return growing.first }
        let own = steady.first {
            ($0.type.kind == .class || $0.type.kind == .actor) && $0.heldBy != nil
                && $0.countGrowth * 2 >= main.countGrowth
                && !["Swift", ""].contains($0.type.module)
        }
        return own ?? main
    }
}
