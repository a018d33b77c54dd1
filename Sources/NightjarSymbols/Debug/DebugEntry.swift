// One entry of .debug_info with the few attributes that names and places need; all others are stepped over.

/// The value of one attribute.
enum DebugValue: Hashable {
    case none
    case number(UInt64)
    case address(UInt64)
    /// Number in the unit's part of `.debug_addr`.
    case addressNumber(UInt64)
    /// Into another section.
    case offset(UInt64)
    /// Number in the unit's table of range lists.
    case listNumber(UInt64)
    /// An entry, by its place in `.debug_info`.
    case entry(UInt64)
    case string(DebugString)
}

/// A function, something inlined, or the head of a unit.
struct DebugEntry {
    enum Tag {
        static let function: UInt64 = 0x2E
        static let inlined: UInt64 = 0x1D
    }

    var tag: UInt64
    var hasChildren: Bool
    var low = DebugValue.none
    var high = DebugValue.none
    var ranges = DebugValue.none
    var lines = DebugValue.none
    /// What this is a copy of, or the declaration that it completes.
    var origin = DebugValue.none
    var name: DebugString?
    var linkageName: DebugString?
    var callFile: UInt64 = 0
    var callLine: UInt64 = 0
    var stringOffsets: UInt64?
    var addresses: UInt64?
    var rangeLists: UInt64?

    /// Reads an entry behind its code. `base` is the place of the cursor's first byte in `.debug_info`.
    init(
        _ shape: Abbreviation, _ table: Abbreviations, _ cursor: inout ByteCursor, base: UInt64, _ unit: DebugUnit
    ) {
        tag = shape.tag
        hasChildren = shape.hasChildren
        for attribute in table.attributes[shape.attributes] {
            let value = DebugForm.value(attribute.form, attribute.implicit, &cursor, base: base, unit)
            take(attribute.name, value)
        }
    }

    /// Steps over an entry.
    static func skip(
        _ shape: Abbreviation, _ table: Abbreviations, _ cursor: inout ByteCursor, _ unit: DebugUnit
    ) {
        if let size = shape.fixedSize { return cursor.skip(size) }
        for attribute in table.attributes[shape.attributes] {
            _ = DebugForm.value(attribute.form, 0, &cursor, base: 0, unit)
        }
    }

    private mutating func take(_ name: UInt64, _ value: DebugValue) {
        switch name {
        case 0x03: self.name = Self.string(value)
        case 0x10: lines = value
        case 0x11: low = value
        case 0x12: high = value
        case 0x31, 0x47: origin = value
        case 0x55: ranges = value
        case 0x58: callFile = Self.number(value) ?? 0
        case 0x59: callLine = Self.number(value) ?? 0
        case 0x6E, 0x2007: linkageName = Self.string(value)
        case 0x72: stringOffsets = Self.number(value)
        case 0x73, 0x2133: addresses = Self.number(value)
        case 0x74: rangeLists = Self.number(value)
        default: break
        }
    }

    private static func string(_ value: DebugValue) -> DebugString? {
        if case .string(let place) = value { place } else { nil }
    }

    static func number(_ value: DebugValue) -> UInt64? {
        switch value {
        case .number(let number), .offset(let number): number
        default: nil
        }
    }
}

/// The forms in which values are written (DWARF 5, section 7.5.6).
enum DebugForm {
    static let implicit: UInt64 = 0x21

    /// Bytes of a value, where they do not depend on the value.
    static func fixedSize(_ form: UInt64, _ unit: DebugUnit) -> Int? {
        switch form {
        case 0x19, implicit: 0
        case 0x0B, 0x0C, 0x11, 0x25, 0x29: 1
        case 0x05, 0x12, 0x26, 0x2A: 2
        case 0x27, 0x2B: 3
        case 0x06, 0x13, 0x1C, 0x28, 0x2C: 4
        case 0x01, 0x07, 0x14, 0x20, 0x24: 8
        case 0x1E: 16
        case 0x0E, 0x17, 0x1D, 0x1F, 0x1F20, 0x1F21: unit.is64 ? 8 : 4
        case 0x10: unit.version <= 2 ? 8 : unit.is64 ? 8 : 4
        default: nil
        }
    }

