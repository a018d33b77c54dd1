// Which source line a code address came from: .debug_line, DWARF 2 to 5 (section 6.2).
//
//     unit:  header { file names }  program { advance address, advance line, … row, row, … end of sequence }
//
// A program is a compressed table of rows (address, file, line). Only the program of the one unit that an address belongs
// to is read. It is run once to learn which addresses each of its sequences covers; for an address the one sequence that
// holds it is run again. So a large binary costs some kilobytes a unit and not its millions of rows.
//
// Line 0 is what the compiler calls code of no line; the last true line before it stands for it.

/// The line tables of one file's units.
final class LineTable {
    private static let largestUnit = 8 << 20
    private static let mostSequences = 100_000
    private static let mostFiles = 20_000
    private static let remembered = 4

    private struct Sequence {
        var low: UInt64
        var high: UInt64
        /// Of its program's first byte.
        var start: Int
    }

    struct Place: Hashable {
        var file: String
        var line: Int
        /// False where the code itself has no line and the last one before it stands for it.
        var isExact = true
    }

    /// One unit's bytes and where its sequences lie.
    private struct Unit {
        var bytes: [UInt8]
        var sequences: [Sequence]
    }

    private let sections: DebugSections
    private var units = Recent<UInt64, Unit>(limit: remembered)

    init(_ sections: DebugSections) { self.sections = sections }

    /// File name (without folders) and line of an address in the file's own addresses; `unit` is where its unit's table
    /// begins.
    func place(of address: UInt64, unit: UInt64) -> Place? {
        guard let unit = read(unit) else { return nil }
        let index = unit.sequences.partitioned { $0.low <= address }
        guard index > 0, address < unit.sequences[index - 1].high else { return nil }
        return unit.bytes.withUnsafeBytes { raw in
            guard let head = LineUnit(raw, at: 0) else { return nil }
            var found: LineRow?
            var isExact = true
            var program = LineProgram(raw, head, at: unit.sequences[index - 1].start)
            while let row = program.next(), !row.isEnd, row.address <= address {
                isExact = row.line > 0
                if isExact { found = row }
            }
            guard let found, let name = fileName(found.file, head, raw) else { return nil }
            return Place(file: name, line: found.line, isExact: isExact)
        }
    }

    /// The name (without folders) of a unit's file by its number.
    func fileName(_ number: Int, unit: UInt64) -> String? {
        guard let unit = read(unit) else { return nil }
        return unit.bytes.withUnsafeBytes { raw in LineUnit(raw, at: 0).flatMap { fileName(number, $0, raw) } }
    }

    private func read(_ offset: UInt64) -> Unit? {
        units.value(offset) {
            let length = sections.piece(.lines, at: offset, 12).withUnsafeBytes { raw in
                var cursor = ByteCursor(raw)
                let length = LineUnit.length(&cursor)
                return length.bytes <= Self.largestUnit ? Int(length.bytes) + cursor.offset : 0
            }
            guard length > 0 else { return nil }
            let bytes = sections.piece(.lines, at: offset, length)
            return Unit(bytes: bytes, sequences: bytes.withUnsafeBytes(Self.sequences))
        }
    }

    private static func sequences(_ raw: UnsafeRawBufferPointer) -> [Sequence] {
        guard let unit = LineUnit(raw, at: 0) else { return [] }
        var out: [Sequence] = []
        var program = LineProgram(raw, unit, at: unit.program)
        var start = unit.program
        var low: UInt64?
        while let row = program.next(), out.count < mostSequences {
            low = min(low ?? row.address, row.address)
            guard row.isEnd else { continue }
            // Address 0 is what the linker leaves of functions that it threw away.
            if let first = low, first > 0, row.address > first {
                out.append(Sequence(low: first, high: row.address, start: start))
            }
            start = program.offset
            low = nil
        }
        return out.sorted { $0.low < $1.low }
    }

