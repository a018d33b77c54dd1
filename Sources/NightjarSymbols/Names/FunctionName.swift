// A demangled Swift name is complete and therefore unreadable:
//
//     function signature specialization <Arg[0] = Owned To Guaranteed> of closure #1 (Swift.Int) throws -> () in
//     Checkout.(parse in _3A5BC0DE)(Swift.String, count: Swift.Int) -> Checkout.Order
//
// A person wants `closure #1 in Checkout.parse(_:count:)`: the module, the types around it, the base name and the labels.
// What the compiler made of it (specialisation, thunk, partial function of an async one) says nothing to the reader.

/// Short forms of demangled Swift names.
public enum FunctionName {
    /// The readable form of a demangled name; a name of C is its own short form.
    public static func short(_ demangled: String) -> String {
        String(decoding: shortened(Array(demangled.utf8)[...], depth: 0), as: UTF8.self)
    }

    /// The module that a demangled Swift name belongs to: what stands before the first dot of its short form.
    public static func module(of demangled: String) -> String? {
        var text = short(demangled)[...]
        while let range = text.firstRange(ofBytes: " in ") { text = text[range.upperBound...] }
        guard let dot = text.firstIndex(of: ".") else { return nil }
        return String(text[..<dot])
    }

    private typealias Bytes = ArraySlice<UInt8>

    /// Closures in closures in closures …; deeper ones are left as they are.
    private static let deepest = 8

    /// What the compiler adds in front of a name and no reader needs.
    private static let noise: [[UInt8]] = [
        "merged ", "partial apply forwarder for ", "dispatch thunk of ", "async function pointer to ", "@objc ",
        "@nonobjc ",
        "static ", "specialized ", "override ", "protocol witness for ", "vtable thunk for ", "curry thunk of ",
        "suspend resume partial function for ", "await resume partial function for ", "implicit ", "distributed thunk ",
        "autoclosure ", "coro resume for ",
    ].map { Array($0.utf8) }

    private static func shortened(_ name: Bytes, depth: Int) -> [UInt8] {
        let rest = withoutNoise(name)
        guard depth < deepest else { return Array(rest) }
        if rest.starts(with: "closure #".utf8), let place = find(" in ", in: rest) {
            let number = rest.dropFirst(9).prefix { isDigit($0) }
            return Array("closure #".utf8) + number + Array(" in ".utf8)
                + shortened(rest[(place + 4)...], depth: depth + 1)
        }
        if rest.starts(with: "default argument ".utf8), let place = find(" of ", in: rest) {
            return Array("default argument of ".utf8) + shortened(rest[(place + 4)...], depth: depth + 1)
        }
        return signature(of: withoutWitness(rest))
    }

    private static func withoutNoise(_ name: Bytes) -> Bytes {
        var rest = name
        while true {
            if let prefix = noise.first(where: { rest.starts(with: $0) }) {
                rest = rest.dropFirst(prefix.count)
            } else if let end = counterEnd(rest) ?? specializationEnd(rest) {
                rest = rest[end...]
            } else {
                return rest
            }
        }
    }

    /// `(2) suspend resume partial function for …`
    private static func counterEnd(_ name: Bytes) -> Int? {
        guard name.first == UInt8(ascii: "("), let end = closing(name.startIndex, in: name),
            name[(name.startIndex + 1)..<end].allSatisfy(isDigit), matches(" ", name, end + 1)
        else { return nil }
        return end + 2
    }

    /// `generic specialization <Swift.Int> of …`
    private static func specializationEnd(_ name: Bytes) -> Int? {
        guard let mark = find("specialization <", in: name), mark < name.startIndex + 40,
            let end = closing(mark + 15, in: name), matches(" of ", name, end + 1)
        else { return nil }
        return end + 5
    }

    private static func withoutWitness(_ name: Bytes) -> Bytes {
        guard let place = find(" in conformance ", in: name) else { return name }
        return name[..<place]
    }

