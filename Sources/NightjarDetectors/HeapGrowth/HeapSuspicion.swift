// Is this process worth a census of its heap? A cheap suspicion, minutes after growth begins, and no alert in itself:
// caches that fill and services that warm up raise it as well. Whether it is a leak is decided by what the census finds.
//
// The floor (smallest anonymous memory) of each window is kept, on two scales: six windows of 20 s and six of 5 min.
// A scale suspects when five floors in a row each lie above the one before and together rose by enough to be worth
// a look. Sawtooth and single steps do not pass: their floors fall back, or stand still after the step.

public import NightjarModel

/// Floors of one process on two scales; 64 bytes, no allocation, a few ns a sample.
public struct HeapSuspicion: Hashable, Sendable {
    /// Less rise than this is not worth reading a heap.
    public static let leastRise = Bytes.mebi(1)
    /// Nor is less than this share of what the process holds.
    public static let leastShare: Float = 0.01

    private var fast = Floors()
    private var slow = Floors()

    public init() {}

    /// Takes one sample; true while the floors rise steadily.
    public mutating func step(_ anonymous: Bytes, at time: Moment) -> Bool {
        let level = Float(anonymous.count) / 1024
        let isFast = fast.step(level, second: time.nanoseconds / 1_000_000_000, width: 20)
        let isSlow = slow.step(level, second: time.nanoseconds / 1_000_000_000, width: 300)
        return isFast || isSlow
    }
}

/// Six floors, the newest still open.
private struct Floors: Hashable, Sendable {
    /// KiB, oldest first.
    private var lows = SIMD8<Float>(repeating: 0)
    private var window: Int64 = .min
    private var closed: UInt8 = 0

    private static let needed = 5

    mutating func step(_ level: Float, second: Int64, width: Int64) -> Bool {
        let now = second / width
        if window == .min {
            window = now
            lows[Self.needed] = level
        } else if now == window {
            lows[Self.needed] = min(lows[Self.needed], level)
        } else {
            // A window without a sample breaks the row: nothing is known about it.
            closed = now == window + 1 ? min(closed + 1, UInt8(Self.needed)) : 0
            for index in 0..<Self.needed { lows[index] = lows[index + 1] }
            lows[Self.needed] = level
            window = now
        }
        return isRising
    }

    private var isRising: Bool {
        guard closed >= UInt8(Self.needed) else { return false }
        for index in 1..<Self.needed where lows[index] <= lows[index - 1] { return false }
        let rise = lows[Self.needed - 1] - lows[0]
        let least = max(Float(HeapSuspicion.leastRise.count) / 1024, HeapSuspicion.leastShare * lows[0])
        return rise >= least
    }
}
