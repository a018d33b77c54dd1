// The floor of a whole life in a bounded ring.
//
// Allocators give memory back late and in lumps, so single readings jump. We look at the floor instead: the smallest
// reading of each bucket. When the ring is full, neighbours merge by minimum and the buckets become twice as wide, so
// it always spans the life in K/2..<K buckets: fine while the process is young, coarse when it is old.
//
//     width w     |5|4|6|4|7|5|8|6|            K = 8, full
//     width 2w    | 4 | 4 | 5 | 6 |            merged: room for as many again
//
// From 2.7 h on, buckets get no wider; the oldest falls out instead, and the ring is the last 28 days.
//
// Most processes of a host are idle: their floor is one number, repeated. So what repeats at the end of the ring is
// kept as a value and a count, and memory is taken only for the part before. A process that never changes has none.
//
// A floor is kept as the logarithm of its KiB, 2,048 steps an octave (0.034 %), in 16 bits: 1 KiB to 4 TiB. The
// smallest effect that a detector acts on is ten times as large, minima of logarithms are logarithms of minima, and
// with the bucket's highest reading beside it a bucket is 4 bytes.

import Glibc

/// A reading as the logarithm of its KiB: order is kept, resolution is 0.034 %.
struct LogLevel: Hashable, Comparable, Sendable {
    var code: UInt16

    init(code: UInt16) { self.code = code }

    init(kibibytes: Float) {
        let steps = (log2f(max(kibibytes, 1)) * 2048).rounded()
        code = UInt16(min(steps, 65_535))
    }

    var kibibytes: Float { exp2f(Float(code) / 2048) }

    static func < (a: LogLevel, b: LogLevel) -> Bool { a.code < b.code }
}

/// The lowest and the highest reading of one span of time.
struct FloorBucket: Hashable, Sendable {
    var low: LogLevel
    var high: LogLevel

    func merged(with other: FloorBucket) -> FloorBucket {
        FloorBucket(low: min(low, other.low), high: max(high, other.high))
    }
}

/// The closed buckets of a life, oldest first.
struct FloorRing: Hashable, Sendable {
    /// K: merging begins as soon as so many are closed.
    static let capacity = 256
    /// The first buckets are 300 s / 64 wide; six doublings later they are 5 min wide, and from there on as if they
    /// had been 5 min wide from the start.
    static let firstWidth = 300.0 / 64
    /// 2.7 h: the widest bucket (11 doublings).
    static let mostDoublings: UInt8 = 11

    /// True after 20 years, when it cannot count its buckets any further.
    var isWornOut: Bool { dropped == .max }

    /// What it spans at most, in seconds: 28 days.
    static let longest = Double(capacity) * firstWidth * 2048

    private(set) var dense: [FloorBucket] = []
    private(set) var tail = FloorBucket(low: LogLevel(code: 0), high: LogLevel(code: 0))
    /// Buckets that fell out at the front.
    private(set) var dropped: UInt16 = 0
    private(set) var tailCount: UInt8 = 0
    private(set) var doublings: UInt8 = 0

    init() {}

    init(dense: [FloorBucket], tail: FloorBucket, dropped: UInt16, tailCount: UInt8, doublings: UInt8) {
        (self.dense, self.tail, self.dropped) = (dense, tail, dropped)
        (self.tailCount, self.doublings) = (tailCount, doublings)
    }

    /// Age at which the newest bucket ended, in seconds of the detector's clock.
    var closedUntil: Double { width * Double(count + Int(dropped)) }

    var count: Int { dense.count + Int(tailCount) }

    /// How wide a bucket is, in seconds of the detector's clock.
    var width: Double { Self.firstWidth * Double(UInt32(1) << UInt32(doublings)) }

    subscript(index: Int) -> FloorBucket { index < dense.count ? dense[index] : tail }

    /// Closes a bucket.
    mutating func append(_ bucket: FloorBucket) {
        if count + 1 == Self.capacity {
            if doublings < Self.mostDoublings { return merge(adding: bucket) }
            dropOldest()
        }
        if tailCount > 0, bucket != tail { spill() }
        tail = bucket
        tailCount += 1
    }

    /// The lowest of some buckets; they must not be empty.
    func lowest(_ range: Range<Int>) -> LogLevel {
        var lowest = range.upperBound > dense.count ? tail.low : LogLevel(code: .max)
        dense.withUnsafeBufferPointer { all in
            var index = range.lowerBound
            let end = min(range.upperBound, all.count)
            while index < end {
                lowest = min(lowest, all[index].low)
                index += 1
            }
        }
        return lowest
    }

    /// The highest of some buckets.
    func highest(_ range: Range<Int>) -> LogLevel {
        var highest = range.upperBound > dense.count ? tail.high : LogLevel(code: 0)
        for index in range.lowerBound..<max(range.lowerBound, min(range.upperBound, dense.count)) {
            highest = max(highest, dense[index].high)
        }
        return highest
    }

    /// The repeated end becomes ordinary buckets. Memory is taken in steps, so that a short history stays small, and
    /// never for more than K - 2 buckets: the newest is in the tail, and the K-th merges.
    private mutating func spill() {
        let needed = dense.count + Int(tailCount)
        if dense.capacity < needed {
            dense.reserveCapacity(min(Self.capacity - 2, max(needed, dense.count + max(8, dense.count / 2))))
        }
        dense.append(contentsOf: repeatElement(tail, count: Int(tailCount)))
        tailCount = 0
    }

    private mutating func merge(adding newest: FloorBucket) {
        let half = Self.capacity / 2
        let merged = (0..<half).map { pair in
            self[2 * pair].merged(with: pair == half - 1 ? newest : self[2 * pair + 1])
        }
        let repeated = merged.reversed().prefix { $0 == merged[half - 1] }.count
        let distinct = merged.dropLast(repeated)
        if dense.count >= distinct.count {
            dense.replaceSubrange(0..., with: distinct)
        } else {
            dense = Array(distinct)
        }
        tail = merged[half - 1]
        tailCount = UInt8(repeated)
        doublings += 1
    }

    private mutating func dropOldest() {
        if dense.isEmpty { tailCount -= 1 } else { dense.removeFirst() }
        if !isWornOut { dropped += 1 }
    }
}
