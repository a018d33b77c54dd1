// Reads numbers out of bytes that nobody vouches for. A read past the end answers 0 and marks the cursor as failed;
// nothing traps, nothing wraps around: what runs on this sits inside other people's services.

/// A position in foreign bytes.
struct ByteCursor {
    let bytes: UnsafeRawBufferPointer
    var offset: Int
    /// The first position that must not be read any more.
    var end: Int
    private(set) var failed = false

    init(_ bytes: UnsafeRawBufferPointer, at offset: Int = 0, end: Int? = nil) {
        self.bytes = bytes
        self.end = min(max(0, end ?? bytes.count), bytes.count)
        self.offset = offset
        if offset < 0 || offset > self.end { fail() }
    }

    var isAtEnd: Bool { offset >= end }

    mutating func fail() {
        failed = true
        offset = end
    }

    @inline(__always)
    mutating func read<T: FixedWidthInteger & BitwiseCopyable>(_ type: T.Type) -> T {
        let size = MemoryLayout<T>.size
        guard end - offset >= size else {
            fail()
            return 0
        }
        let value = bytes.loadUnaligned(fromByteOffset: offset, as: T.self)
        offset += size
        return T(littleEndian: value)
    }

    mutating func u8() -> UInt8 { read(UInt8.self) }
    mutating func u16() -> UInt16 { read(UInt16.self) }
    mutating func u32() -> UInt32 { read(UInt32.self) }
    mutating func u64() -> UInt64 { read(UInt64.self) }

    mutating func skip(_ count: Int) {
        guard count >= 0, end - offset >= count else { return fail() }
        offset += count
    }

    /// Unsigned LEB128; bits beyond 64 are dropped, more than ten bytes are a failure.
    mutating func uleb() -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        for _ in 0..<10 {
            let byte = u8()
            if shift < 64 { value |= UInt64(byte & 0x7F) << shift }
            shift += 7
            if byte & 0x80 == 0 { return value }
        }
        fail()
        return 0
    }

    mutating func sleb() -> Int64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        for _ in 0..<10 {
            let byte = u8()
            if shift < 64 { value |= UInt64(byte & 0x7F) << shift }
            shift += 7
            if byte & 0x80 == 0 {
                if shift < 64, byte & 0x40 != 0 { value |= ~0 << shift }
                return Int64(bitPattern: value)
            }
        }
        fail()
        return 0
    }

    /// Passes the bytes up to the next zero, and the zero.
    mutating func skipText() {
        while offset < end, bytes[offset] != 0 { offset += 1 }
        if offset < end { offset += 1 } else { fail() }
    }

    /// The bytes up to the next zero, which is passed; at most `limit` of them.
    mutating func text(limit: Int = 4096) -> String {
        let start = offset
        var position = offset
        while position < end, bytes[position] != 0, position - start < limit { position += 1 }
        guard position < end, bytes[position] == 0 else {
            fail()
            return ""
        }
        offset = position + 1
        return String(decoding: UnsafeRawBufferPointer(rebasing: bytes[start..<position]), as: UTF8.self)
    }
}

extension FixedWidthInteger {
    /// An offset or size of a file as `Int`, where it fits.
    var asInt: Int? { Int(exactly: self) }
}