    /// `A.B.c<X>(d: E, F) throws -> G` → `A.B.c(d:_:)`.
    private static func signature(of name: Bytes) -> [UInt8] {
        var out: [UInt8] = []
        var at = name.startIndex
        while at < name.endIndex {
            let byte = name[at]
            if byte == UInt8(ascii: "(") {
                guard let end = closing(at, in: name) else { break }
                let inside = name[(at + 1)..<end]
                if let place = find(" in _", in: inside) {
                    out += inside[..<place]  // `(parse in _3A5BC0DE)`: private to a file
                } else if inside.starts(with: "extension in ".utf8) {
                    at = min(end + 2, name.endIndex)  // `(extension in Checkout):Swift.String.f`
                    continue
                } else {
                    return out + labels(in: inside)
                }
                at = end + 1
            } else if byte == UInt8(ascii: "<"), at > name.startIndex, isNamePart(name[at - 1]),
                let end = closing(at, in: name)
            {
                at = end + 1
            } else if byte == UInt8(ascii: " "), out.last != UInt8(ascii: ".") {
                // `x.getter : Swift.Int`, or an operator's `infix`.
                return out
            } else {
                out.append(byte)
                at += 1
            }
        }
        return out
    }

    /// `count: Swift.Int, Swift.String` → `(count:_:)`.
    private static func labels(in parameters: Bytes) -> [UInt8] {
        var out: [UInt8] = [UInt8(ascii: "(")]
        for parameter in split(parameters) {
            let label = parameter.prefix { isNamePart($0) }
            let isLabelled = !label.isEmpty && parameter.dropFirst(label.count).starts(with: ": ".utf8)
            out += isLabelled ? Array(label) : [UInt8(ascii: "_")]
            out.append(UInt8(ascii: ":"))
        }
        out.append(UInt8(ascii: ")"))
        return out
    }

    private static func split(_ list: Bytes) -> [Bytes] {
        guard !list.isEmpty else { return [] }
        var parts: [Bytes] = []
        var start = list.startIndex
        var depth = 0
        for at in list.indices {
            depth += step(at, in: list)
            if depth == 0, list[at] == UInt8(ascii: ",") {
                parts.append(list[start..<at].drop { $0 == UInt8(ascii: " ") })
                start = at + 1
            }
        }
        parts.append(list[start...].drop { $0 == UInt8(ascii: " ") })
        return parts
    }

    /// The first place of `text` outside all brackets.
    private static func find(_ text: StaticString, in name: Bytes) -> Int? {
        var depth = 0
        for at in name.indices {
            if depth <= 0, matches(text, name, at) { return at }
            depth += step(at, in: name)
        }
        return nil
    }

    private static func matches(_ text: StaticString, _ name: Bytes, _ at: Int) -> Bool {
        guard name.endIndex - at >= text.utf8CodeUnitCount else { return false }
        for index in 0..<text.utf8CodeUnitCount where name[at + index] != text.utf8Start[index] { return false }
        return true
    }

    private static func closing(_ opening: Int, in name: Bytes) -> Int? {
        var depth = 0
        for at in opening..<name.endIndex {
            depth += step(at, in: name)
            if depth == 0 { return at }
        }
        return nil
    }

    /// +1 for an opening bracket, -1 for a closing one; the arrow `->` is none.
    private static func step(_ at: Int, in name: Bytes) -> Int {
        switch name[at] {
        case UInt8(ascii: "("), UInt8(ascii: "<"), UInt8(ascii: "["): 1
        case UInt8(ascii: ")"), UInt8(ascii: "]"): -1
        case UInt8(ascii: ">"): at > name.startIndex && name[at - 1] == UInt8(ascii: "-") ? 0 : -1
        default: 0
        }
    }

    private static func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }

    private static func isNamePart(_ byte: UInt8) -> Bool {
        isDigit(byte) || (byte | 0x20 >= 0x61 && byte | 0x20 <= 0x7A) || byte == UInt8(ascii: "_") || byte >= 0x80
    }
}

extension Substring {
    fileprivate func firstRange(ofBytes wanted: String) -> Range<Substring.Index>? {
        var at = startIndex
        while at < endIndex {
            if utf8[at...].starts(with: wanted.utf8) {
                return at..<utf8.index(at, offsetBy: wanted.utf8.count)
            }
            at = utf8.index(after: at)
        }
        return nil
    }
}
