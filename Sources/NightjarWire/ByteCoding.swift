// How numbers and texts lie in a frame: little-endian, texts with their length in front. Reading never traps: a frame
// may come from anybody. A read past the end answers zero and marks the reader as failed, and the frame is refused.

/// Writes the fields of a frame.
public struct FrameWriter {
    public private(set) var bytes: [UInt8] = []

    public init(reserving count: Int = 1024) { bytes.reserveCapacity(count) }

    /// Whole numbers of one to eight bytes, the lowest byte first.
    public mutating func u8(_ value: UInt8) { bytes.append(value) }
    public mutating func u16(_ value: UInt16) { append(value) }
    public mutating func u32(_ value: UInt32) { append(value) }
    public mutating func u64(_ value: UInt64) { append(value) }
    public mutating func i32(_ value: Int32) { append(UInt32(bitPattern: value)) }

    /// A text, cut to `limit` bytes at a character's edge.
    public mutating func text(_ value: String, limit: Int = Limits.text) {
        var kept = Array(value.utf8.prefix(limit))
        if kept.count < value.utf8.count {
            // The last character may have been cut: its head and tail bytes go too.
            while let last = kept.last, last & 0xC0 == 0x80 { kept.removeLast() }
            if let last = kept.last, last & 0x80 != 0 { kept.removeLast() }
        }
        u16(UInt16(clamping: kept.count))
        bytes += kept
    }

    /// Bytes with their count (two bytes) in front; what is over `limit` is cut.
    public mutating func data(_ value: some Collection<UInt8>, limit: Int) {
        u16(UInt16(clamping: min(value.count, limit)))
        bytes += value.prefix(limit)
    }

    /// Return addresses with their count (two bytes) in front, at most `Limits.frames`.
    public mutating func addresses(_ values: some Collection<UInt64>) {
        u16(UInt16(clamping: min(values.count, Limits.frames)))
        for value in values.prefix(Limits.frames) { append(value) }
    }

    private mutating func append<T: FixedWidthInteger>(_ value: T) {
        withUnsafeBytes(of: value.littleEndian) { bytes += $0 }
    }
}

/// Reads the fields of a frame that nobody vouches for.
public struct FrameReader {
    private let bytes: [UInt8]
    private var offset: Int
    /// A field was missing, or said something impossible.
    public private(set) var failed = false

    public init(_ bytes: [UInt8], at offset: Int = 0) {
        self.bytes = bytes
        self.offset = offset
    }

    public var isAtEnd: Bool { offset >= bytes.count }

    /// Marks the frame as wrong: everything read from now on is zero or empty.
    public mutating func fail() {
        failed = true
        offset = bytes.count
    }

    /// Whole numbers as the writer wrote them; zero past the end.
    public mutating func u8() -> UInt8 { number(UInt8.self) }
    public mutating func u16() -> UInt16 { number(UInt16.self) }
    public mutating func u32() -> UInt32 { number(UInt32.self) }
    public mutating func u64() -> UInt64 { number(UInt64.self) }
    public mutating func i32() -> Int32 { Int32(bitPattern: u32()) }

    /// A text; control characters become `?`, so that no name can draw on the reader's terminal.
    public mutating func text(limit: Int = Limits.text) -> String {
        let raw = data(limit: limit)
        return String(decoding: raw.map { $0 < 0x20 || $0 == 0x7F ? UInt8(ascii: "?") : $0 }, as: UTF8.self)
    }

    /// Bytes as the writer wrote them; a count over `limit`, or beyond the frame, fails.
    public mutating func data(limit: Int) -> [UInt8] {
        let count = Int(u16())
        guard count <= limit, bytes.count - offset >= count else {
            fail()
            return []
        }
        defer { offset += count }
        return Array(bytes[offset..<offset + count])
    }

    /// Return addresses as the writer wrote them; more than `Limits.frames` fail.
    public mutating func addresses() -> [UInt64] {
        let count = Int(u16())
        guard count <= Limits.frames, bytes.count - offset >= count * 8 else {
            fail()
            return []
        }
        return (0..<count).map { _ in u64() }
    }

    /// A list with its length (one byte) in front, at most `limit` long.
    public mutating func list<T>(limit: Int, _ element: (inout FrameReader) -> T?) -> [T] {
        let count = Int(u8())
        guard count <= limit else {
            fail()
            return []
        }
        var out: [T] = []
        for _ in 0..<count {
            guard !failed, let next = element(&self) else {
                fail()
                return []
            }
            out.append(next)
        }
        return out
    }

    private mutating func number<T: FixedWidthInteger>(_ type: T.Type) -> T {
        let size = T.bitWidth / 8
        guard bytes.count - offset >= size else {
            fail()
            return 0
        }
        var value: T = 0
        for index in 0..<size { value |= T(truncatingIfNeeded: bytes[offset + index]) << T(index * 8) }
        offset += size
        return value
    }
}

/// What the wire allows. Whoever sends more is cut short or refused.
public enum Limits {
    /// Bytes of one message of the socket.
    public static let frame = 64 * 1024
    public static let text = 256
    /// Code addresses of one stack.
    public static let frames = 192
    public static let samples = 12
    public static let threads = 24
    public static let modules = 96
    public static let buildID = 32
    public static let slots = 256
}
