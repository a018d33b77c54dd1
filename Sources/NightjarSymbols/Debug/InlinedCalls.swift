// Who was inlined at an address. The optimizer copies small functions into their callers; the symbol table then knows
// only the caller. The debug information keeps the copies as a tree:
//
//     function  routes(catalog:)                      0x1000–0x1900
//       inlined   Catalog.decode()                    0x1200–0x1700     called at Routes.swift:31
//         inlined   Mutex.withLock(_:)                0x1240–0x12f0     called at Catalog.swift:25
//
// All inlined entries that cover the address are the chain, outermost first. A unit is walked once to learn where its
// functions lie (24 bytes each), then only the one function's entries are read.

/// One inlined function.
struct InlinedCall: Hashable {
    /// Mangled where it has a mangled name.
    var symbol: String?
    /// Where it was called, in the function around it: file number of the unit's line table, and line.
    var callFile: Int
    var callLine: Int
}

/// Answers who was inlined where, for one file.
final class InlinedCalls {
    private static let mostFunctions = 400_000
    private static let deepest = 512
    private static let mostInlined = 64
    /// Units whose functions, and tables of shapes that, are remembered.
    private static let remembered = 16
    private static let window = 65_536
    private static let largestWindow = 4 << 20

    private struct Function {
        var low: UInt64
        var high: UInt64
        /// Of its entry, and behind its last descendant; from the unit's start.
        var entry: UInt32
        var end: UInt32
    }

    private let sections: DebugSections
    private let units: DebugUnits
    private var functions = Recent<UInt64, [Function]>(limit: remembered)
    private var tables = Recent<UInt64, Abbreviations>(limit: remembered)
    private var names = Recent<UInt64, String?>(limit: 1024)

    init(_ sections: DebugSections, _ units: DebugUnits) {
        self.sections = sections
        self.units = units
    }

    /// The functions inlined at an address of the unit, outermost first.
    func chain(at address: UInt64, _ unit: DebugUnit) -> [InlinedCall] {
        guard let table = table(of: unit), let function = function(at: address, unit, table) else { return [] }
        var found: [DebugEntry] = []
        let first = unit.offset + UInt64(function.entry)
        walk(first, unit.offset + UInt64(function.end), unit, table, wanted: DebugEntry.Tag.inlined) { entry, _, _ in
            guard let entry, found.count < Self.mostInlined else { return }
            if DebugRanges.of(entry, unit, sections).contains(where: { $0.contains(address) }) { found.append(entry) }
        }
        return found.map { entry in
            InlinedCall(
                symbol: name(of: entry, unit), callFile: Int(clamping: entry.callFile),
                callLine: Int(clamping: entry.callLine))
        }
    }

    private func table(of unit: DebugUnit) -> Abbreviations? {
        tables.value(unit.abbreviations << 3 | UInt64(unit.version)) { Abbreviations(sections, unit) }
    }

    /// The smallest function that covers the address: functions may lie in functions.
    private func function(at address: UInt64, _ unit: DebugUnit, _ table: Abbreviations) -> Function? {
        let all = functions.value(unit.offset) { functions(of: unit, table) } ?? []
        let index = all.partitioned { $0.low <= address }
        return all[..<index].suffix(16).filter { address < $0.high }.min { $0.high - $0.low < $1.high - $1.low }
    }

    private func functions(of unit: DebugUnit, _ table: Abbreviations) -> [Function] {
        var out: [Function] = []
        // Functions whose last descendant has not come yet: their first places in `out`, and their depth.
        var open: [(places: Range<Int>, depth: Int)] = []
        let last = UInt32(clamping: unit.end - unit.offset)
        walk(unit.firstEntry, unit.end, unit, table, wanted: DebugEntry.Tag.function) { entry, place, depth in
            let offset = UInt32(clamping: place - unit.offset)
            while let top = open.last, depth <= top.depth {
                for index in top.places { out[index].end = offset }
                open.removeLast()
            }
            guard let entry, out.count < Self.mostFunctions else { return }
            let ranges = DebugRanges.of(entry, unit, sections)
            guard !ranges.isEmpty else { return }
            let places = out.count..<out.count + ranges.count
            out += ranges.map { Function(low: $0.lowerBound, high: $0.upperBound, entry: offset, end: last) }
            open.append((places, depth))
        }
        return out.sorted { ($0.low, $0.high) < ($1.low, $1.high) }
    }

