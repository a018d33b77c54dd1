// Names for what a class name does not tell: closure contexts and boxes by what they hold and, where symbols allow, by
// the function that made them; error boxes by their error; tasks by the function that they will resume.
//
// A closure's metadata has no symbol of its own in a release build. Its code has, and a closure value is a pair of words
// { function, context }: so for the closure types that weigh most we look through the heap for a word that points to
// one of their contexts and take the function that stands before it. The search ends as soon as all are found, after
// a few MiB where such closures are many.

import NightjarSymbols

/// Gives entries of the tally their types.
final class BlockNamer {
    /// Closure types whose function is searched for.
    static let searched = 24
    /// And how much of the heap is searched at most.
    static let searchLimit: UInt64 = 64 << 20

    /// Memory in which tasks have the frames of their async functions.
    static let taskFrames = TypeInfo(name: "frames of tasks", kind: .task, module: "_Concurrency")

    private let target: Target
    private let metadata: SwiftMetadata
    private let ranges: [HeapRange]

    init(_ target: Target, ranges: [HeapRange]) {
        self.target = target
        self.ranges = ranges
        metadata = target.metadata
    }

    /// The type of an entry, or nil where its first word is no type.
    func type(of entry: TallyTable.Entry) -> TypeInfo? {
        typealias Tag = CensusTally.Tag
        switch entry.tag {
        case Tag.type: return classType(entry.key)
        case Tag.context: return context(entry.key)
        case Tag.genericBox: return box(metadata.cache.word(entry.key + 16).flatMap { metadata.typeName($0) })
        case Tag.perBlockError: return error(entry.key & ~CensusTally.errorMark)
        case Tag.perBlockTask: return task(entry.key & ~CensusTally.taskMark, sample: entry.sample)
        case Tag.none:
            guard entry.key == taskMemory || looksLikeTaskMemory(entry) else { return nil }
            return Self.taskFrames
        default: return nil
        }
    }

    // MARK: Blocks that are no Swift objects

    /// The word that the runtime writes before the memory of a task, in which async functions have their frames. It keeps
    /// the word in a variable for tools like this one.
    private lazy var taskMemory: UInt64? = {
        guard let symbols = target.symbols else { return nil }
        for region in target.map.regions where !region.anonymous && region.readable && !region.executable {
            guard region.length <= 1 << 22, region.path.contains("swift_Concurrency") || region.path == program else {
                continue
            }
            for (position, word) in target.memory.words(at: region.start, count: Int(region.length / 8)).enumerated()
            where word > 0x1000 && word < 1 << 47 && candidates.contains(word) {
                let name = symbols.global(at: region.start + UInt64(position * 8))
                if name == "_swift_concurrency_debug_asyncTaskSlabMetadata" { return word }
            }
        }
        return nil
    }()

    /// Where the linker left that variable out or the symbols are gone: a piece of task memory begins { word, next piece,
    /// its size, how much of it is in use }, its size fills the block but for 32 bytes (StackAllocator.h of the Swift
    /// runtime, 5.7–6.3), and the word points to an empty place among the runtime's variables.
    private func looksLikeTaskMemory(_ entry: TallyTable.Entry) -> Bool {
        let head = target.memory.words(at: entry.sample &- 8, count: 4)
        guard head.count == 4, head[1] == entry.key, entry.key % 8 == 0 else { return false }
        let usable = (head[0] & ~7) &- 8
        let (size, used) = (head[3] & 0xffff_ffff, head[3] >> 32)
        guard size >= 256, size + 32 <= usable, usable < size + 48, used <= size, used % 16 == 0 else { return false }
        guard head[2] % 16 == 0, target.memory.word(at: entry.key) == 0 else { return false }
        guard let region = target.map.region(at: entry.key) else { return false }
        return region.writable && !region.executable && region.path != "[heap]"
    }

    private lazy var program = target.map.regions.first { $0.executable && !$0.anonymous }?.path
    /// First words of blocks that look like nothing known.
    var candidates: Set<UInt64> = []

    /// What the first word of blocks without a type points to, in a file: a table of C++ or of Dispatch, mostly.
    func owner(of entry: TallyTable.Entry) -> String? {
        guard entry.tag == CensusTally.Tag.none else { return nil }
        if let name = target.symbols?.global(at: entry.key) { return SwiftMetadata.cut(name) }
        guard let region = target.map.region(at: entry.key), !region.anonymous else { return nil }
        return region.path.split(separator: "/").last.map { "of \($0)" }
    }

    private func classType(_ address: UInt64) -> TypeInfo? {
        metadata.typeName(address).map { .named($0, kind: metadata.isActor(address) ? .actor : .class) }
    }

    private func box(_ held: String?) -> TypeInfo {
        let name = held.map { TypeInfo.shortened($0) } ?? "unknown type"
        return TypeInfo(name: "box of \(name)", kind: .box, module: held.map { TypeInfo.module(of: $0) } ?? "")
    }

    private func error(_ address: UInt64) -> TypeInfo {
        guard let name = metadata.typeName(address) else {
            return TypeInfo(name: "error of unknown type", kind: .error, module: "")
        }
        return TypeInfo(name: TypeInfo.shortened(name), kind: .error, module: TypeInfo.module(of: name))
    }

    /// The function that a suspended task resumes; where that is the runtime's, the first caller that is not.
    private func task(_ function: UInt64, sample: UInt64) -> TypeInfo {
        if let found = own(function) {
            return TypeInfo(name: "Task in \(found.name)", kind: .task, module: found.module)
        }
        // Async contexts are linked: { parent, resume function }, the innermost at +64 of the task.
        var frame = target.memory.word(at: sample + 64)
        for _ in 0..<16 {
            guard let here = frame, here % 8 == 0, let resume = target.memory.word(at: here + 8) else { break }
            if let found = own(resume) {
                return TypeInfo(name: "Task in \(found.name)", kind: .task, module: found.module)
            }
            frame = target.memory.word(at: here)
        }
        return TypeInfo(name: "Task", kind: .task, module: "")
    }

