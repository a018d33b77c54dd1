// A life as bytes: 50 and four a bucket, at most 1.1 KiB. The caller keys them by pid, start time and boot, so that
// they are only ever given back to the same life.

import NightjarModel

extension HeapGrowth {
    static let version: UInt8 = 1

    /// Appends the state.
    public func encode(into bytes: inout [UInt8]) {
        bytes.append(integer: Self.version)
        bytes.append(moment: first)
        bytes.append(integer: stage.rawValue)
        for number in [low, high, last] { bytes.append(float: number) }
        bytes.append(integer: calmHour)
        for level in [openedFrom, openedTo, prior.expected] { bytes.append(integer: level.code) }
        bytes.append(integer: prior.livesThatGrew)
        companions.encode(into: &bytes)
        ring.encode(into: &bytes)
    }

    /// Reads what `encode` wrote; nil for anything else: begin anew then.
    public init?(decoding reader: inout ByteReader) {
        guard reader.integer(UInt8.self) == Self.version, let first = reader.moment(),
            let stage = reader.integer(UInt8.self).flatMap(Stage.init(rawValue:)),
            let low = reader.level(), let high = reader.level(), high.isFinite,
            let last = reader.level(), last.isFinite,
            let calmHour: UInt16 = reader.integer(),
            let openedFrom: UInt16 = reader.integer(),
            let openedTo: UInt16 = reader.integer(), let expected: UInt16 = reader.integer(),
            let livesThatGrew: UInt8 = reader.integer(), let companions = Companions(decoding: &reader),
            let ring = FloorRing(decoding: &reader), stage < .growing || ring.count > 0
        else { return nil }
        self.init(prior: Prior(expected: LogLevel(code: expected), livesThatGrew: livesThatGrew))
        (self.first, self.stage, self.low, self.high, self.calmHour) = (first, stage, low, high, calmHour)
        self.last = last
        self.openedFrom = LogLevel(code: openedFrom)
        self.openedTo = LogLevel(code: openedTo)
        self.companions = companions
        self.ring = ring
    }
}

extension Companions {
    func encode(into bytes: inout [UInt8]) {
        for reading in [newest, recent, oldest] {
            for number in [reading.threads, reading.file.code, reading.inUse.code] { bytes.append(integer: number) }
        }
    }

    init?(decoding reader: inout ByteReader) {
        guard let newest = Reading(decoding: &reader), let recent = Reading(decoding: &reader),
            let oldest = Reading(decoding: &reader)
        else { return nil }
        self.init(newest: newest, recent: recent, oldest: oldest)
    }
}

extension Companions.Reading {
    fileprivate init?(decoding reader: inout ByteReader) {
        guard let threads: UInt16 = reader.integer(), let file: UInt16 = reader.integer(),
            let inUse: UInt16 = reader.integer()
        else { return nil }
        self.init(threads: threads, file: LogLevel(code: file), inUse: LogLevel(code: inUse))
    }
}

extension FloorRing {
    func encode(into bytes: inout [UInt8]) {
        bytes.append(integer: doublings)
        bytes.append(integer: UInt16(dense.count))
        bytes.append(integer: tailCount)
        bytes.append(integer: dropped)
        for bucket in dense { bucket.encode(into: &bytes) }
        tail.encode(into: &bytes)
    }

    init?(decoding reader: inout ByteReader) {
        guard let doublings: UInt8 = reader.integer(), doublings <= Self.mostDoublings,
            let denseCount: UInt16 = reader.integer(), let tailCount: UInt8 = reader.integer(),
            let dropped: UInt16 = reader.integer(),
            Int(denseCount) + Int(tailCount) < Self.capacity, tailCount > 0 || denseCount == 0
        else { return nil }
        var dense: [FloorBucket] = []
        dense.reserveCapacity(Int(denseCount))
        for _ in 0..<denseCount {
            guard let bucket = FloorBucket(decoding: &reader) else { return nil }
            dense.append(bucket)
        }
        guard let tail = FloorBucket(decoding: &reader) else { return nil }
        self.init(dense: dense, tail: tail, dropped: dropped, tailCount: tailCount, doublings: doublings)
    }
}

extension UnitLives {
    static let version: UInt8 = 1

    /// Appends the lives, 34 bytes each.
    public func encode(into bytes: inout [UInt8]) {
        bytes.append(integer: Self.version)
        bytes.append(integer: UInt8(lives.count))
        for life in lives {
            bytes.append(moment: life.endedAt)
            bytes.append(integer: life.lived.nanosecondCount)
            bytes.append(integer: life.floorFrom.count)
            bytes.append(integer: life.floorTo.count)
            bytes.append(integer: life.shape.rawValue)
            bytes.append(integer: life.end.rawValue)
        }
    }

    /// Reads what `encode` wrote; nil for anything else.
    public init?(decoding reader: inout ByteReader) {
        guard reader.integer(UInt8.self) == Self.version, let count: UInt8 = reader.integer(), count <= Self.capacity
        else { return nil }
        var lives: [Life] = []
        for _ in 0..<count {
            guard let endedAt = reader.moment(), let lived: Int64 = reader.integer(), lived >= 0,
                let from: Int64 = reader.integer(), let to: Int64 = reader.integer(), from >= 0, to >= 0,
                let shape = reader.integer(UInt8.self).flatMap(Life.Shape.init(rawValue:)),
                let end = reader.integer(UInt8.self).flatMap(LifeEnd.init(rawValue:))
            else { return nil }
            lives.append(
                Life(
                    endedAt: endedAt, lived: .nanoseconds(lived), floorFrom: Bytes(from), floorTo: Bytes(to),
                    shape: shape, end: end))
        }
        self.init(lives: lives)
    }
}
