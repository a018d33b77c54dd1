// Detector state as bytes, so that a restart or an upgrade of the agent forgets nothing.
//
// Little endian, no padding, no lengths but those a detector writes itself. Every state begins with a version byte of
// its own; whoever meets another version, or bytes that end too early, starts fresh: a lost history costs hours of
// evidence, a misread one costs a false alarm.

public import NightjarModel

/// Reads what `Array.append(integer:)` and its siblings wrote; every read past the end answers nil.
public struct ByteReader: Sendable {
    private let bytes: [UInt8]
    private var position = 0

    public init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// How many bytes are left.
    public var remaining: Int { bytes.count - position }
    public var isAtEnd: Bool { remaining == 0 }

    /// The next integer of that width, or nil where fewer bytes are left.
    public mutating func integer<T: FixedWidthInteger>(_ type: T.Type = T.self) -> T? {
        let width = T.bitWidth / 8
        guard remaining >= width else { return nil }
        var value: T = 0
        for offset in (0..<width).reversed() {
            value = value << 8 | T(truncatingIfNeeded: bytes[position + offset])
        }
        position += width
        return value
    }

    /// The next number or moment, or nil where fewer bytes are left.
    public mutating func float() -> Float? { integer(UInt32.self).map(Float.init(bitPattern:)) }
    public mutating func double() -> Double? { integer(UInt64.self).map(Double.init(bitPattern:)) }
    public mutating func moment() -> Moment? { integer(Int64.self).map(Moment.init(nanoseconds:)) }

    /// Text as `append(text:)` wrote it; nil where it is longer than `limit` or the bytes end too early.
    public mutating func text(limit: Int = 4096) -> String? {
        guard let count: UInt16 = integer(), count <= limit, remaining >= Int(count) else { return nil }
        defer { position += Int(count) }
        return String(decoding: bytes[position..<(position + Int(count))], as: UTF8.self)
    }
}

extension [UInt8] {
    /// The integer's bytes, lowest first.
    public mutating func append<T: FixedWidthInteger>(integer value: T) {
        for shift in 0..<(T.bitWidth / 8) { append(UInt8(truncatingIfNeeded: value >> T(shift * 8))) }
    }

    /// The number's or moment's bits, lowest byte first.
    public mutating func append(float value: Float) { append(integer: value.bitPattern) }
    public mutating func append(double value: Double) { append(integer: value.bitPattern) }
    public mutating func append(moment value: Moment) { append(integer: value.nanoseconds) }

    /// A length of two bytes and the text, cut at 65,535 bytes.
    public mutating func append(text value: String) {
        let utf8 = value.utf8.prefix(Int(UInt16.max))
        append(integer: UInt16(utf8.count))
        append(contentsOf: utf8)
    }
}
