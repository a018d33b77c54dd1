// What a unit's earlier lives say about this one.
//
// A service that leaks and is killed every 60 h never lives the 112 h that a leak takes to be told from a cache by its
// memory alone. But its lives together do: each grew, none levelled off, each was killed. And a cache that filled to
// 3 GiB in every life so far is no news when it fills again after a deploy.

public import NightjarModel

/// How a life ended.
public enum LifeEnd: UInt8, Hashable, Sendable, CaseIterable {
    /// Ended by itself or by its operator.
    case exited
    /// Killed for memory: by the kernel, for its cgroup's limit or for the host's.
    case killedForMemory
    /// It ended while nobody looked.
    case unknown
}

/// One life of one process, in short.
public struct Life: Hashable, Sendable {
    /// How the floor moved over its second half.
    public enum Shape: UInt8, Hashable, Sendable, CaseIterable {
        /// Too short to say.
        case unknown
        /// Rose to the end.
        case rising
        /// Levelled off.
        case level
    }

    public var endedAt: Moment
    public var lived: Duration
    /// The floor after warm-up (at a fifth of the life), and at the end.
    public var floorFrom: Bytes
    public var floorTo: Bytes
    public var shape: Shape
    public var end: LifeEnd

    public init(
        endedAt: Moment, lived: Duration, floorFrom: Bytes, floorTo: Bytes, shape: Shape, end: LifeEnd
    ) {
        self.endedAt = endedAt
        self.lived = lived
        self.floorFrom = floorFrom
        self.floorTo = floorTo
        self.shape = shape
        self.end = end
    }

    /// It rose by a fifth or more, to its end.
    var grewToTheEnd: Bool {
        shape == .rising && Double(floorTo.count) >= 1.2 * Double(max(floorFrom.count, 1))
    }
}

/// The newest lives of one unit's process, at most eight.
public struct UnitLives: Hashable, Sendable {
    /// Enough to see a habit; older ones say little about today's version.
    public static let capacity = 8
    /// Shorter lives say nothing: a service that crashes at start has no plateau.
    static let shortest = 1.0 * 3600

    public private(set) var lives: [Life] = []

    public init() {}

    init(lives: [Life]) { self.lives = lives }

    /// Adds the newest; the oldest beyond eight falls out. Lives of less than an hour (of the detector's clock) are
    /// left out, unless they were killed for memory.
    public mutating func append(_ life: Life, _ settings: HeapGrowth.Settings = HeapGrowth.Settings()) {
        let lived = life.lived.inSeconds / settings.scale
        guard lived >= Self.shortest || life.end == .killedForMemory else { return }
        lives.append(life)
        if lives.count > Self.capacity { lives.removeFirst() }
    }

    /// What the next life should know.
    public var prior: HeapGrowth.Prior {
        // A newer version may have cured it: lives that grew count back to the last one that levelled off.
        let since = lives.reversed().prefix { $0.shape != .level }
        let killed = since.count { $0.end == .killedForMemory && $0.grewToTheEnd }
        let ended = since.count { $0.end != .killedForMemory && $0.grewToTheEnd }
        // A restart by hand or by timer hides a leak as well, but says less: three of them weigh as much as a kill.
        let plateau = lives.last { $0.shape == .level }?.floorTo
        return HeapGrowth.Prior(livesThatGrew: killed + ended / 3, plateau: killed == 0 ? plateau : nil)
    }
}

extension HeapGrowth {
    /// What a life knows of the lives before it; four bytes.
    public struct Prior: Hashable, Sendable {
        /// Expected up to here; 0 = nothing known.
        var expected = LogLevel(code: 0)
        /// Earlier lives that grew until they were killed, up to 255.
        var livesThatGrew: UInt8 = 0

        /// Nothing is known.
        public static let none = Prior()

        init() {}

        init(expected: LogLevel, livesThatGrew: UInt8) {
            self.expected = expected
            self.livesThatGrew = livesThatGrew
        }

        /// A tenth above the plateau is still the plateau.
        init(livesThatGrew: Int, plateau: Bytes?) {
            self.livesThatGrew = UInt8(clamping: livesThatGrew)
            if let plateau { expected = LogLevel(kibibytes: 1.1 * Float(plateau.count) / 1024) }
        }

        /// The age from which the lenient test says leak.
        var enough: Double {
            switch livesThatGrew {
            case 0: Ages.late
            case 1: Ages.secondLife
            default: Ages.thirdLife
            }
        }

        /// The age from which anything is said.
        var earliest: Double { min(Ages.notice, enough) }
    }

    /// The life in short, for `UnitLives`, when its process has ended.
    public func life(ended end: LifeEnd, at time: Moment, _ settings: Settings = Settings()) -> Life {
        let count = ring.count
        let fromBucket = count / 5
        let toBucket = max(0, count - max(1, count / 12))
        let from = count > 0 ? ring.lowest(fromBucket..<max(fromBucket + 1, toBucket)) : LogLevel(kibibytes: last)
        let to = count > 0 ? ring.lowest(toBucket..<count) : LogLevel(kibibytes: last)
        return Life(
            endedAt: time, lived: time - first, floorFrom: Bytes(kibibytes: from.kibibytes),
            floorTo: Bytes(kibibytes: to.kibibytes), shape: shape(age: age(at: time, settings), settings), end: end)
    }

    private func shape(age: Double, _ settings: Settings) -> Life.Shape {
        guard age >= UnitLives.shortest, ring.count >= 2 * Trend.parts else { return .unknown }
        guard let trend = Trend(ring, from: ring.count / 2) else { return age >= Ages.thirdLife ? .level : .unknown }
        if trend.relative > 2 * Float(settings.minimumRise), trend.saturation > 0.4, trend.rest > 0.4 {
            return .rising
        }
        let isLevel = trend.saturation < 0.4 || trend.relative < Float(settings.minimumRise)
        return isLevel && age >= Ages.thirdLife ? .level : .unknown
    }
}

extension Bytes {
    init(kibibytes: Float) { self.init(Int64((Double(kibibytes) * 1024).rounded())) }
}
