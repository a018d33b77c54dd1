/// What a heap block is.
public enum BlockKind: String, Hashable, Sendable, CaseIterable {
    case `class`, actor, array, dictionary, set, string, closure, box, error, task
}

/// The type of heap blocks that share one metadata record.
public struct TypeInfo: Hashable, Sendable {
    /// `checkout.Request`, `Dictionary<String, checkout.Session>`, `closure #1 in checkout.handle(_:)`.
    public var name: String
    public var kind: BlockKind
    /// The Swift module that it comes from; empty where it cannot be told.
    public var module: String

    public init(name: String, kind: BlockKind, module: String) {
        self.name = name
        self.kind = kind
        self.module = module
    }
}

extension TypeInfo {
    /// The bodies of the standard library's value types under the names that people use for them.
    static func named(_ full: String, kind: BlockKind) -> TypeInfo {
        var kind = kind
        var name = full
        let bodies: [(prefix: String, word: String, kind: BlockKind)] = [
            ("Swift._ContiguousArrayStorage<", "Array<", .array),
            ("Swift._DictionaryStorage<", "Dictionary<", .dictionary),
            ("Swift._SetStorage<", "Set<", .set),
            ("Swift.__StringStorage", "String", .string),
            ("Swift.__SharedStringStorage", "String (shared)", .string),
        ]
        for body in bodies where full.hasPrefix(body.prefix) {
            name = body.word + full.dropFirst(body.prefix.count)
            kind = body.kind
        }
        return TypeInfo(name: shortened(name), kind: kind, module: module(of: full))
    }

    /// `Swift.` and `Foundation…` say nothing that the reader does not know; names of services and packages stay whole.
    static func shortened(_ name: String) -> String {
        var out = ""
        var rest = Substring(name)
        while !rest.isEmpty {
            if rest.hasPrefix("Swift."),
                out.last.map({ !$0.isLetter && !$0.isNumber && $0 != "_" && $0 != "." }) ?? true
            {
                rest = rest.dropFirst(6)
            } else {
                out.append(rest.removeFirst())
            }
        }
        return out
    }

    /// The first component of a dotted name.
    static func module(of full: String) -> String {
        guard let dot = full.firstIndex(of: "."), !full[..<dot].contains(where: { " <(".contains($0) }) else {
            return ""
        }
        return String(full[..<dot])
    }
}