    private func own(_ function: UInt64) -> (name: String, module: String)? {
        guard let found = target.symbols?.functionAndModule(at: function),
            !["", "Swift", "_Concurrency"].contains(found.module)
        else { return nil }
        return found
    }

    /// A context is first described by what it captures.
    private func context(_ address: UInt64) -> TypeInfo {
        let captures = self.captures(address)
        if captures.count == 1, captures[0] != "() -> ()", !captures[0].contains("->") { return box(captures[0]) }
        let name = captures.isEmpty ? "closure" : "closure capturing \(captures.joined(separator: ", "))"
        let module = captures.lazy.map { TypeInfo.module(of: $0) }.first { !["", "Swift"].contains($0) } ?? ""
        return TypeInfo(name: SwiftMetadata.cut(TypeInfo.shortened(name)), kind: .closure, module: module)
    }

    private func captures(_ address: UInt64) -> [String] {
        guard let descriptor = metadata.cache.word(address + 16), descriptor != 0,
            let count: UInt32 = metadata.cache.load(descriptor), count <= 64
        else { return [] }
        return (0..<UInt64(count)).map { index in
            metadata.cache.relative(descriptor + 12 + 4 * index).flatMap { metadata.mangledType(at: $0) } ?? "_"
        }
    }

    // MARK: Functions of closures

    /// Replaces what is known of the heaviest closure types by the name of their function, where one can be found.
    func withFunctions(_ named: [(TallyTable.Entry, TypeInfo)]) -> [(TallyTable.Entry, TypeInfo)] {
        guard target.symbols != nil else { return named }
        let closures = named.indices.filter { named[$0].0.tag == CensusTally.Tag.context }
            .sorted { named[$0].0.bytes > named[$1].0.bytes }.prefix(Self.searched)
        var result = named
        var wanted: [UInt64: Int] = [:]
        for index in closures {
            let entry = named[index].0
            if let function = capturedFunction(entry.sample, size: entry.bytes / max(1, entry.count)) {
                rename(&result[index].1, function)
            } else {
                wanted[entry.key] = index
            }
        }
        guard !wanted.isEmpty else { return result }
        for (key, function) in findFunctions(of: Set(wanted.keys)) { rename(&result[wanted[key]!].1, function) }
        return result
    }

    private func rename(_ type: inout TypeInfo, _ function: (name: String, module: String)) {
        if type.kind == .box {
            // One captured variable: its box is the closure's context, and may be other boxes' kind as well.
            type.name = SwiftMetadata.cut("\(type.name) (\(TypeInfo.shortened(function.name)))")
            return
        }
        type = TypeInfo(
            name: SwiftMetadata.cut(TypeInfo.shortened(function.name)), kind: .closure, module: function.module)
    }

    /// A reabstraction thunk's context holds the function that it wraps.
    private func capturedFunction(_ block: UInt64, size: UInt64) -> (name: String, module: String)? {
        for word in target.memory.words(at: block + 16, count: Int(min(8, size / 8))) {
            if let function = closureFunction(word) { return function }
        }
        return nil
    }

    private func closureFunction(_ word: UInt64) -> (name: String, module: String)? {
        guard word > 0x1000, word < 1 << 47, target.map.region(at: word)?.executable == true,
            let found = target.symbols?.functionAndModule(at: word), found.name.contains("closure #")
        else { return nil }
        return found
    }

    /// Pairs { function, context } anywhere on the heap whose context begins with one of these metadata records.
    private func findFunctions(of wanted: Set<UInt64>) -> [UInt64: (name: String, module: String)] {
        var found: [UInt64: (name: String, module: String)] = [:]
        var left = Self.searchLimit
        let words = UnsafeMutableBufferPointer<UInt64>.allocate(capacity: 1 << 15)
        defer { words.deallocate() }
        for range in ranges {
            var at = range.start
            while at < range.end, left > 0, found.count < wanted.count {
                let got = target.memory.read(at, into: UnsafeMutableRawBufferPointer(words))
                if got < 16 { break }
                let usable = min(got, Int(range.end - at)) / 8
                search(words, usable, wanted, &found)
                at += UInt64(usable * 8)
                left = left > UInt64(got) ? left - UInt64(got) : 0
            }
        }
        return found
    }

    private func search(
        _ words: UnsafeMutableBufferPointer<UInt64>, _ count: Int, _ wanted: Set<UInt64>,
        _ found: inout [UInt64: (name: String, module: String)]
    ) {
        let heapSpan = highestBlock - lowestBlock
        for index in 1..<max(1, count) {
            let (code, context) = (words[index - 1], words[index])
            guard context &- lowestBlock < heapSpan, context & 15 == 0, code > 0x1000, code < 1 << 47, isCode(code),
                let key = target.memory.word(at: context), wanted.contains(key), found[key] == nil,
                let function = closureFunction(code)
            else { continue }
            found[key] = function
        }
    }

    private lazy var code = target.map.regions.filter { $0.executable && $0.path != "[vsyscall]" }
    private lazy var lowestBlock = ranges.first?.start ?? 0
    private lazy var highestBlock = ranges.last?.end ?? 0

    /// Whether an address lies in executable memory; there are few such regions.
    private func isCode(_ address: UInt64) -> Bool {
        var low = 0
        var high = code.count
        while low < high {
            let middle = (low + high) / 2
            if code[middle].end <= address { low = middle + 1 } else { high = middle }
        }
        return low < code.count && code[low].start <= address
    }
}
