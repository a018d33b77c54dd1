// Shell patterns over names of units, subjects and detectors: `postgresql*.service`, `worker-[0-9]`, `*`.
//
// Matching walks text and pattern once and remembers the last star only: when a later character does not fit, the star
// takes one character more. That is at most text × pattern steps, so no pattern can be made slow, unlike recursion.

/// A shell pattern: `*` any run, `?` one character, `[a-z]` and `[!a-z]` classes, `\` before a character taken literally.
/// A class that is not closed is a literal bracket. Compares bytes; a character outside ASCII counts as its bytes.
public struct Glob: Hashable, Sendable, CustomStringConvertible {
    public let pattern: String

    public init(_ pattern: String) { self.pattern = pattern }

    /// Matches everything.
    public static let any = Glob("*")

    public var description: String { pattern }

    /// True where the pattern matches the whole text. Allocates nothing for native strings.
    public func matches(_ text: String) -> Bool {
        if pattern == "*" { return true }
        var pattern = pattern
        var text = text
        return pattern.withUTF8 { pattern in text.withUTF8 { Self.matches(pattern, $0) } }
    }

    private static func matches(_ pattern: UnsafeBufferPointer<UInt8>, _ text: UnsafeBufferPointer<UInt8>) -> Bool {
        var inPattern = 0
        var inText = 0
        var star: (pattern: Int, text: Int)?
        while inText < text.count {
            if inPattern < pattern.count, pattern[inPattern] == UInt8(ascii: "*") {
                inPattern += 1
                star = (inPattern, inText)
            } else if let next = step(pattern, at: inPattern, over: text[inText]) {
                inPattern = next
                inText += 1
            } else if let (afterStar, from) = star {
                inPattern = afterStar
                inText = from + 1
                star = (afterStar, from + 1)
            } else {
                return false
            }
        }
        return pattern[inPattern...].allSatisfy { $0 == UInt8(ascii: "*") }
    }

    /// Where the pattern goes on after `byte`, or nil where it does not fit.
    private static func step(_ pattern: UnsafeBufferPointer<UInt8>, at index: Int, over byte: UInt8) -> Int? {
        guard index < pattern.count else { return nil }
        switch pattern[index] {
        case UInt8(ascii: "?"):
            return index + 1
        case UInt8(ascii: "\\") where index + 1 < pattern.count:
            return pattern[index + 1] == byte ? index + 2 : nil
        case UInt8(ascii: "["):
            guard let end = classEnd(pattern, from: index) else { return byte == UInt8(ascii: "[") ? index + 1 : nil }
            return classHolds(pattern[(index + 1)..<end], byte) ? end + 1 : nil
        default:
            return pattern[index] == byte ? index + 1 : nil
        }
    }

    /// The closing bracket; one that comes first in its class is a member of it.
    private static func classEnd(_ pattern: UnsafeBufferPointer<UInt8>, from index: Int) -> Int? {
        var at = index + 1
        if at < pattern.count, pattern[at] == UInt8(ascii: "!") || pattern[at] == UInt8(ascii: "^") { at += 1 }
        at += 1
        while at < pattern.count {
            if pattern[at] == UInt8(ascii: "]") { return at }
            at += 1
        }
        return nil
    }

    private static func classHolds(_ members: Slice<UnsafeBufferPointer<UInt8>>, _ byte: UInt8) -> Bool {
        var at = members.startIndex
        let negated = members.first == UInt8(ascii: "!") || members.first == UInt8(ascii: "^")
        if negated { at += 1 }
        var held = false
        while at < members.endIndex {
            if at + 2 < members.endIndex, members[at + 1] == UInt8(ascii: "-") {
                held = held || (members[at] <= byte && byte <= members[at + 2])
                at += 3
            } else {
                held = held || members[at] == byte
                at += 1
            }
        }
        return held != negated
    }
}

extension Glob {
    /// `text` as a pattern that matches nothing but `text`.
    public static func escaped(_ text: String) -> String {
        text.reduce(into: "") { pattern, character in
            if "*?[]\\".contains(character) { pattern.append("\\") }
            pattern.append(character)
        }
    }
}
