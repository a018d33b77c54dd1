import CNightjarLinux
import Glibc
public import NightjarModel

/// The agent's clock: `CLOCK_BOOTTIME` plus an offset taken once, so that it never jumps and counts through suspend.
public struct SteadyClock: Sendable {
    private let offset: Int64

    public init() { offset = Self.read(CLOCK_REALTIME) - Self.read(CLOCK_BOOTTIME) }

    public var now: Moment { Moment(nanoseconds: Self.read(CLOCK_BOOTTIME) + offset) }

    /// How far the wall clock has moved against this clock since it was made: a step of the wall clock shows here.
    public var drift: Duration {
        .nanoseconds(Self.read(CLOCK_REALTIME) - Self.read(CLOCK_BOOTTIME) - offset)
    }

    /// Nanoseconds on one of the kernel's clocks.
    static func read(_ clock: clockid_t) -> Int64 {
        var now = timespec()
        clock_gettime(clock, &now)
        return Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec)
    }

    /// CPU time of the calling process, all threads.
    static var processCPU: Duration { .nanoseconds(read(CLOCK_PROCESS_CPUTIME_ID)) }
}
