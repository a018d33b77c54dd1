// Which function is to blame, when a loop was looked at several times during one stall.
//
//     sample 1   main < run < Checkout.handle < Checkout.parse < JSONDecoder.decode < … a
//     sample 2   main < run < Checkout.handle < Checkout.parse < JSONDecoder.decode < … b
//     stable     main < run < Checkout.handle < Checkout.parse < JSONDecoder.decode
//     guilty                                    ^ the innermost function of the service's own
//     inside                                                     ^ where the service's code had gone
//
// The outer frames that the samples share are the stall; what differs inside is where it happened to be. One sample in
// four may stray, as the one that finds a job tidying up behind itself does; the sentence then says how many agree. The
// runtime, system libraries and the event loop are never to blame while there is a function of the service's own, and what a
// decoder calls back (`init(from:)`) only where nothing else is. Where
// the samples share nothing but the loop itself, many short jobs came one after the other: the most frequent is named,
// with its share.

/// What several stacks of one stall say together.
public struct StackStory: Hashable, Sendable {
    /// The function to look at; nil where no frame has a name.
    public var guilty: SymbolizedFrame?
    /// The innermost stable function below the guilty one, where it is another.
    public var inside: SymbolizedFrame?
    /// Frames that at least three of four samples share, innermost first.
    public var stable: [SymbolizedFrame]
    /// How many of the samples hold the guilty function, of how many.
    public var agreeing: Int
    public var samples: Int

    public var isUnanimous: Bool { agreeing == samples }

    /// Stacks innermost first.
    public init(_ stacks: [[SymbolizedFrame]]) {
        let stacks = stacks.filter { !$0.isEmpty }
        samples = stacks.count
        stable = []
        agreeing = 0
        guard let first = stacks.first else { return }
        let path = Self.sharedPath(stacks)
        stable = path.map(\.frame)
        if let index = Self.innermost(stable).flatMap(stable.firstIndex) {
            guilty = stable[index]
            agreeing = path[index].count
        } else {
            (guilty, agreeing) = Self.mostFrequent(stacks)
        }
        if guilty == nil {
            let index = stable.firstIndex { $0.function != nil } ?? 0
            guilty = stable.isEmpty ? first.first : stable[index]
            agreeing = stable.isEmpty ? samples : path[index].count
        }
        inside = Self.inside(guilty, stable)
    }

    /// `Checkout.parse(_:) in JSONDecoder.decode(_:from:)`
    public var sentence: String {
        guard let guilty else { return "no stack" }
        let place = inside.map { "\(guilty) in \($0.name)" } ?? guilty.description
        return isUnanimous ? place : "\(place) (\(agreeing) of \(samples) stacks)"
    }

    /// Who called the guilty function: the service's own functions around it, innermost first. One that stands there twice
    /// in a row, as a closure and its thunk do, is named once.
    public func callers(_ limit: Int) -> [SymbolizedFrame] {
        guard let guilty, let index = stable.firstIndex(of: guilty) else { return [] }
        var out = [guilty]
        for frame in stable[(index + 1)...] where frame.isService && frame.name != out[out.count - 1].name {
            out.append(frame)
        }
        return Array(out.dropFirst().prefix(limit))
    }

    /// The outer frames that most stacks have in common, by function, innermost first, with how many have them.
    private static func sharedPath(_ stacks: [[SymbolizedFrame]]) -> [(frame: SymbolizedFrame, count: Int)] {
        var agreeing = stacks
        var path: [(frame: SymbolizedFrame, count: Int)] = []
        while true {
            let next = agreeing.compactMap { $0.dropLast(path.count).last }
            let counts = next.map { frame in next.count { $0.isSameFunction(as: frame) } }
            guard let most = counts.max(), most * 4 >= stacks.count * 3, let index = counts.firstIndex(of: most) else {
                return path.reversed()
            }
            let frame = next[index]
            agreeing = agreeing.filter { $0.dropLast(path.count).last?.isSameFunction(as: frame) == true }
            path.append((frame, most))
        }
    }

    /// The innermost function of the service's own.
    private static func innermost(_ frames: [SymbolizedFrame]) -> SymbolizedFrame? {
        frames.first { $0.isService && !$0.isCodingCallback } ?? frames.first(where: \.isService)
    }

