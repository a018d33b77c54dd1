// Reading numbers and fields out of the kernel's text files: over a span of bytes, bounds-checked, without a String.
// Nothing here trusts its input: a number too large for its type is nil, an end that comes too early is nil.

typealias ByteSpan = Span<UInt8>

let blank = UInt8(ascii: " ")
let newline = UInt8(ascii: "\n")

/// The decimal number at `position`, which moves behind its last digit. Nil where there is no digit, or too many.
@inline(__always)
func number(_ bytes: borrowing ByteSpan, _ position: inout Int) -> UInt64? {
    var value: UInt64 = 0
    let first = position
    while position < bytes.count {
        let digit = bytes[position] &- 48
        guard digit < 10 else { break }
        let (product, overflow) = value.multipliedReportingOverflow(by: 10)
        let (sum, carry) = product.addingReportingOverflow(UInt64(digit))
        guard !overflow, !carry else { return nil }
        value = sum
        position &+= 1
    }
    return position > first ? value : nil
}

/// The same with a sign.
@inline(__always)
func signed(_ bytes: borrowing ByteSpan, _ position: inout Int) -> Int64? {
    let isNegative = position < bytes.count && bytes[position] == UInt8(ascii: "-")
    if isNegative { position &+= 1 }
    guard let magnitude = number(bytes, &position), let value = Int64(exactly: magnitude) else { return nil }
    return isNegative ? -value : value
}

/// Moves `position` behind the next `count` blanks. False where the bytes end before.
@inline(__always)
func skip(_ count: Int, blanksOf bytes: borrowing ByteSpan, _ position: inout Int) -> Bool {
    var left = count
    while left > 0 {
        guard position < bytes.count else { return false }
        if bytes[position] == blank { left &-= 1 }
        position &+= 1
    }
    return true
}

/// Whether `word` stands at `position`.
func has(_ word: StaticString, at position: Int, of bytes: borrowing ByteSpan) -> Bool {
    let length = word.utf8CodeUnitCount
    guard position >= 0, length <= bytes.count, position <= bytes.count - length else { return false }
    for index in 0..<length where bytes[position + index] != word.utf8Start[index] { return false }
    return true
}

/// Calls `body` with the bounds of each line; stops when it answers false. A last line without its newline counts.
func forEachLine(of bytes: borrowing ByteSpan, _ body: (Range<Int>) -> Bool) {
    var start = 0
    while start < bytes.count {
        var end = start
        while end < bytes.count, bytes[end] != newline { end += 1 }
        guard body(start..<end) else { return }
        start = end + 1
    }
}

/// The number that follows `key` and blanks, tabs or a colon on some line: `MemTotal:   24684 kB`, `oom_kill 3`.
func value(of key: StaticString, in bytes: borrowing ByteSpan) -> UInt64? {
    var start = 0
    while start < bytes.count {
        if has(key, at: start, of: bytes) {
            var position = start + key.utf8CodeUnitCount
            let afterKey = position
            while position < bytes.count, isSeparator(bytes[position]) { position += 1 }
            if position > afterKey { return number(bytes, &position) }
        }
        while start < bytes.count, bytes[start] != newline { start += 1 }
        start += 1
    }
    return nil
}

@inline(__always)
private func isSeparator(_ byte: UInt8) -> Bool {
    byte == blank || byte == UInt8(ascii: "\t") || byte == UInt8(ascii: ":")
}

/// Text that others wrote (process names, command lines), made safe to show: UTF-8 repaired, control characters as `?`.
func printable(_ bytes: some Sequence<UInt8>) -> String {
    let text = String(decoding: Array(bytes), as: UTF8.self)
    guard text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) else { return text }
    var clean = String.UnicodeScalarView()
    clean.append(
        contentsOf: text.unicodeScalars.map { $0.properties.generalCategory == .control ? "?" : $0 })
    return String(clean)
}
