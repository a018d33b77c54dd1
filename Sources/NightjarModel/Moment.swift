/// A point in time on the agent's steady clock, in nanoseconds since 1970.
///
/// The clock is `CLOCK_BOOTTIME` plus an offset taken once at start, so within one run it never jumps, counts through
/// suspend, and over restarts it agrees with the wall clock to within that clock's own corrections.
/// A replay counts from zero. Detectors only ever subtract moments.
public struct Moment: Hashable, Comparable, Sendable {
    public var nanoseconds: Int64

    @inlinable public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }
    @inlinable public init(seconds: Double) { nanoseconds = Int64((seconds * 1e9).rounded()) }

    /// Seconds since 1970, for text formats.
    @inlinable public var seconds: Double { Double(nanoseconds) / 1e9 }

    @inlinable public static func < (a: Moment, b: Moment) -> Bool { a.nanoseconds < b.nanoseconds }
    @inlinable public static func - (a: Moment, b: Moment) -> Duration { .nanoseconds(a.nanoseconds &- b.nanoseconds) }
    @inlinable public static func + (a: Moment, b: Duration) -> Moment {
        Moment(nanoseconds: a.nanoseconds &+ b.nanosecondCount)
    }
    @inlinable public static func - (a: Moment, b: Duration) -> Moment {
        Moment(nanoseconds: a.nanoseconds &- b.nanosecondCount)
    }
}

extension Duration {
    /// The whole duration in nanoseconds, saturating at ±292 years.
    @inlinable public var nanosecondCount: Int64 {
        let (seconds, attoseconds) = components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        if overflow { return seconds < 0 ? .min : .max }
        let (sum, carried) = product.addingReportingOverflow(attoseconds / 1_000_000_000)
        return carried ? (seconds < 0 ? .min : .max) : sum
    }

    @inlinable public var inSeconds: Double { Double(nanosecondCount) / 1e9 }

    /// So many minutes, hours or days, also parts of one.
    @inlinable public static func minutes(_ n: Double) -> Duration { .seconds(n * 60) }
    @inlinable public static func hours(_ n: Double) -> Duration { .seconds(n * 3600) }
    @inlinable public static func days(_ n: Double) -> Duration { .seconds(n * 86_400) }

    /// A span as a tired person reads it: `350 ms`, `12 s`, `63 min`, `5.5 h`, `3.2 d`.
    public var spoken: String {
        let seconds = inSeconds
        let magnitude = seconds.magnitude
        if magnitude < 0.0995 { return "\(Self.shortened(seconds * 1000)) ms" }
        if magnitude < 1 { return "\(Int((seconds * 1000).rounded())) ms" }
        if magnitude < 90 { return "\(Self.shortened(seconds)) s" }
        if magnitude < 90 * 60 { return "\(Self.shortened(seconds / 60)) min" }
        if magnitude < 48 * 3600 { return "\(Self.shortened(seconds / 3600)) h" }
        return "\(Self.shortened(seconds / 86_400)) d"
    }

    /// One decimal below ten, none above.
    private static func shortened(_ value: Double) -> String {
        if value.magnitude >= 9.95 || value == value.rounded() { return "\(Int64(value.rounded()))" }
        let tenths = Int64((value * 10).rounded())
        if tenths % 10 == 0 { return "\(tenths / 10)" }
        return "\(tenths < 0 ? "-" : "")\(tenths.magnitude / 10).\(tenths.magnitude % 10)"
    }
}
