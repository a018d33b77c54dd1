internal import Logging
import Synchronization

/// Decides for records below error whether they are written, and what the written ones stand for.
///
/// Order: the level's rule, then the byte budget. Nothing here locks or allocates, but for the first record of a key that
/// is left out (its name is noted for the ledger).
final class Sampler: Sendable {
    enum Verdict { case keep(weight: UInt64), drop(DropReason) }

    /// A key as the ledger names it.
    struct KeyName: Sendable, Hashable {
        var text: String
        var level: Logger.Level
    }

    /// Keys counted apart at a time. Beyond it, keys that are quiet make way (KeyTable).
    static let keys = 4_096

    private let rules: [Sampling.Rule]
    let key: Sampling.Key
    private let normal: ByteBudget?
    private let verbose: ByteBudget?
    private let table = KeyTable(capacity: Sampler.keys)
    /// Set by the first record that is left out; before that nobody has a weight to collect.
    private let hasLeftOut = Atomic(false)
    private let names = Guarded<[UInt64: KeyName]>([:])
    private let hasRules: Bool

    init(_ sampling: Sampling) {
        let levels: [Logger.Level] = [.trace, .debug, .info, .notice, .warning, .error, .critical]
        rules = levels.map { level in
            level >= .error ? .all : Sampler.sane(sampling.rules[level] ?? .all)
        }
        hasRules = rules.contains { $0 != .all }
        key = sampling.key
        normal = sampling.bytesPerSecond.map { ByteBudget(bytesPerSecond: max(1, $0)) }
        verbose = sampling.verboseBytesPerSecond.map { ByteBudget(bytesPerSecond: max(1, $0)) }
    }

    private static func sane(_ rule: Sampling.Rule) -> Sampling.Rule {
        switch rule {
        case .all: .all
        case .firstThenEvery(let first, let every):
            every <= 1 ? .all : .firstThenEvery(first: min(max(0, first), 1 << 30), every: min(every, 1 << 30))
        case .random(let oneIn): oneIn <= 1 ? .all : .random(oneIn: min(oneIn, 1 << 30))
        }
    }

    /// Whether a decision is needed at all: without rules and budgets every record is written.
    var isIdle: Bool { !hasRules && normal == nil && verbose == nil }

    @inline(__always) func decide(
        rank: Int, bytes: Int, weight: UInt64, key: @autoclosure () -> UInt64, name: @autoclosure () -> KeyName
    ) -> Verdict {
        let rule = hasRules ? rules[rank] : .all
        let budget = rank <= 1 ? verbose : normal
        if rule == .all, budget == nil, !hasLeftOut.load(ordering: .relaxed) { return .keep(weight: weight) }
        let now = Clock.coarse()
        if rule == .all, let budget, budget.admits(bytes, now: now) {
            return hasLeftOut.load(ordering: .relaxed) ? collect(key(), now, weight) : .keep(weight: weight)
        }
        return decideByKey(rule, budget, bytes, weight, now, key(), name)
    }

    private func decideByKey(
        _ rule: Sampling.Rule, _ budget: ByteBudget?, _ bytes: Int, _ weight: UInt64, _ now: UInt64, _ key: UInt64,
        _ name: () -> KeyName
    ) -> Verdict {
        // Second 0 marks an unused slot.
        let second = UInt32(truncatingIfNeeded: now / 1_000_000_000) &+ 1
        guard let slot = table.find(key, second: second) else { return .keep(weight: weight) }
        let place = slot.count(second: second).place
        var reason: DropReason?
        switch rule {
        case .all: reason = budget == nil ? nil : .overBudget
        case .firstThenEvery(let first, let every):
            if place > UInt32(first), (place &- UInt32(first)) % UInt32(every) != 0 { reason = .sampled }
        case .random(let oneIn):
            let noise = mixed(UInt64(place) << 32 ^ UInt64(second) ^ key)
            if UInt32(truncatingIfNeeded: noise) > UInt32.max / UInt32(oneIn) { reason = .sampled }
        }
        if reason == nil, rule != .all, let budget, !budget.admits(bytes, now: now) { reason = .overBudget }
        guard let reason else { return keep(slot, weight) }
        leaveOut(slot, key, weight, name)
        return .drop(reason)
    }

    private func collect(_ key: UInt64, _ now: UInt64, _ weight: UInt64) -> Verdict {
        let second = UInt32(truncatingIfNeeded: now / 1_000_000_000) &+ 1
        guard let slot = table.find(key, second: second) else { return .keep(weight: weight) }
        _ = slot.count(second: second)
        return keep(slot, weight)
    }

    private func keep(_ slot: UnsafeMutablePointer<KeyTable.Slot>, _ weight: UInt64) -> Verdict {
        slot.pointee.kept.wrappingAdd(1, ordering: .relaxed)
        guard slot.pointee.pending.load(ordering: .relaxed) != 0 else { return .keep(weight: weight) }
        return .keep(weight: weight &+ slot.pointee.pending.exchange(0, ordering: .relaxed))
    }

    private func leaveOut(
        _ slot: UnsafeMutablePointer<KeyTable.Slot>, _ key: UInt64, _ weight: UInt64, _ name: () -> KeyName
    ) {
        slot.pointee.pending.wrappingAdd(weight, ordering: .relaxed)
        let before = slot.pointee.leftOut.wrappingAdd(1, ordering: .relaxed).oldValue
        guard before == 0 else { return }
        hasLeftOut.store(true, ordering: .relaxed)
        let named = name()
        names.withLock { names in
            // Names of keys whose slots were taken over go first when there are too many.
            if names.count >= 2 * Sampler.keys { names = [:] }
            names[key] = named
        }
    }

    /// A record that was admitted, but could not be written after all: the next of its key stands for it too.
    func returnWeight(_ weight: UInt64, key: UInt64, name: () -> KeyName) {
        let second = UInt32(truncatingIfNeeded: Clock.coarse() / 1_000_000_000) &+ 1
        guard let slot = table.find(key, second: second) else { return }
        leaveOut(slot, key, weight, name)
    }

    /// One key in the ledger.
    struct KeyCount: Sendable {
        var name: KeyName
        var kept: UInt64
        var leftOut: UInt64
    }

    /// The keys that left out the most since the last call, most first.
    func worstKeys(_ limit: Int, since last: inout [UInt64: UInt64]) -> [KeyCount] {
        var counts: [KeyCount] = []
        var now: [UInt64: UInt64] = [:]
        let names = names.withLock { $0 }
        table.forEach { slot in
            let key = slot.pointee.hash.load(ordering: .relaxed)
            let leftOut = slot.pointee.leftOut.load(ordering: .relaxed)
            guard leftOut > 0, let name = names[key] else { return }
            now[key] = leftOut
            let before = last[key] ?? 0
            guard leftOut > before else { return }
            counts.append(
                KeyCount(name: name, kept: slot.pointee.kept.load(ordering: .relaxed), leftOut: leftOut - before))
        }
        last = now
        return Array(counts.sorted { $0.leftOut > $1.leftOut }.prefix(limit))
    }

    /// Weight of left-out records that no written record stands for yet.
    var pendingWeight: UInt64 {
        var sum = table.forgottenWeight.load(ordering: .relaxed)
        table.forEach { sum += $0.pointee.pending.load(ordering: .relaxed) }
        return sum
    }
}
