// How the entries of a unit are laid out (DWARF 5, section 7.5.3): code ─▶ tag, children or not, attributes with their forms.

/// One shape of entries.
struct Abbreviation {
    var tag: UInt64
    var hasChildren: Bool
    /// Its attributes in the table's own list.
    var attributes: Range<Int>
    /// Bytes of an entry of this shape, where that does not depend on the entry.
    var fixedSize: Int?
}

/// The table of one unit, or of several that share it.
final class Abbreviations {
    struct Attribute {
        var name: UInt64
        var form: UInt64
        /// The value itself, for the form that keeps it here.
        var implicit: Int64
    }

    private static let mostShapes = 65_536
    private static let mostAttributes = 1 << 20
    private static let largest = 8 << 20

    private var shapes: [Abbreviation] = []
    /// Codes count from 1 as a rule; where they do not, this tells which shape.
    private var positions: [UInt64: Int]?
    private(set) var attributes: [Attribute] = []

    init?(_ sections: DebugSections, _ unit: DebugUnit) {
        let isRead = sections.reading(.abbreviations, at: unit.abbreviations, from: 4096, limit: Self.largest) {
            cursor in
            shapes = []
            attributes = []
            positions = nil
            return readAll(&cursor, unit) ? true : nil
        }
        guard isRead == true else { return nil }
    }

    subscript(code: UInt64) -> Abbreviation? {
        if let positions { return positions[code].map { shapes[$0] } }
        guard code > 0, code <= UInt64(shapes.count) else { return nil }
        return shapes[Int(code) - 1]
    }

    private func readAll(_ cursor: inout ByteCursor, _ unit: DebugUnit) -> Bool {
        while shapes.count < Self.mostShapes {
            let code = cursor.uleb()
            if cursor.failed { return false }
            if code == 0 { return true }
            if code != UInt64(shapes.count) + 1 || positions != nil { number(code) }
            guard readShape(&cursor, unit) else { return false }
        }
        return false
    }

    private func number(_ code: UInt64) {
        if positions == nil {
            positions = Dictionary(uniqueKeysWithValues: shapes.indices.map { (UInt64($0) + 1, $0) })
        }
        positions?[code] = shapes.count
    }

    private func readShape(_ cursor: inout ByteCursor, _ unit: DebugUnit) -> Bool {
        let tag = cursor.uleb()
        let hasChildren = cursor.u8() != 0
        let first = attributes.count
        var size: Int? = 0
        while attributes.count < Self.mostAttributes {
            let name = cursor.uleb()
            let form = cursor.uleb()
            if cursor.failed { return false }
            if name == 0, form == 0 {
                shapes.append(
                    Abbreviation(
                        tag: tag, hasChildren: hasChildren, attributes: first..<attributes.count, fixedSize: size))
                return true
            }
            let implicit = form == DebugForm.implicit ? cursor.sleb() : 0
            attributes.append(Attribute(name: name, form: form, implicit: implicit))
            size = size.flatMap { sum in DebugForm.fixedSize(form, unit).map { sum + $0 } }
        }
        return false
    }
}
