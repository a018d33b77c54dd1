// So many bytes a second and no more, spread evenly over the second.
//
// A bucket alone would write the first lines of every second and none of the rest. So each tenth of a second looks at
// what was offered in the one before and keeps that share at random; the bucket behind it (one second's worth) is the
// hard limit. Over any time T at most `bytesPerSecond × (T + 1 s)` pass, plus one line a thread.

import Synchronization

final class ByteBudget: Sendable {
    private let bytesPerTick: Int
    private let burst: Int
    /// Tick and the share that is kept, as a fraction of 2^32 - 1.
    private let state: Atomic<UInt64>
    private let offered = Atomic<Int>(0)
    private let bucket: Atomic<Int>

    static let tickNanoseconds: UInt64 = 100_000_000

    init(bytesPerSecond: Int) {
        bytesPerTick = max(1, bytesPerSecond / 10)
        burst = max(1, bytesPerSecond)
        state = Atomic(UInt64(UInt32.max))
        bucket = Atomic(burst)
    }

    @inline(__always) func admits(_ bytes: Int, now: UInt64) -> Bool {
        let tick = UInt32(truncatingIfNeeded: now / ByteBudget.tickNanoseconds)
        var word = state.load(ordering: .relaxed)
        if UInt32(truncatingIfNeeded: word >> 32) != tick { word = turn(to: tick, from: word) }
        let before = offered.wrappingAdd(bytes, ordering: .relaxed).oldValue
        let share = UInt32(truncatingIfNeeded: word)
        if share != .max, UInt32(truncatingIfNeeded: mixed(UInt64(bitPattern: Int64(before)) ^ now)) > share {
            return false
        }
        guard bucket.load(ordering: .relaxed) > 0 else { return false }
        bucket.wrappingSubtract(bytes, ordering: .relaxed)
        return true
    }

    @inline(never) private func turn(to tick: UInt32, from word: UInt64) -> UInt64 {
        let passed = tick &- UInt32(truncatingIfNeeded: word >> 32)
        // A thread that slept on an old reading of the clock must not turn it back.
        guard passed < UInt32.max / 2 else { return word }
        let wanted = offered.load(ordering: .relaxed)
        // Idle ticks in between: nothing is flooding now.
        let share =
            passed > 2 || wanted <= bytesPerTick
            ? Double(UInt32.max) : Double(UInt32.max) * Double(bytesPerTick) / Double(wanted)
        let next = UInt64(tick) << 32 | UInt64(UInt32(share))
        let (exchanged, original) = state.compareExchange(expected: word, desired: next, ordering: .relaxed)
        guard exchanged else { return original }
        offered.wrappingSubtract(wanted, ordering: .relaxed)
        refill(Int(min(passed, 100)) * bytesPerTick)
        return next
    }

    private func refill(_ bytes: Int) {
        var level = bucket.load(ordering: .relaxed)
        while true {
            let filled = min(burst, level + bytes)
            let (exchanged, original) = bucket.compareExchange(expected: level, desired: filled, ordering: .relaxed)
            if exchanged { return }
            level = original
        }
    }
}