    private static func mostFrequent(_ stacks: [[SymbolizedFrame]]) -> (SymbolizedFrame?, Int) {
        var counts: [String: (frame: SymbolizedFrame, count: Int)] = [:]
        for frame in stacks.compactMap(innermost) {
            counts[frame.name, default: (frame, 0)].count += 1
        }
        let best = counts.values.max { ($0.count, $1.frame.name) < ($1.count, $0.frame.name) }
        return (best?.frame, best?.count ?? 0)
    }

    private static func inside(_ guilty: SymbolizedFrame?, _ stable: [SymbolizedFrame]) -> SymbolizedFrame? {
        guard let guilty, let index = stable.firstIndex(of: guilty) else { return nil }
        // The outermost frame below the guilty one with a name that a reader knows: what it called.
        return stable[..<index].last { $0.function != nil && !$0.isPlumbing && !$0.isSameFunction(as: guilty) }
    }
}

extension SymbolizedFrame {
    /// Modules that do what they are asked: who asked is to blame.
    private static let systemModules: Set<String> = [
        "Swift", "Foundation", "FoundationEssentials", "FoundationInternationalization", "FoundationNetworking",
        "Dispatch",
        "Glibc", "Synchronization", "Distributed", "Observation", "_Concurrency", "_StringProcessing", "_RegexParser",
        "RegexBuilder", "NIO", "NIOCore", "NIOPosix", "NIOConcurrencyHelpers", "NIOHTTP1", "NIOFoundationCompat",
        "NIOTLS",
        "NIOEmbedded", "_NIODataStructures", "_NIOBase64", "CNIOLinux", "Logging", "NightjarProbe", "NightjarProbeNIO",
        "NightjarWire", "NightjarSymbols", "__C", "__ObjC",
    ]
    private static let systemLibraries = [
        "libc.so", "libc-", "libpthread", "libm.so", "libm-", "libdl", "ld-linux", "libgcc_s", "libstdc++", "libswift",
        "libdispatch", "libBlocksRuntime", "libFoundation", "lib_Foundation", "[vdso]", "libicu", "librt", "libz.so",
        "lib_Internationalization", "libresolv", "libnss",
    ]
    private static let plumbing = [
        "thunk for ", "reabstraction thunk", "partial apply", "swift_", "_swift_", "swift::", "__libc", "_start",
        "start_thread", "clone",
        "outlined ", "reabstraction",
    ]

    /// A function of the service or of a library that it chose, not of the runtime or the system.
    public var isService: Bool {
        guard let module else { return false }
        let file = module.name
        if Self.systemLibraries.contains(where: { file.hasPrefix($0) }) { return false }
        guard let function, let symbol else { return false }
        if isPlumbing || function == "main" { return false }
        guard isSwiftSymbol(symbol) else { return false }
        let owner = ownerModule(symbol, function)
        return owner.map { !Self.systemModules.contains($0) } ?? false
    }

    /// Glue that the compiler or the runtime put in.
    ///
    /// What has no name is not: it may be anything.
    public var isPlumbing: Bool {
        guard let function else { return false }
        return Self.plumbing.contains { function.hasPrefix($0) }
    }

    /// `Order.init(from:)` and `encode(to:)`: a decoder's calls back, mostly written by the compiler. Who began to decode is
    /// to blame.
    var isCodingCallback: Bool {
        guard let function else { return false }
        return function.hasSuffix(".init(from:)") || function.hasSuffix(".encode(to:)")
    }

    /// Extensions of system types belong to who wrote them, and a specialised generic of the standard library to nobody.
    private func ownerModule(_ symbol: String, _ function: String) -> String? {
        guard let full = demangle(symbol) else { return nil }
        if let mark = full.range(ofFirst: "(extension in ") {
            return String(full[mark.upperBound...].prefix { $0 != ")" })
        }
        return FunctionName.module(of: full)
    }

    func isSameFunction(as other: SymbolizedFrame) -> Bool {
        if let symbol { return symbol == other.symbol }
        return other.symbol == nil && address == other.address
    }
}

extension String {
    fileprivate func range(ofFirst wanted: String) -> Range<String.Index>? {
        var at = startIndex
        while at < endIndex {
            if utf8[at...].starts(with: wanted.utf8) { return at..<utf8.index(at, offsetBy: wanted.utf8.count) }
            at = utf8.index(after: at)
        }
        return nil
    }
}