    /// Every entry from one place to another, in order: read where its tag is the wanted one, else stepped over and nil.
    private func walk(
        _ start: UInt64, _ end: UInt64, _ unit: DebugUnit, _ table: Abbreviations, wanted: UInt64,
        _ body: (_ entry: DebugEntry?, _ place: UInt64, _ depth: Int) -> Void
    ) {
        var at = start
        var depth = 0
        var length = Self.window
        while at < end {
            let bytes = sections.piece(.info, at: at, Int(min(UInt64(length), end - at)))
            guard !bytes.isEmpty else { return }
            let used = bytes.withUnsafeBytes { raw in
                walk(ByteCursor(raw), at, unit, table, wanted, &depth, body)
            }
            guard let used else { return }
            if used == 0 {
                // One entry larger than the window, or a damaged one.
                guard length < Self.largestWindow, UInt64(bytes.count) < end - at else { return }
                length *= 8
            }
            at += UInt64(used)
        }
    }

    /// The bytes whose entries were complete; nil where the walk is over.
    private func walk(
        _ window: ByteCursor, _ base: UInt64, _ unit: DebugUnit, _ table: Abbreviations, _ wanted: UInt64,
        _ depth: inout Int, _ body: (DebugEntry?, UInt64, Int) -> Void
    ) -> Int? {
        var cursor = window
        while !cursor.isAtEnd {
            let start = cursor.offset
            let code = cursor.uleb()
            if code == 0, !cursor.failed {
                depth -= 1
                if depth < 0 { return nil }
                continue
            }
            guard !cursor.failed else { return start }
            guard let shape = table[code] else { return nil }
            var entry: DebugEntry?
            if shape.tag == wanted {
                entry = DebugEntry(shape, table, &cursor, base: base, unit)
            } else {
                DebugEntry.skip(shape, table, &cursor, unit)
            }
            guard !cursor.failed else { return start }
            body(entry, base + UInt64(start), depth)
            if shape.hasChildren { depth += 1 }
            if depth > Self.deepest { return nil }
        }
        return cursor.offset
    }

    /// The linkage name, which names the function in full, or the plain one, here or in what the entry is a copy of.
    private func name(of entry: DebugEntry, _ unit: DebugUnit) -> String? {
        guard case .entry(let origin) = entry.origin else { return ownName(of: entry, unit) }
        return names.value(origin) { .some(originName(origin)) } ?? nil
    }

    private func originName(_ place: UInt64) -> String? {
        var place = place
        var plain: String?
        for _ in 0..<8 {
            guard let (entry, unit) = entry(at: place) else { return plain }
            if let linkage = entry.linkageName { return sections.string(linkage, unit) }
            plain = plain ?? ownName(of: entry, unit)
            guard case .entry(let next) = entry.origin, next != place else { return plain }
            place = next
        }
        return plain
    }

    private func ownName(of entry: DebugEntry, _ unit: DebugUnit) -> String? {
        (entry.linkageName ?? entry.name).flatMap { sections.string($0, unit) }
    }

    private func entry(at place: UInt64) -> (DebugEntry, DebugUnit)? {
        guard let unit = units.unit(holding: place), let table = table(of: unit) else { return nil }
        return sections.reading(.info, at: place, from: 512, limit: 65_536) { cursor in
            guard let shape = table[cursor.uleb()] else { return nil }
            return (DebugEntry(shape, table, &cursor, base: place, unit), unit)
        }
    }
}

/// A few answers that are remembered; the oldest leaves.
struct Recent<Key: Hashable, Value> {
    private let limit: Int
    private var values: [Key: Value] = [:]
    private var order: [Key] = []

    init(limit: Int) { self.limit = limit }

    mutating func value(_ key: Key, _ make: () -> Value?) -> Value? {
        if let known = values[key] { return known }
        guard let made = make() else { return nil }
        if order.count >= limit { values[order.removeFirst()] = nil }
        order.append(key)
        values[key] = made
        return made
    }
}
