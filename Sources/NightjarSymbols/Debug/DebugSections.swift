// The debug information of one file: who was inlined where, and which line a place came from. It is often larger than
// the code, so nothing of it is held: every question reads the pieces that it needs, some kilobytes each. Only of a section
// that is compressed all of it is unpacked and held, up to a limit.
//
//     .debug_info ─▶ units ─▶ functions ─▶ functions inlined into them        DebugUnits, InlinedCalls
//          │  ╰─ .debug_abbrev (how entries are laid out), .debug_str, .debug_addr, .debug_ranges / .debug_rnglists
//          ╰─▶ .debug_line                                                    LineTable
//
// DWARF 2 to 5, 32- and 64-bit, as clang, gcc and swiftc write it. Sections packed with zlib are read, with zstd they are not.

/// Where a string of the debug information lies.
enum DebugString: Hashable {
    case strings(UInt64)
    case lineStrings(UInt64)
    /// Number in the unit's part of `.debug_str_offsets`.
    case number(UInt64)
    /// In `.debug_info` itself.
    case inside(UInt64)
}

/// The sections of one file that hold debug information.
final class DebugSections {
    /// What all questions to one file may read; a file that was made to be slow ends here.
    static let mostRead = 256 << 20
    /// What the compressed sections of one file may take in memory together; those beyond it count as absent.
    static let mostExpanded: UInt64 = 96 << 20
    private static let longestString = 16_384
    /// What a reading costs, however short it is.
    private static let leastRead = 512

    enum Name: String, CaseIterable {
        case info = ".debug_info"
        case abbreviations = ".debug_abbrev"
        case strings = ".debug_str"
        case lineStrings = ".debug_line_str"
        case stringOffsets = ".debug_str_offsets"
        case addresses = ".debug_addr"
        case ranges = ".debug_ranges"
        case rangeLists = ".debug_rnglists"
        case lines = ".debug_line"
    }

    private let file: ELFFile
    private var places: [Name: Place] = [:]
    private var expanded: [Name: [UInt8]] = [:]
    private var read = 0

    /// Where a section lies in the file, and how large it is in truth.
    private struct Place {
        var offset: UInt64
        var size: UInt64
        /// Bytes of the zlib stream at `offset`; nil where it is not compressed.
        var packed: UInt64?
    }

    /// nil where the file has no debug information that can be read.
    init?(of file: ELFFile) {
        let empty: UInt32 = 8
        self.file = file
        var room = Self.mostExpanded
        for name in Name.allCases {
            guard let section = file.section(named: name.rawValue), section.type != empty,
                section.offset <= file.size, section.size <= file.size - section.offset,
                let place = Self.place(of: section, file)
            else { continue }
            if place.packed != nil {
                guard place.size <= room else { continue }
                room -= place.size
            }
            places[name] = place
        }
        guard places[.info] != nil, places[.abbreviations] != nil else { return nil }
    }

    private static func place(of section: ELFFile.Section, _ file: ELFFile) -> Place? {
        let compressed: UInt64 = 0x800
        guard section.flags & compressed != 0 else { return Place(offset: section.offset, size: section.size) }
        let (headerLength, zlib): (UInt64, UInt32) = (24, 1)
        guard section.size > headerLength, let header = file.bytes(at: section.offset, headerLength, limit: 24) else {
            return nil
        }
        return header.withUnsafeBytes { raw in
            var cursor = ByteCursor(raw)
            guard cursor.u32() == zlib else { return nil }
            cursor.skip(4)
            let (size, packed) = (cursor.u64(), section.size - headerLength)
            guard size / Inflate.mostRatio <= packed else { return nil }
            return Place(offset: section.offset + headerLength, size: size, packed: packed)
        }
    }

    /// All of a compressed section; empty where it is broken.
    private func contents(of name: Name, _ place: Place, _ packed: UInt64) -> [UInt8] {
        if let known = expanded[name] { return known }
        let bytes = file.bytes(at: place.offset, packed, limit: Int(Self.mostExpanded)) ?? []
        let whole = Inflate.expand(bytes, count: Int(place.size)) ?? []
        expanded[name] = whole
        return whole
    }

    func size(of name: Name) -> UInt64 { places[name]?.size ?? 0 }

    /// Up to `length` bytes of a section; fewer at its end, none beyond it or once too much was read.
    func piece(_ name: Name, at offset: UInt64, _ length: Int) -> [UInt8] {
        guard let place = places[name], offset < place.size, read < Self.mostRead else { return [] }
        let count = min(UInt64(max(0, length)), place.size - offset)
        read += max(Int(count), Self.leastRead)
        if let packed = place.packed {
            let whole = contents(of: name, place, packed)
            return offset + count <= whole.count ? Array(whole[Int(offset)..<Int(offset + count)]) : []
        }
        return file.bytes(at: place.offset + offset, count, limit: length) ?? []
    }

    /// Reads something of unknown length: `body` is called with more and more of the section until it answers, or until
    /// `limit` bytes were not enough.
    func reading<T>(
        _ name: Name, at offset: UInt64, from first: Int = 1024, limit: Int, _ body: (inout ByteCursor) -> T?
    )
        -> T?
    {
        var length = first
        while true {
            let bytes = piece(name, at: offset, length)
            let answer: T? = bytes.withUnsafeBytes { raw in
                var cursor = ByteCursor(raw)
                let answer = body(&cursor)
                return cursor.failed ? nil : answer
            }
            if answer != nil || bytes.count < length || length >= limit { return answer }
            length = min(length * 8, limit)
        }
    }

    func string(_ place: DebugString, _ unit: DebugUnit) -> String? {
        switch place {
        case .strings(let offset): text(.strings, offset)
        case .lineStrings(let offset): text(.lineStrings, offset)
        case .inside(let offset): text(.info, offset)
        case .number(let number):
            word(.stringOffsets, unit.stringOffsets, number, size: unit.is64 ? 8 : 4).flatMap { text(.strings, $0) }
        }
    }

    /// An address by its number in the unit's part of `.debug_addr`.
    func address(_ number: UInt64, _ unit: DebugUnit) -> UInt64? { word(.addresses, unit.addresses, number, size: 8) }

    /// An entry of the table that the unit's range lists begin with.
    func rangeList(_ number: UInt64, _ unit: DebugUnit) -> UInt64? {
        word(.rangeLists, unit.rangeLists, number, size: unit.is64 ? 8 : 4).map { $0 &+ unit.rangeLists }
    }

    func text(_ name: Name, _ offset: UInt64) -> String? {
        reading(name, at: offset, from: 256, limit: Self.longestString) { $0.text(limit: Self.longestString) }
    }

    private func word(_ name: Name, _ base: UInt64, _ number: UInt64, size: UInt64) -> UInt64? {
        let (distance, overflow) = number.multipliedReportingOverflow(by: size)
        guard !overflow, distance < 1 << 40, base < 1 << 40 else { return nil }
        let bytes = piece(name, at: base + distance, Int(size))
        guard bytes.count == size else { return nil }
        return bytes.withUnsafeBytes { raw in
            var cursor = ByteCursor(raw)
            return size == 8 ? cursor.u64() : UInt64(cursor.u32())
        }
    }
}
