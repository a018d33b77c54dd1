// How full a pool was, at six time scales at once.
//
//       5 s   ▕▁▂▃▄▅▆▇█▏   32 buckets: the last 160 s
//      20 s   four of those make one of these: 11 min
//      80 s   43 min, and so on: 2.8 h, 11 h, 45 h
//
// A pool that fills in five minutes is a straight line at the first scale, one that fills in two days at the last, and
// what came before (a warm-up, a quiet week) has left the window by the time it matters. So no age has to be waited
// for: a window is long enough when it reaches as far back as the forecast reaches ahead.

/// Lowest and highest level of each bucket at six scales; under 1 KiB.
struct LevelHistory: Hashable, Sendable {
    static let scales = 6
    static let length = 32
    /// Buckets of one scale in a bucket of the next.
    static let ratio = 4
    static let firstWidth = 5.0
    /// After a longer silence history begins anew: two days, as long as the longest window.
    static let longestGap = 2.0 * 86_400

    private(set) var scales: [[FloorBucket]] = Array(repeating: [], count: LevelHistory.scales)
    /// Buckets of the first scale that were closed, also those that have left.
    private(set) var closed: Int64 = 0
    /// The bucket that is open.
    private(set) var low = Float.infinity
    private(set) var high: Float = 0
    private(set) var last: Float = 0

    init() {}

    /// Seconds a bucket.
    static func width(_ scale: Int) -> Double { firstWidth * Double(1 << (2 * scale)) }

    /// Takes a level at an age in seconds. True when a bucket closed.
    mutating func add(_ kibibytes: Float, age: Double) -> Bool {
        if age >= Double(closed + 1) * Self.firstWidth + Self.longestGap { begin(at: age) }
        var hasClosed = false
        while age >= Double(closed + 1) * Self.firstWidth {
            close()
            hasClosed = true
        }
        low = min(low, kibibytes)
        high = max(high, kibibytes)
        last = kibibytes
        return hasClosed
    }

    /// Forgets all, and goes on at an age.
    mutating func begin(at age: Double) {
        self = LevelHistory()
        closed = Int64(age / Self.firstWidth)
    }

    private mutating func close() {
        let isEmpty = low > high
        append(
            FloorBucket(
                low: LogLevel(kibibytes: isEmpty ? last : low), high: LogLevel(kibibytes: isEmpty ? last : high)), to: 0
        )
        low = .infinity
        high = 0
        closed += 1
        var every = Int64(Self.ratio)
        for scale in 1..<Self.scales {
            guard closed % every == 0 else { return }
            every *= Int64(Self.ratio)
            var newest = scales[scale - 1].suffix(Self.ratio)
            guard let first = newest.popFirst() else { return }
            append(newest.reduce(first) { $0.merged(with: $1) }, to: scale)
        }
    }

    private mutating func append(_ bucket: FloorBucket, to scale: Int) {
        if scales[scale].count == Self.length { scales[scale].removeFirst() }
        scales[scale].append(bucket)
    }

    /// The highest level that is remembered.
    var highest: LogLevel { scales.joined().map(\.high).max() ?? LogLevel(code: 0) }

    /// The highest level before a scale's newest `length` buckets, at any scale; nil where nothing is remembered from
    /// then.
    func highestBefore(scale: Int, length: Int) -> LogLevel? {
        var highest: LogLevel?
        let span = Double(length) * Self.width(scale)
        for coarser in scale..<Self.scales {
            let newer = Int((span / Self.width(coarser)).rounded(.up)) + (coarser > scale ? 1 : 0)
            for bucket in scales[coarser].dropLast(newer) { highest = max(highest ?? bucket.high, bucket.high) }
        }
        return highest
    }

    // MARK: State

    func encode(into bytes: inout [UInt8]) {
        bytes.append(integer: closed)
        for number in [low, high, last] { bytes.append(float: number) }
        for buckets in scales {
            bytes.append(integer: UInt8(buckets.count))
            for bucket in buckets { bucket.encode(into: &bytes) }
        }
    }

    init?(decoding reader: inout ByteReader) {
        guard let closed: Int64 = reader.integer(), closed >= 0, closed < 1 << 40,
            let low = reader.level(), let high = reader.level(), let last = reader.level()
        else { return nil }
        (self.closed, self.low, self.high, self.last) = (closed, low, high, last)
        for scale in 0..<Self.scales {
            guard let count: UInt8 = reader.integer(), count <= Self.length else { return nil }
            for _ in 0..<count {
                guard let bucket = FloorBucket(decoding: &reader) else { return nil }
                scales[scale].append(bucket)
            }
        }
    }
}
