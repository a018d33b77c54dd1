// How late a job would have started that came at a random moment.
//
// One reading a poll and loop: the wait of a job that was queued at that poll, zero for a loop that was idle. During a stall
// every poll that passes is a job that waits too, and each gets its own reading when the stall ends. So one stall of 30 s
// weighs as much as it hurts, and not as one reading among thousands of good ones (coordinated omission).
//
// Forty-eight buckets, two an octave: bucket i holds lags up to 100 µs × 2^(i/2), the last one everything above 20 min.

/// Lags of one loop since the probe started.
public struct LagHistogram: Hashable, Sendable {
    public var counts: [UInt64]

    public init() { counts = [UInt64](repeating: 0, count: PageLayout.lagBuckets) }

    /// The upper edge of a bucket in nanoseconds.
    public static func edge(_ bucket: Int) -> UInt64 {
        let octave: UInt64 = 100_000 << UInt64(max(0, bucket) / 2)
        return bucket % 2 == 0 ? octave : octave &* 1_414_214 / 1_000_000
    }

    /// The bucket that a lag belongs to.
    public static func bucket(of nanoseconds: UInt64) -> Int {
        for bucket in 0..<PageLayout.lagBuckets where nanoseconds <= edge(bucket) { return bucket }
        return PageLayout.lagBuckets - 1
    }

    /// Counts jobs that waited so long.
    public mutating func add(_ nanoseconds: UInt64, times: UInt64 = 1) {
        counts[Self.bucket(of: nanoseconds)] &+= times
    }

    public var total: UInt64 { counts.reduce(0, &+) }

    /// The lag that a share of all jobs did not exceed (0…1), as the upper edge of its bucket; nil without readings.
    public func quantile(_ share: Double) -> UInt64? {
        let total = total
        guard total > 0 else { return nil }
        let rank = min(1, max(0, share)) * Double(total)
        var seen = 0.0
        for bucket in counts.indices {
            seen += Double(counts[bucket])
            if seen >= rank, counts[bucket] > 0 { return Self.edge(bucket) }
        }
        return Self.edge(PageLayout.lagBuckets - 1)
    }

    /// What was added since an earlier reading of the same histogram; a restart counts from zero.
    public func since(_ earlier: LagHistogram) -> LagHistogram {
        var out = LagHistogram()
        for bucket in counts.indices {
            out.counts[bucket] =
                counts[bucket] >= earlier.counts[bucket] ? counts[bucket] - earlier.counts[bucket] : counts[bucket]
        }
        return out
    }
}