    private func fileName(_ wanted: Int, _ unit: LineUnit, _ raw: UnsafeRawBufferPointer) -> String? {
        var cursor = ByteCursor(raw, at: unit.tables, end: unit.program)
        let path = unit.version >= 5 ? path5(wanted, unit, &cursor) : path4(wanted, &cursor)
        return path.flatMap { $0.split(separator: "/").last.map(String.init) }
    }

    /// Up to DWARF 4: folders, an empty one, then files counted from 1.
    private func path4(_ wanted: Int, _ cursor: inout ByteCursor) -> String? {
        for _ in 0..<Self.mostFiles where cursor.text().isEmpty { break }
        for index in 1..<Self.mostFiles {
            let name = cursor.text()
            guard !name.isEmpty, !cursor.failed else { return nil }
            if index == wanted { return name }
            for _ in 0..<3 { _ = cursor.uleb() }
        }
        return nil
    }

    /// DWARF 5: both tables say how their entries look; files are counted from 0.
    private func path5(_ wanted: Int, _ unit: LineUnit, _ cursor: inout ByteCursor) -> String? {
        skipEntries(unit, &cursor)
        let formats = entryFormats(&cursor)
        let count = cursor.uleb()
        guard wanted >= 0, UInt64(wanted) < count, wanted < Self.mostFiles else { return nil }
        for index in 0...wanted {
            var path: String?
            for format in formats {
                if format.type == 1 {
                    path = string(format.form, unit, &cursor, isWanted: index == wanted)
                } else {
                    skip(format.form, unit, &cursor)
                }
            }
            if cursor.failed { return nil }
            if index == wanted { return path }
        }
        return nil
    }

    private func skipEntries(_ unit: LineUnit, _ cursor: inout ByteCursor) {
        let formats = entryFormats(&cursor)
        let count = cursor.uleb()
        guard count <= UInt64(Self.mostFiles) else { return cursor.fail() }
        for _ in 0..<count where !cursor.failed { for format in formats { skip(format.form, unit, &cursor) } }
    }

    private func entryFormats(_ cursor: inout ByteCursor) -> [(type: UInt64, form: UInt64)] {
        (0..<cursor.u8()).map { _ in (cursor.uleb(), cursor.uleb()) }
    }

    private func string(_ form: UInt64, _ unit: LineUnit, _ cursor: inout ByteCursor, isWanted: Bool) -> String? {
        switch form {
        case 0x08: return cursor.text()
        case 0x1F:
            let offset = unit.is64 ? cursor.u64() : UInt64(cursor.u32())
            return isWanted ? sections.text(.lineStrings, offset) : nil
        case 0x0E:
            let offset = unit.is64 ? cursor.u64() : UInt64(cursor.u32())
            return isWanted ? sections.text(.strings, offset) : nil
        default:
            cursor.fail()
            return nil
        }
    }

    private func skip(_ form: UInt64, _ unit: LineUnit, _ cursor: inout ByteCursor) {
        switch form {
        case 0x08: _ = cursor.text()
        case 0x1F, 0x0E: cursor.skip(unit.is64 ? 8 : 4)
        case 0x06: cursor.skip(4)
        case 0x0F: _ = cursor.uleb()
        case 0x0B: cursor.skip(1)
        case 0x05: cursor.skip(2)
        case 0x07: cursor.skip(8)
        case 0x1E: cursor.skip(16)
        case 0x09: cursor.skip(Int(min(cursor.uleb(), 1 << 20)))
        default: cursor.fail()
        }
    }
}

/// The header of one unit.
struct LineUnit {
    var version: UInt16
    /// Offsets are 64 bits wide.
    var is64: Bool
    var minimumLength: UInt64
    var lineBase: Int64
    var lineRange: UInt64
    var opcodeBase: UInt8
    /// How many operands each standard opcode has.
    var operands: [UInt8]
    /// Where the tables of folders and files begin, the program, and the next unit.
    var tables: Int
    var program: Int
    var end: Int

