// Which source line a code address came from: .debug_line, DWARF 2 to 5 (section 6.2).
//
//     unit:  header { file names }  program { advance address, advance line, … row, row, … end of sequence }
//
// A program is a compressed table of rows (address, file, line). All programs are run once to learn which addresses each
// sequence covers, which is little; for an address the one sequence that holds it is run again. So a large binary costs the
// bytes of its .debug_line and some kilobytes, not its millions of rows.
//
// Line 0 is what the compiler calls code of no line; the last true line before it stands for it.

/// The line table of one file.
final class LineTable {
    private static let largest = 96 << 20
    private static let mostSequences = 400_000
    private static let mostFiles = 20_000

    private struct Sequence {
        var low: UInt64
        var high: UInt64
        /// Of its unit, and of its program's first byte.
        var unit: Int
        var start: Int
    }

    struct Place: Hashable {
        var file: String
        var line: Int
    }

    private let bytes: [UInt8]
    private let lineStrings: [UInt8]
    private let strings: ELFFile
    private var sequences: [Sequence] = []

    /// nil where the file has no line table, or a compressed one.
    init?(of file: ELFFile) {
        guard let bytes = file.contents(of: ".debug_line", limit: Self.largest), !bytes.isEmpty else { return nil }
        self.bytes = bytes
        lineStrings = file.contents(of: ".debug_line_str", limit: Self.largest) ?? []
        strings = file
        sequences = bytes.withUnsafeBytes(Self.sequences)
        guard !sequences.isEmpty else { return nil }
    }

    /// File name (without folders) and line of an address in the file's own addresses.
    func place(of address: UInt64) -> Place? {
        var low = 0
        var high = sequences.count
        while low < high {
            let middle = (low + high) / 2
            if sequences[middle].low <= address { low = middle + 1 } else { high = middle }
        }
        guard low > 0, address < sequences[low - 1].high else { return nil }
        let sequence = sequences[low - 1]
        return bytes.withUnsafeBytes { raw in
            guard let unit = LineUnit(raw, at: sequence.unit) else { return nil }
            var found: LineRow?
            var program = LineProgram(raw, unit, at: sequence.start)
            while let row = program.next(), !row.isEnd, row.address <= address {
                if row.line > 0 { found = row }
            }
            guard let found, let name = fileName(found.file, unit, raw) else { return nil }
            return Place(file: name, line: found.line)
        }
    }

    private static func sequences(_ raw: UnsafeRawBufferPointer) -> [Sequence] {
        var out: [Sequence] = []
        var at = 0
        while let unit = LineUnit(raw, at: at), out.count < mostSequences {
            var program = LineProgram(raw, unit, at: unit.program)
            var start = unit.program
            var low: UInt64?
            while let row = program.next(), out.count < mostSequences {
                low = min(low ?? row.address, row.address)
                guard row.isEnd else { continue }
                // Address 0 is what the linker leaves of functions that it threw away.
                if let first = low, first > 0, row.address > first {
                    out.append(Sequence(low: first, high: row.address, unit: at, start: start))
                }
                start = program.offset
                low = nil
            }
            at = unit.end
        }
        return out.sorted { $0.low < $1.low }
    }

    private func fileName(_ wanted: Int, _ unit: LineUnit, _ raw: UnsafeRawBufferPointer) -> String? {
        var cursor = ByteCursor(raw, at: unit.tables, end: unit.program)
        let path = unit.version >= 5 ? path5(wanted, &cursor) : path4(wanted, &cursor)
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
    private func path5(_ wanted: Int, _ cursor: inout ByteCursor) -> String? {
        skipEntries(&cursor)
        let formats = entryFormats(&cursor)
        let count = cursor.uleb()
        guard wanted >= 0, UInt64(wanted) < count, wanted < Self.mostFiles else { return nil }
        for index in 0...wanted {
            var path: String?
            for format in formats {
                if format.type == 1 {
                    path = string(format.form, &cursor, isWanted: index == wanted)
                } else {
                    skip(format.form, &cursor)
                }
            }
            if cursor.failed { return nil }
            if index == wanted { return path }
        }
        return nil
    }

    private func skipEntries(_ cursor: inout ByteCursor) {
        let formats = entryFormats(&cursor)
        let count = cursor.uleb()
        guard count <= UInt64(Self.mostFiles) else { return cursor.fail() }
        for _ in 0..<count where !cursor.failed { for format in formats { skip(format.form, &cursor) } }
    }

    private func entryFormats(_ cursor: inout ByteCursor) -> [(type: UInt64, form: UInt64)] {
        (0..<cursor.u8()).map { _ in (cursor.uleb(), cursor.uleb()) }
    }

    private func string(_ form: UInt64, _ cursor: inout ByteCursor, isWanted: Bool) -> String? {
        switch form {
        case 0x08: return cursor.text()
        case 0x1F:
            let offset = Int(cursor.u32())
            guard isWanted, offset < lineStrings.count else { return nil }
            return lineStrings.withUnsafeBytes { raw in
                var text = ByteCursor(raw, at: offset)
                return text.text()
            }
        case 0x0E:
            let offset = UInt64(cursor.u32())
            guard isWanted, let section = strings.section(named: ".debug_str"), offset < section.size,
                let tail = strings.bytes(at: section.offset &+ offset, min(1024, section.size - offset), limit: 1024)
            else { return nil }
            return tail.withUnsafeBytes { raw in
                var text = ByteCursor(raw)
                return text.text()
            }
        default:
            cursor.fail()
            return nil
        }
    }

    private func skip(_ form: UInt64, _ cursor: inout ByteCursor) {
        switch form {
        case 0x08: _ = cursor.text()
        case 0x1F, 0x0E, 0x06: cursor.skip(4)
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
        guard offset < raw.count else { return nil }
        var cursor = ByteCursor(raw, at: offset)
        let length = cursor.u32()
        guard !cursor.failed, length >= 16, length < 0xFFFF_FFF0, Int(length) <= raw.count - cursor.offset else {
            return nil
        }
        end = cursor.offset + Int(length)
        version = cursor.u16()
        guard (2...5).contains(version) else { return nil }
        if version >= 5 { cursor.skip(2) }
        let headerLength = Int(cursor.u32())
        guard headerLength <= end - cursor.offset else { return nil }
        program = cursor.offset + headerLength
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
