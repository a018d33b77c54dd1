import Glibc

/// CPU time of this process, user and system, in seconds: what a quiet or a busy machine agree on.
public func processCPUSeconds() -> Double { seconds(CLOCK_PROCESS_CPUTIME_ID) }

/// CPU time of this thread alone.
public func threadCPUSeconds() -> Double { seconds(CLOCK_THREAD_CPUTIME_ID) }

/// Wall time since some moment.
public func wallSeconds() -> Double { seconds(CLOCK_MONOTONIC) }

private func seconds(_ clock: clockid_t) -> Double {
    var time = timespec()
    clock_gettime(clock, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

/// Sleeps.
public func pause(seconds: Double) {
    let end = wallSeconds() + seconds
    while case let left = end - wallSeconds(), left > 0 { usleep(UInt32(min(left, 0.9) * 1e6)) }
}

/// What several rounds of the same thing cost.
public struct Series: Sendable {
    /// In the order of the rounds.
    public private(set) var values: [Double]

    /// Of given values.
    public init(_ values: [Double] = []) { self.values = values }

    /// One more.
    public mutating func append(_ value: Double) { values.append(value) }

    /// The middle one; robust against a machine that does other things too.
    public var median: Double {
        let sorted = values.sorted()
        guard !sorted.isEmpty else { return .nan }
        let middle = sorted.count / 2
        return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
    }

    /// The smallest and the largest.
    public var least: Double { values.min() ?? .nan }
    public var most: Double { values.max() ?? .nan }
}

/// Runs contenders in turn, round by round, so that whatever else the machine does meets all of them alike.
///
/// - Parameters:
///   - rounds: how often each runs; the first round warms up and is not counted.
///   - clock: what is measured, thread CPU time by default.
/// - Returns: for each contender, the clock's seconds of each round.
public func interleaved(
    rounds: Int, clock: () -> Double = threadCPUSeconds, _ contenders: [() -> Void]
) -> [Series] {
    var series = contenders.map { _ in Series() }
    for round in 0...rounds {
        for (index, contender) in contenders.enumerated() {
            let started = clock()
            contender()
            let spent = clock() - started
            if round > 0 { series[index].append(spent) }
        }
    }
    return series
}

/// Median of the ratios of each round: steadier than the ratio of the medians, since both sides of a round met the same
/// machine.
public func medianRatio(_ measured: Series, _ floor: Series) -> Double {
    Series(zip(measured.values, floor.values).map { $0 / $1 }).median
}
