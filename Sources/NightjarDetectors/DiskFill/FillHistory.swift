// What a forecast looks back on: how much was used, every five minutes, for eight days.
//
// Used and not free is kept: a file system that is resized keeps its past. A slot holds the last reading that fell
// into it. Hours without readings (the agent was off, the host slept) are filled with a straight line, because a
// replay of past days needs every slot; a longer silence than two days begins a new history.
//
//     slot    0    1    2   …   2303
//     used  4.1  4.1  4.2  …    6.0      one Float each: 9.2 KiB a file system, allocated as it fills

import NightjarModel

/// The used space (or inodes) of one file system over the last eight days, in five-minute slots.
struct FillHistory: Sendable, Equatable {
    static let slotLength: Int64 = 300_000_000_000
    static let slotsPerHour = 12
    static let slotsPerDay = 288
    /// Eight days: a week to replay, and a day to replay it from.
    static let capacity = 8 * slotsPerDay
    /// A longer silence than this is not bridged.
    static let longestGap = 2 * slotsPerDay

    private(set) var began: Moment
    /// Number of the newest slot, counted from `began`.
    private(set) var newest: Int64 = 0
    private var ring: [Float]
    private var head = 0

    init(began: Moment, used: Double) {
        self.began = began
        ring = [Float(used)]
    }

    /// How many slots are kept, at most `capacity`.
    var count: Int { ring.count }

    /// Takes a reading; one that is older than the newest slot is ignored.
    mutating func append(_ used: Double, at time: Moment) {
        let slot = (time - began).nanosecondCount / Self.slotLength
        guard slot >= newest else { return }
        let missing = slot - newest
        if missing > Int64(Self.longestGap) {
            self = FillHistory(began: time, used: used)
            return
        }
        let last = Double(self[count - 1])
        if missing == 0 { ring[index(count - 1)] = Float(used) }
        for step in 0..<missing {
            push(Float(last + (used - last) * Double(step + 1) / Double(missing)))
        }
        newest = slot
    }

    private mutating func push(_ used: Float) {
        if ring.count < Self.capacity {
            ring.append(used)
        } else {
            ring[head] = used
            head = (head + 1) % Self.capacity
        }
    }

    private func index(_ position: Int) -> Int { (head + position) % ring.count }

    /// The oldest kept slot is 0.
    subscript(position: Int) -> Float { ring[index(position)] }

    /// All kept slots, oldest first.
    var values: [Double] { (0..<count).map { Double(self[$0]) } }

    /// The last slots, oldest first; all where fewer are kept.
    func last(_ slots: Int) -> [Double] {
        (max(0, count - slots)..<count).map { Double(self[$0]) }
    }
}

extension FillHistory {
    func encode(into out: inout [UInt8]) {
        out.append(moment: began)
        out.append(integer: newest)
        out.append(integer: UInt16(count))
        for position in 0..<count { out.append(float: self[position]) }
    }

    init?(decoding reader: inout ByteReader) {
        guard let began = reader.moment(), let newest = reader.integer(Int64.self),
            let count = reader.integer(UInt16.self), count >= 1, count <= Self.capacity, newest >= Int64(count) - 1
        else { return nil }
        self.init(began: began, used: 0)
        ring = []
        for _ in 0..<count {
            guard let value = reader.float(), value.isFinite else { return nil }
            ring.append(value)
        }
        self.newest = newest
    }
}