    init?(_ raw: UnsafeRawBufferPointer, at offset: Int) {
        var cursor = ByteCursor(raw, at: offset)
        let length = Self.length(&cursor)
        guard !cursor.failed, length.bytes >= 16, length.bytes <= UInt64(raw.count - cursor.offset) else { return nil }
        is64 = length.is64
        end = cursor.offset + Int(length.bytes)
        version = cursor.u16()
        guard (2...5).contains(version) else { return nil }
        if version >= 5 { cursor.skip(2) }
        let headerLength = is64 ? cursor.u64() : UInt64(cursor.u32())
        guard !cursor.failed, headerLength <= UInt64(end - cursor.offset) else { return nil }
        program = cursor.offset + Int(headerLength)
        minimumLength = UInt64(cursor.u8())
        if version >= 4 { cursor.skip(1) }
        cursor.skip(1)
        lineBase = Int64(Int8(bitPattern: cursor.u8()))
        lineRange = UInt64(cursor.u8())
        opcodeBase = cursor.u8()
        guard lineRange > 0, opcodeBase > 0 else { return nil }
        var lengths: [UInt8] = []
        for _ in 1..<max(1, opcodeBase) { lengths.append(cursor.u8()) }
        operands = lengths
        tables = cursor.offset
        guard !cursor.failed, tables <= program else { return nil }
    }
}

extension LineUnit {
    /// The length that a unit begins with, not counting itself.
    static func length(_ cursor: inout ByteCursor) -> (bytes: UInt64, is64: Bool) {
        let short = cursor.u32()
        return short == 0xFFFF_FFFF ? (cursor.u64(), true) : (UInt64(short), false)
    }
}

struct LineRow {
    var address: UInt64
    var file: Int
    var line: Int
    var isEnd: Bool
}

/// Runs one unit's program, row after row.
struct LineProgram {
    private let unit: LineUnit
    private var cursor: ByteCursor
    private var address: UInt64 = 0
    private var file = 1
    private var line: Int64 = 1

    var offset: Int { cursor.offset }

    init(_ raw: UnsafeRawBufferPointer, _ unit: LineUnit, at offset: Int) {
        self.unit = unit
        cursor = ByteCursor(raw, at: offset, end: unit.end)
    }

    mutating func next() -> LineRow? {
        while !cursor.isAtEnd {
            let opcode = cursor.u8()
            if opcode >= unit.opcodeBase {
                special(opcode)
                return row(isEnd: false)
            }
            if opcode == 0 {
                if extended() {
                    let last = row(isEnd: true)
                    (address, file, line) = (0, 1, 1)
                    return last
                }
            } else if opcode == 1 {
                return row(isEnd: false)
            } else {
                standard(opcode)
            }
            if cursor.failed { return nil }
        }
        return nil
    }

    private func row(isEnd: Bool) -> LineRow? {
        cursor.failed ? nil : LineRow(address: address, file: file, line: Int(clamping: max(0, line)), isEnd: isEnd)
    }

    private mutating func special(_ opcode: UInt8) {
        let adjusted = UInt64(opcode - unit.opcodeBase)
        address &+= adjusted / unit.lineRange &* unit.minimumLength
        line &+= unit.lineBase &+ Int64(adjusted % unit.lineRange)
    }

    private mutating func standard(_ opcode: UInt8) {
        switch opcode {
        case 2: address &+= cursor.uleb() &* unit.minimumLength
        case 3: line &+= cursor.sleb()
        case 4: file = Int(truncatingIfNeeded: cursor.uleb() & 0xFFFF_FFFF)
        case 8: address &+= UInt64(255 - unit.opcodeBase) / unit.lineRange &* unit.minimumLength
        case 9: address &+= UInt64(cursor.u16())
        default:
            let count = Int(opcode) <= unit.operands.count ? unit.operands[Int(opcode) - 1] : 0
            for _ in 0..<count { _ = cursor.uleb() }
        }
    }

    /// True where it ends the sequence.
    private mutating func extended() -> Bool {
        let length = Int(min(cursor.uleb(), 1 << 20))
        guard length > 0, cursor.end - cursor.offset >= length else {
            cursor.fail()
            return false
        }
        let end = cursor.offset + length
        let opcode = cursor.u8()
        if opcode == 2, length == 9 { address = cursor.u64() }
        cursor.offset = end
        return opcode == 1
    }
}
