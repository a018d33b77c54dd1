import Glibc
import NightjarModel

// The agent watches itself: what a round costs, how late it was, and whether the whole stays within its share of a
// core. Above the budget the interval is stretched, step by step, and relaxed again when there is room.

/// The agent's own weight, and the interval that follows from it.
struct SelfWatch {
    /// Never slower than this: a leak of minutes must still be seen.
    static let longestInterval = Duration.seconds(30)
    /// CPU is judged over spans of this length, so that one expensive round changes nothing.
    static let span = Duration.seconds(10)

    private(set) var interval: Duration
    var configuredInterval: Duration
    var budget: Double

    private(set) var rounds: Int64 = 0
    private(set) var lateRounds: Int64 = 0
    private(set) var lastRound: Duration = .zero
    /// Share of one core over the last full span.
    private(set) var cpuShare: Double?
    private var spanBegan: (time: Moment, cpu: Duration)?

    init(interval: Duration, budget: Double) {
        self.interval = interval
        configuredInterval = interval
        self.budget = budget
    }

    /// Notes a round; says the new interval where it changes.
    mutating func ended(at now: Moment, took: Duration, missed: Int, cpu: Duration) -> Duration? {
        rounds += 1
        if missed > 0 { lateRounds += Int64(missed) }
        lastRound = took
        guard let began = spanBegan else {
            spanBegan = (now, cpu)
            return nil
        }
        let elapsed = now - began.time
        guard elapsed >= Self.span else { return nil }
        spanBegan = (now, cpu)
        let share = (cpu - began.cpu).inSeconds / elapsed.inSeconds
        cpuShare = share
        return adjust(to: share)
    }

    private mutating func adjust(to share: Double) -> Duration? {
        guard budget > 0 else { return nil }
        var wanted = interval
        if share > budget {
            wanted = min(interval * 2, Self.longestInterval)
        } else if interval > configuredInterval, share < budget * 0.4 {
            wanted = max(.nanoseconds(interval.nanosecondCount / 2), configuredInterval)
        }
        guard wanted != interval else { return nil }
        interval = wanted
        return wanted
    }

    /// Memory of this very process, from `/proc/self/statm`.
    static func memory() -> (virtual: Bytes, rss: Bytes, anonymous: Bytes)? {
        let descriptor = open("/proc/self/statm", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 128)
        let count = read(descriptor, &bytes, bytes.count)
        guard count > 0 else { return nil }
        let fields = String(decoding: bytes.prefix(count), as: UTF8.self).split(separator: " ").compactMap { Int64($0) }
        guard fields.count > 2 else { return nil }
        let page = Int64(sysconf(Int32(_SC_PAGESIZE)))
        return (Bytes(fields[0] * page), Bytes(fields[1] * page), Bytes((fields[1] - fields[2]) * page))
    }
}
