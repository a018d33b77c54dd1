// What a count (descriptors, threads) never went below, kept in 44 numbers for a whole life.
//
// A service that works opens and closes: its count jumps, but between two requests it comes back to a floor. A leak
// lifts the floor. So only the smallest count of each bucket of time is kept, in two rings:
//
//     life    |▁▁▁▂▂▂▃▃▃▄▄▄▅▅|     32 buckets from the beginning, 5 s wide at first. When they are full, neighbours
//                                  merge by their minimum and the width doubles, so that 16…31 buckets always span
//                                  everything; above 3 h the ring slides instead (4 days).
//     recent         |▃▃▄▄▅▅▆▆|    the last 12 half minutes: in a long life a leak that begins today is invisible in
//                                  buckets of hours, and 1,024 descriptors can be gone in twenty minutes.
//
// An empty bucket holds the last count: where nothing was read, nothing is known to have changed.

import NightjarModel

struct CountHistory: Hashable, Sendable {
    static let lifeBuckets = 32
    static let recentBuckets = 12
    /// Widths at scale 1, in nanoseconds.
    static let firstWidth: Int64 = 5_000_000_000
    static let recentWidth: Int64 = 30_000_000_000
    static let widestDoublings: UInt8 = 11  // 5 s × 2^11 = 2.8 h

    /// The closed minima of `life`, then those of `recent`; no storage at all until the history begins.
    private var floors: [UInt32] = []
    private(set) var began = Moment(nanoseconds: 0)
    private var lifeEnd: Int64 = 0
    private var recentEnd: Int64 = 0
    private var lifeLow: UInt32 = .max
    private var recentLow: UInt32 = .max
    private var last: UInt32 = 0
    private(set) var lifeCount: UInt8 = 0
    private(set) var recentCount: UInt8 = 0
    private var doublings: UInt8 = 0

    var isEmpty: Bool { floors.isEmpty }

    mutating func forget() { self = CountHistory() }

    /// Starts with the first bucket's beginning at `time`. `scale` shortens every width (demonstrations, tests).
    mutating func begin(at time: Moment, scale: Double) {
        floors = [UInt32](repeating: 0, count: Self.lifeBuckets + Self.recentBuckets)
        began = time
        lifeEnd = time.nanoseconds &+ lifeWidth(scale)
        recentEnd = time.nanoseconds &+ recentWidth(scale)
    }

    /// Adds a count; true where it closed a bucket, so that there is something new to judge.
    mutating func add(_ count: UInt32, at time: Int64, scale: Double) -> Bool {
        var closed = false
        if time >= lifeEnd {
            closeLife(until: time, scale: scale)
            closed = true
        }
        if time >= recentEnd {
            closeRecent(until: time, scale: scale)
            closed = true
        }
        lifeLow = min(lifeLow, count)
        recentLow = min(recentLow, count)
        last = count
        return closed
    }

    func lifeWidth(_ scale: Double) -> Int64 { max(1, Int64(Double(Self.firstWidth << Int64(doublings)) * scale)) }
    func recentWidth(_ scale: Double) -> Int64 { max(1, Int64(Double(Self.recentWidth) * scale)) }

    /// The smallest count of the newest closed half minute.
    var newestFloor: UInt32? { recentCount > 0 ? floors[Self.lifeBuckets + Int(recentCount) - 1] : nil }

    /// Evidence over the last `share` of the life.
    func lifeEvidence(share: Double) -> CountEvidence? {
        let count = Int(lifeCount)
        return evidence(from: Int(Double(count) * (1 - share)), to: count)
    }

    /// Evidence over the last six minutes.
    var recentEvidence: CountEvidence? {
        evidence(from: Self.lifeBuckets, to: Self.lifeBuckets + Int(recentCount))
    }

    private func evidence(from start: Int, to end: Int) -> CountEvidence? {
        floors.withUnsafeBufferPointer { all in
            start < end ? CountEvidence(UnsafeBufferPointer(rebasing: all[start..<end])) : nil
        }
    }

    private mutating func closeLife(until time: Int64, scale: Double) {
        var low = lifeLow == .max ? last : lifeLow
        while time >= lifeEnd {
            appendLife(low, scale: scale)
            low = last
        }
        lifeLow = .max
    }

