// How nouns are kept over a restart: little-endian, one after the other, strings and lists with their length before them.
//
//     u8 · i64 (8 bytes) · text = u32 length + UTF-8 · optional = u8 0 or 1, then the value · list = u32 count + items
//
// The reader believes nothing: a length beyond what is left, an unknown case, or a missing byte makes the whole value
// nil. Nothing is allocated for a length that the bytes do not back up. Each kind of record begins with a version.

/// Writes values one after the other.
public struct StateWriter: Sendable {
    public private(set) var bytes: [UInt8] = []

    public init() {}

    /// Appends the value's bytes.
    /// One byte.
    public mutating func write(_ value: UInt8) { bytes.append(value) }

    /// Eight bytes.
    public mutating func write(_ value: Int64) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    /// Four bytes.
    public mutating func write(_ value: UInt32) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    /// Its bit pattern.
    public mutating func write(_ value: Double) { write(Int64(bitPattern: value.bitPattern)) }

    /// Its length, then its UTF-8.
    public mutating func write(_ value: String) {
        write(UInt32(value.utf8.count))
        bytes.append(contentsOf: value.utf8)
    }

    /// As nanoseconds, and as bytes.
    public mutating func write(_ value: Moment) { write(value.nanoseconds) }
    public mutating func write(_ value: Bytes) { write(value.count) }
    public mutating func write(_ value: Duration) { write(value.nanosecondCount) }

    /// A byte that says whether there is one, then the value.
    public mutating func writeOptional<T>(_ value: T?, _ body: (inout StateWriter, T) -> Void) {
        write(UInt8(value == nil ? 0 : 1))
        if let value { body(&self, value) }
    }

    /// How many there are, then each.
    public mutating func writeList<T>(_ values: [T], _ body: (inout StateWriter, T) -> Void) {
        write(UInt32(values.count))
        for value in values { body(&self, value) }
    }
}

/// What was read is not what was written: cut off, of another version, or damaged.
public struct StateDamaged: Error, Hashable, Sendable {
    public init() {}
}

/// Reads what a `StateWriter` wrote; throws at the first byte that cannot be right.
public struct StateReader: Sendable {
    private let bytes: [UInt8]
    private var position = 0

    public init(_ bytes: [UInt8]) { self.bytes = bytes }

    public var isAtEnd: Bool { position == bytes.count }

    /// One byte.
    public mutating func byte() throws(StateDamaged) -> UInt8 {
        guard position < bytes.count else { throw StateDamaged() }
        position += 1
        return bytes[position - 1]
    }

    /// Numbers and times, as the writer wrote them.
    public mutating func int64() throws(StateDamaged) -> Int64 { Int64(littleEndian: try load(Int64.self)) }
    public mutating func uint32() throws(StateDamaged) -> UInt32 { UInt32(littleEndian: try load(UInt32.self)) }
    public mutating func double() throws(StateDamaged) -> Double { Double(bitPattern: UInt64(bitPattern: try int64())) }
    public mutating func moment() throws(StateDamaged) -> Moment { Moment(nanoseconds: try int64()) }
    public mutating func duration() throws(StateDamaged) -> Duration { .nanoseconds(try int64()) }

    /// A text; what is not UTF-8 in it is repaired.
    public mutating func string() throws(StateDamaged) -> String {
        let length = Int(try uint32())
        guard length <= bytes.count - position else { throw StateDamaged() }
        position += length
        return String(decoding: bytes[(position - length)..<position], as: UTF8.self)
    }

    /// A value that may be missing.
    public mutating func optional<T>(
        _ body: (inout StateReader) throws(StateDamaged) -> T
    ) throws(StateDamaged) -> T? {
        switch try byte() {
        case 0: return nil
        case 1: return try body(&self)
        default: throw StateDamaged()
        }
    }

    /// At most `limit` items; more is damage.
    public mutating func list<T>(
        limit: Int, _ body: (inout StateReader) throws(StateDamaged) -> T
    ) throws(StateDamaged) -> [T] {
        let count = Int(try uint32())
        guard count <= limit, count <= bytes.count - position else { throw StateDamaged() }
        var items: [T] = []
        items.reserveCapacity(count)
        for _ in 0..<count { items.append(try body(&self)) }
        return items
    }

    private mutating func load<T: FixedWidthInteger>(_ type: T.Type) throws(StateDamaged) -> T {
        let size = MemoryLayout<T>.size
        guard size <= bytes.count - position else { throw StateDamaged() }
        defer { position += size }
        return bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: position, as: T.self) }
    }
}