    /// Reads a value; the cursor fails at a form that nobody has defined.
    static func value(
        _ form: UInt64, _ implicitValue: Int64, _ cursor: inout ByteCursor, base: UInt64, _ unit: DebugUnit
    ) -> DebugValue {
        switch form {
        case 0x01: .address(cursor.u64())
        case 0x0B, 0x0C: .number(UInt64(cursor.u8()))
        case 0x05: .number(UInt64(cursor.u16()))
        case 0x06: .number(UInt64(cursor.u32()))
        case 0x07: .number(cursor.u64())
        case 0x0D: .number(UInt64(bitPattern: cursor.sleb()))
        case 0x0F: .number(cursor.uleb())
        case 0x19: .number(1)
        case implicit: .number(UInt64(bitPattern: implicitValue))
        case 0x17: .offset(offset(&cursor, unit))
        case 0x10: .entry(unit.version <= 2 ? cursor.u64() : offset(&cursor, unit))
        case 0x11: .entry(unit.offset &+ UInt64(cursor.u8()))
        case 0x12: .entry(unit.offset &+ UInt64(cursor.u16()))
        case 0x13: .entry(unit.offset &+ UInt64(cursor.u32()))
        case 0x14: .entry(unit.offset &+ cursor.u64())
        case 0x15: .entry(unit.offset &+ cursor.uleb())
        case 0x1B, 0x1F01: .addressNumber(cursor.uleb())
        case 0x29...0x2C: .addressNumber(bytes(Int(form - 0x28), &cursor))
        case 0x23: .listNumber(cursor.uleb())
        case 0x0E: .string(.strings(offset(&cursor, unit)))
        case 0x1F: .string(.lineStrings(offset(&cursor, unit)))
        case 0x1A, 0x1F02: .string(.number(cursor.uleb()))
        case 0x25...0x28: .string(.number(bytes(Int(form - 0x24), &cursor)))
        case 0x08: insideString(&cursor, base)
        default: other(form, &cursor, base: base, unit)
        }
    }

    /// Blocks, and what points to other files.
    private static func other(_ form: UInt64, _ cursor: inout ByteCursor, base: UInt64, _ unit: DebugUnit) -> DebugValue
    {
        switch form {
        case 0x03: cursor.skip(Int(cursor.u16()))
        case 0x04: cursor.skip(Int(cursor.u32()))
        case 0x09, 0x18: cursor.skip(Int(min(cursor.uleb(), 1 << 32)))
        case 0x0A: cursor.skip(Int(cursor.u8()))
        case 0x22: _ = cursor.uleb()
        case 0x1E: cursor.skip(16)
        case 0x20, 0x24: cursor.skip(8)
        case 0x1C: cursor.skip(4)
        case 0x1D, 0x1F20, 0x1F21: cursor.skip(unit.is64 ? 8 : 4)
        case 0x16:
            let actual = cursor.uleb()
            guard actual != 0x16, actual != implicit else {
                cursor.fail()
                return .none
            }
            return value(actual, 0, &cursor, base: base, unit)
        default: cursor.fail()
        }
        return .none
    }

    private static func offset(_ cursor: inout ByteCursor, _ unit: DebugUnit) -> UInt64 {
        unit.is64 ? cursor.u64() : UInt64(cursor.u32())
    }

    private static func bytes(_ count: Int, _ cursor: inout ByteCursor) -> UInt64 {
        var value: UInt64 = 0
        for index in 0..<count { value |= UInt64(cursor.u8()) << UInt64(8 * index) }
        return value
    }

    private static func insideString(_ cursor: inout ByteCursor, _ base: UInt64) -> DebugValue {
        let start = cursor.offset
        cursor.skipText()
        return .string(.inside(base &+ UInt64(start)))
    }
}
