// Which unit of the debug information an address belongs to. A unit is one source file or one module; its head says
// which addresses it covers. All heads are read once, some hundred bytes each; the rest of a unit when somebody asks.

/// The head of one unit of `.debug_info`.
struct DebugUnit {
    /// Of its head, of its first entry, and of the next unit.
    var offset: UInt64
    var firstEntry: UInt64
    var end: UInt64
    var version: UInt16
    var is64: Bool
    /// Its table in `.debug_abbrev`.
    var abbreviations: UInt64
    /// Its part of `.debug_line`.
    var lines: UInt64?
    /// What addresses in range lists count from.
    var base: UInt64 = 0
    var stringOffsets: UInt64 = 0
    var addresses: UInt64 = 0
    var rangeLists: UInt64 = 0

    /// Reads a head; nil where it is none, or of a kind without code.
    init?(_ cursor: inout ByteCursor, at offset: UInt64, sectionSize: UInt64) {
        self.offset = offset
        var length = UInt64(cursor.u32())
        is64 = length == 0xFFFF_FFFF
        if is64 { length = cursor.u64() }
        let body = offset + (is64 ? 12 : 4)
        guard !cursor.failed, length >= 7, body <= sectionSize, length <= sectionSize - body else { return nil }
        end = body + length
        version = cursor.u16()
        let kind = version >= 5 ? cursor.u8() : 1
        if version >= 5 { _ = cursor.u8() }
        abbreviations = is64 ? cursor.u64() : UInt64(cursor.u32())
        if version < 5 { _ = cursor.u8() }
        switch kind {
        case 1, 3: break
        case 4, 5: cursor.skip(8)  // The number of a split unit.
        default: cursor.skip(8 + (is64 ? 8 : 4))  // Of a type.
        }
        firstEntry = offset + UInt64(cursor.offset)
        guard (2...5).contains(version), !cursor.failed else { return nil }
        // Where the head does not say it, the unit's part begins behind the section's first head.
        stringOffsets = is64 ? 16 : 8
        addresses = is64 ? 16 : 8
    }
}

/// All units of a file, by address.
final class DebugUnits {
    private static let mostUnits = 100_000
    private static let mostSpans = 1_000_000
    /// Alignment between two functions of one unit.
    private static let gap: UInt64 = 64

    private struct Span {
        var low: UInt64
        var high: UInt64
        var unit: UInt64
    }

    private let sections: DebugSections
    /// Where each unit begins.
    private var offsets: [UInt64] = []
    private var spans: [Span] = []

    init?(_ sections: DebugSections) {
        self.sections = sections
        var at: UInt64 = 0
        while at < sections.size(of: .info), offsets.count < Self.mostUnits, let end = read(at) { at = end }
        guard !spans.isEmpty else { return nil }
        joinSpans()
    }

    /// The unit that an address belongs to.
    func unit(covering address: UInt64) -> DebugUnit? {
        let index = spans.partitioned { $0.low <= address }
        guard index > 0, address < spans[index - 1].high else { return nil }
        return unit(at: spans[index - 1].unit)
    }

    /// The unit that an entry lies in.
    func unit(holding entry: UInt64) -> DebugUnit? {
        let index = offsets.partitioned { $0 <= entry }
        guard index > 0, let unit = unit(at: offsets[index - 1]), entry >= unit.firstEntry, entry < unit.end else {
            return nil
        }
        return unit
    }

    private func unit(at offset: UInt64) -> DebugUnit? { head(at: offset)?.unit }

    /// A unit and its first entry.
    private func head(at offset: UInt64) -> (unit: DebugUnit, entry: DebugEntry?)? {
        sections.reading(.info, at: offset, from: 512, limit: 65_536) { cursor in
            let size = sections.size(of: .info)
            guard var unit = DebugUnit(&cursor, at: offset, sectionSize: size) else { return nil }
            let code = cursor.uleb()
            guard !cursor.failed, let (shape, table) = firstShape(code, unit) else { return (unit, nil) }
            let entry = DebugEntry(shape, table, &cursor, base: offset, unit)
            guard !cursor.failed else { return nil }
            unit.take(entry)
            if case .addressNumber(let number) = entry.low { unit.base = sections.address(number, unit) ?? 0 }
            return (unit, entry)
        }
    }

    /// The table of the last head: neighbours often share one.
    private var lastTable: (offset: UInt64, version: UInt16, table: Abbreviations)?

    private func firstShape(_ code: UInt64, _ unit: DebugUnit) -> (Abbreviation, Abbreviations)? {
        guard code != 0 else { return nil }
        if let last = lastTable, last.offset == unit.abbreviations, last.version == unit.version {
            return last.table[code].map { ($0, last.table) }
        }
        guard let table = Abbreviations(sections, unit) else { return nil }
        lastTable = (unit.abbreviations, unit.version, table)
        return table[code].map { ($0, table) }
    }

    /// Takes in the unit at an offset; the offset of the next.
    private func read(_ offset: UInt64) -> UInt64? {
        guard let (unit, entry) = head(at: offset), unit.end > offset else { return nil }
        offsets.append(offset)
        guard let entry, spans.count < Self.mostSpans else { return unit.end }
        for range in DebugRanges.of(entry, unit, sections) {
            spans.append(Span(low: range.lowerBound, high: range.upperBound, unit: offset))
        }
        return unit.end
    }

    private func joinSpans() {
        spans.sort { ($0.low, $0.high) < ($1.low, $1.high) }
        var joined: [Span] = []
        for span in spans {
            if let last = joined.last, last.unit == span.unit, span.low <= last.high &+ Self.gap {
                joined[joined.count - 1].high = max(last.high, span.high)
            } else {
                joined.append(span)
            }
        }
        spans = joined
    }
}

extension DebugUnit {
    fileprivate mutating func take(_ entry: DebugEntry) {
        lines = DebugEntry.number(entry.lines)
        stringOffsets = entry.stringOffsets ?? stringOffsets
        addresses = entry.addresses ?? addresses
        rangeLists = entry.rangeLists ?? rangeLists
        if case .address(let address) = entry.low { base = address }
    }
}

extension Array {
    /// How many elements at the front of a sorted array satisfy `isBefore`.
    func partitioned(_ isBefore: (Element) -> Bool) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if isBefore(self[middle]) { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