    private mutating func appendLife(_ low: UInt32, scale: Double) {
        floors[Int(lifeCount)] = low
        lifeCount += 1
        // Before the next bucket begins, so that it has the new width from its start.
        if Int(lifeCount) == Self.lifeBuckets { makeRoom() }
        lifeEnd &+= lifeWidth(scale)
    }

    /// Halves the ring by merging neighbours, or lets its oldest bucket go once buckets are widest.
    private mutating func makeRoom() {
        if doublings < Self.widestDoublings {
            for index in 0..<(Self.lifeBuckets / 2) {
                floors[index] = min(floors[2 * index], floors[2 * index + 1])
            }
            lifeCount = UInt8(Self.lifeBuckets / 2)
            doublings += 1
            return
        }
        for index in 1..<Self.lifeBuckets { floors[index - 1] = floors[index] }
        lifeCount -= 1
    }

    private mutating func closeRecent(until time: Int64, scale: Double) {
        let width = recentWidth(scale)
        // After a long gap only the newest buckets matter.
        let behind = (time &- recentEnd) / width
        if behind > Int64(Self.recentBuckets) {
            recentEnd &+= (behind - Int64(Self.recentBuckets)) &* width
        }
        var low = recentLow == .max ? last : recentLow
        while time >= recentEnd {
            appendRecent(low)
            recentEnd &+= width
            low = last
        }
        recentLow = .max
    }

    private mutating func appendRecent(_ low: UInt32) {
        let first = Self.lifeBuckets
        if Int(recentCount) == Self.recentBuckets {
            for index in 1..<Self.recentBuckets { floors[first + index - 1] = floors[first + index] }
            recentCount -= 1
        }
        floors[first + Int(recentCount)] = low
        recentCount += 1
    }
}

extension CountHistory {
    func encode(into bytes: inout [UInt8]) {
        bytes.append(integer: UInt8(floors.isEmpty ? 0 : 1))
        guard !floors.isEmpty else { return }
        bytes.append(moment: began)
        for value in [lifeEnd, recentEnd] { bytes.append(integer: value) }
        for value in [lifeLow, recentLow, last] { bytes.append(integer: value) }
        for value in [lifeCount, recentCount, doublings] { bytes.append(integer: value) }
        for floor in floors[..<Int(lifeCount)] { bytes.append(integer: floor) }
        for floor in floors[Self.lifeBuckets...].prefix(Int(recentCount)) { bytes.append(integer: floor) }
    }

    init?(decoding reader: inout ByteReader) {
        guard let begun: UInt8 = reader.integer(), begun <= 1 else { return nil }
        guard begun == 1 else { return }
        guard let began = reader.moment(), let lifeEnd: Int64 = reader.integer(),
            let recentEnd: Int64 = reader.integer(), let lifeLow: UInt32 = reader.integer(),
            let recentLow: UInt32 = reader.integer(), let last: UInt32 = reader.integer(),
            let lifeCount: UInt8 = reader.integer(), lifeCount < Self.lifeBuckets,
            let recentCount: UInt8 = reader.integer(), recentCount <= Self.recentBuckets,
            let doublings: UInt8 = reader.integer(), doublings <= Self.widestDoublings,
            lifeEnd >= began.nanoseconds, recentEnd >= began.nanoseconds
        else { return nil }
        (self.began, self.lifeEnd, self.recentEnd) = (began, lifeEnd, recentEnd)
        (self.lifeLow, self.recentLow, self.last) = (lifeLow, recentLow, last)
        (self.lifeCount, self.recentCount, self.doublings) = (lifeCount, recentCount, doublings)
        floors = [UInt32](repeating: 0, count: Self.lifeBuckets + Self.recentBuckets)
        for index in 0..<Int(lifeCount) {
            guard let floor: UInt32 = reader.integer() else { return nil }
            floors[index] = floor
        }
        for index in 0..<Int(recentCount) {
            guard let floor: UInt32 = reader.integer() else { return nil }
            floors[Self.lifeBuckets + index] = floor
        }
    }
}
