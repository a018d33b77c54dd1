import Glibc

/// Writes one line into memory that somebody else owns, and never past its end.
///
/// What does not fit is cut at a character, never inside an escape, and `isCut` says so. `room` keeps the tail free that
/// closes the line, so that a cut JSON line is still JSON.
struct LineBuilder: ~Copyable {
    let start: UnsafeMutablePointer<UInt8>
    private(set) var count = 0
    /// 0 after a cut: then nothing but the tail is written any more.
    private var capacity: Int
    private(set) var isCut = false

    /// Bytes that only `close` may use.
    static let tail = 64

    init(_ memory: UnsafeMutableRawBufferPointer) {
        start = memory.baseAddress!.assumingMemoryBound(to: UInt8.self)
        capacity = memory.count - LineBuilder.tail
    }

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: start, count: count) }

    @inline(__always) mutating func time(_ time: borrowing LineTime) {
        guard capacity - count >= TimeStamp.length else { return cut() }
        TimeStamp.write(time.value, to: start + count)
        count += TimeStamp.length
    }

    /// Bytes that are already as the line needs them.
    @inline(__always) mutating func raw(_ text: UnsafeBufferPointer<UInt8>) {
        guard text.count <= capacity - count else { return cut() }
        guard let base = text.baseAddress else { return }
        (start + count).update(from: base, count: text.count)
        count += text.count
    }

    mutating func raw(_ text: StaticString) {
        raw(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    @inline(__always) mutating func raw(_ text: [UInt8]) { text.withUnsafeBufferPointer { raw($0) } }

    /// ASCII that needs no escape: numbers, level names.
    mutating func plain(_ text: String) {
        var text = text
        text.withUTF8 { raw($0) }
    }

    mutating func byte(_ byte: UInt8) {
        guard capacity - count >= 1 else { return cut() }
        start[count] = byte
        count += 1
    }

    mutating func number(_ value: UInt64) {
        var digits: (UInt64, UInt64, UInt64) = (0, 0, 0)
        withUnsafeMutableBytes(of: &digits) { space in
            var rest = value
            var position = space.count
            repeat {
                position -= 1
                space[position] = UInt8(truncatingIfNeeded: rest % 10) + 48
                rest /= 10
            } while rest > 0
            raw(UnsafeBufferPointer(rebasing: space.bindMemory(to: UInt8.self)[position...]))
        }
    }

    /// The tail of a line: always fits, also after a cut.
    mutating func close(_ text: StaticString) {
        (start + count).update(from: text.utf8Start, count: text.utf8CodeUnitCount)
        count += text.utf8CodeUnitCount
    }

    /// Takes back what was written after `mark`, for a member that was cut in the middle.
    mutating func rewind(to mark: Int) { count = mark }

    private mutating func cut() {
        isCut = true
        capacity = 0
    }

    /// Text inside JSON quotes, or free text on one line: control characters, `"` and `\` are escaped.
    ///
    /// Eight bytes at a time while none of them needs an escape (the usual case); a log line that holds terminal
    /// sequences or line breaks comes out harmless.
    @inline(__always) mutating func escaped(_ text: String) {
        var text = text
        text.withUTF8 { escaped($0) }
    }

    mutating func escaped(_ text: UnsafeBufferPointer<UInt8>) {
        guard let source = text.baseAddress, !isCut else { return }
        var position = 0
        let length = text.count
        while position < length {
            let clean = cleanRun(source + position, length - position)
            let fits = min(clean, capacity - count)
            (start + count).update(from: source + position, count: fits)
            count += fits
            position += fits
            if fits < clean {
                dropPartialCharacter()
                return cut()
            }
            guard position < length else { return }
            guard escape(source[position]) else { return cut() }
            position += 1
        }
    }

    /// How many bytes from here need no escape.
    @inline(__always) private func cleanRun(_ source: UnsafePointer<UInt8>, _ length: Int) -> Int {
        var position = 0
        let raw = UnsafeRawPointer(source)
        while position + 8 <= length {
            let word = raw.loadUnaligned(fromByteOffset: position, as: UInt64.self)
            if LineBuilder.needsEscape(word) { break }
            position += 8
        }
        while position < length, !LineBuilder.needsEscape(source[position]) { position += 1 }
        return position
    }

    /// True where one of eight bytes is a control character, `"`, `\` or DEL. The classic zero-byte trick, exact for the
    /// first hit, which is all that is asked.
    @inline(__always) static func needsEscape(_ word: UInt64) -> Bool {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let highs: UInt64 = 0x8080_8080_8080_8080
        let quote = word ^ (ones &* 0x22)
        let slash = word ^ (ones &* 0x5C)
        let delete = word ^ (ones &* 0x7F)
        let control = (word &- ones &* 0x20) & ~word
        let special = ((quote &- ones) & ~quote) | ((slash &- ones) & ~slash) | ((delete &- ones) & ~delete)
        return (control | special) & highs != 0
    }

    @inline(__always) static func needsEscape(_ byte: UInt8) -> Bool {
        byte < 0x20 || byte == 0x22 || byte == 0x5C || byte == 0x7F
    }

    private mutating func escape(_ byte: UInt8) -> Bool {
        guard capacity - count >= 6 else { return false }
        start[count] = UInt8(ascii: "\\")
        count += 1
        let short: UInt8 =
            switch byte {
            case 0x22, 0x5C: byte
            case 0x0A: UInt8(ascii: "n")
            case 0x0D: UInt8(ascii: "r")
            case 0x09: UInt8(ascii: "t")
            default: 0
            }
        if short != 0 {
            start[count] = short
            count += 1
            return true
        }
        start[count] = UInt8(ascii: "u")
        start[count + 1] = 48
        start[count + 2] = 48
        start[count + 3] = LineBuilder.hex(byte >> 4)
        start[count + 4] = LineBuilder.hex(byte & 15)
        count += 5
        return true
    }

    private static func hex(_ value: UInt8) -> UInt8 { value < 10 ? value + 48 : value + 87 }

    /// UTF-8 continuation bytes at the end of a cut, and the head that they belong to.
    private mutating func dropPartialCharacter() {
        var back = 0
        while back < 3, count - back > 0, start[count - back - 1] & 0xC0 == 0x80 { back += 1 }
        guard count - back > 0 else { return }
        let head = start[count - back - 1]
        let needed = head >= 0xF0 ? 3 : head >= 0xE0 ? 2 : head >= 0xC0 ? 1 : 0
        if needed > back { count -= back + 1 }
    }
}

/// The time of one line.
struct LineTime {
    let value: timespec
    init() { value = Clock.wall() }
}
