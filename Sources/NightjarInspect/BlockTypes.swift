// The types of single blocks, once the census has named the first words.

/// Answers what a block is and what it calls its references.
final class BlockTypes {
    private let target: Target
    private let table: TallyTable
    private var names: [UInt64: TypeInfo] = [:]

    init(_ target: Target, table: TallyTable, ranges: [HeapRange]) {
        self.target = target
        self.table = table
        let namer = BlockNamer(target, ranges: ranges)
        var named: [(TallyTable.Entry, TypeInfo)] = []
        table.forEach { if $0.tag == CensusTally.Tag.none, $0.count > 0 { namer.candidates.insert($0.key) } }
        table.forEach { entry in if let type = namer.type(of: entry) { named.append((entry, type)) } }
        for (entry, type) in namer.withFunctions(named) { names[entry.key] = type }
    }

    /// All types met, with the keys of their entries.
    var all: [(key: UInt64, type: TypeInfo)] { names.map { ($0.key, $0.value) } }

    /// The key under which the tally keeps a block; nil where it has no type.
    func key(first: UInt64, at user: UInt64) -> UInt64? {
        guard first & 7 == 0, first > 0x1000, first < 1 << 47, let entry = table.find(first) else { return nil }
        switch entry.pointee.tag {
        case CensusTally.Tag.none: return names[first] == nil ? nil : first
        case CensusTally.Tag.error:
            return target.memory.word(at: user + 16).map { $0 & (1 << 56 - 1) | CensusTally.errorMark }
        case CensusTally.Tag.task:
            return target.memory.word(at: user + 56).map { $0 & (1 << 56 - 1) | CensusTally.taskMark }
        default: return first
        }
    }

    /// The metadata records that all errors, or all tasks, share.
    func specialMetadata(errors: Bool, tasks: Bool) -> [UInt64] {
        var found: [UInt64] = []
        table.forEach { entry in
            if errors && entry.tag == CensusTally.Tag.error || tasks && entry.tag == CensusTally.Tag.task {
                found.append(entry.key)
            }
        }
        return found
    }

    func type(ofKey key: UInt64) -> TypeInfo? { names[key] }

    func type(first: UInt64, at user: UInt64) -> TypeInfo? { key(first: first, at: user).flatMap { names[$0] } }

    /// What holds the reference at `offset` of a block: `Emitter.handlers`, `closure #1 in handle(_:)`; nil for the
    /// bodies of arrays, dictionaries and sets, which belong to the field that holds them, and for the frames of a task,
    /// which belong to the task.
    func holder(_ type: TypeInfo, first: UInt64, offset: UInt64) -> String? {
        switch type.kind {
        case .class, .actor:
            let short = Self.withoutModule(type)
            return target.metadata.field(of: first, at: offset).map { "\(short).\($0)" } ?? short
        case .array, .dictionary, .set: return nil
        case .task where type == BlockNamer.taskFrames: return nil
        case .closure, .box, .error, .task, .string: return Self.withoutModule(type)
        }
    }

    /// `Request` for `checkout.Request`, `closure #1 in handle(_:)` for `closure #1 in checkout.handle(_:)`.
    static func withoutModule(_ type: TypeInfo) -> String {
        guard !type.module.isEmpty else { return type.name }
        let prefix = "\(type.module)."
        if type.name.hasPrefix(prefix) { return String(type.name.dropFirst(prefix.count)) }
        guard type.kind == .closure || type.kind == .task || type.kind == .box,
            let place = type.name.ranges(of: " \(prefix)").last
        else { return type.name }
        return type.name[..<place.lowerBound] + " " + type.name[place.upperBound...]
    }
}
