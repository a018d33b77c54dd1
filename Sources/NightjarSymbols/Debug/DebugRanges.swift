// The addresses that an entry covers: from–to in the entry itself, or a list in .debug_ranges (up to DWARF 4) or
// .debug_rnglists (5).

enum DebugRanges {
    private static let mostRanges = 100_000
    private static let largestList = 4 << 20

    /// Never empty ranges, and none of functions that the linker threw away (those begin at 0 or 1).
    static func of(_ entry: DebugEntry, _ unit: DebugUnit, _ sections: DebugSections) -> [Range<UInt64>] {
        switch entry.ranges {
        case .offset(let offset), .number(let offset):
            return unit.version >= 5 ? list5(offset, unit, sections) : list4(offset, unit, sections)
        case .listNumber(let number):
            return sections.rangeList(number, unit).map { list5($0, unit, sections) } ?? []
        default: break
        }
        guard let low = address(entry.low, unit, sections) else { return [] }
        switch entry.high {
        case .number(let length): return range(low, low &+ length)
        default: return address(entry.high, unit, sections).map { range(low, $0) } ?? []
        }
    }

    private static func address(_ value: DebugValue, _ unit: DebugUnit, _ sections: DebugSections) -> UInt64? {
        switch value {
        case .address(let address): address
        case .addressNumber(let number): sections.address(number, unit)
        default: nil
        }
    }

    private static func range(_ low: UInt64, _ high: UInt64) -> [Range<UInt64>] {
        low > 1 && high > low && high - low < 1 << 32 ? [low..<high] : []
    }

    private static func list4(_ offset: UInt64, _ unit: DebugUnit, _ sections: DebugSections) -> [Range<UInt64>] {
        sections.reading(.ranges, at: offset, from: 256, limit: largestList) { cursor in
            var base = unit.base
            var out: [Range<UInt64>] = []
            while out.count < mostRanges {
                let low = cursor.u64()
                let high = cursor.u64()
                if cursor.failed { return nil }
                if low == 0, high == 0 { return out }
                if low == .max { base = high } else { out += range(base &+ low, base &+ high) }
            }
            return out
        } ?? []
    }

    private static func list5(_ offset: UInt64, _ unit: DebugUnit, _ sections: DebugSections) -> [Range<UInt64>] {
        sections.reading(.rangeLists, at: offset, from: 256, limit: largestList) { cursor in
            var base = unit.base
            var out: [Range<UInt64>] = []
            func at(_ number: UInt64) -> UInt64 { sections.address(number, unit) ?? 0 }
            while out.count < mostRanges, !cursor.failed {
                switch cursor.u8() {
                case 0: return cursor.failed ? nil : out
                case 1: base = at(cursor.uleb())
                case 2: out += range(at(cursor.uleb()), at(cursor.uleb()))
                case 3:
                    let low = at(cursor.uleb())
                    out += range(low, low &+ cursor.uleb())
                case 4: out += range(base &+ cursor.uleb(), base &+ cursor.uleb())
                case 5: base = cursor.u64()
                case 6: out += range(cursor.u64(), cursor.u64())
                case 7:
                    let low = cursor.u64()
                    out += range(low, low &+ cursor.uleb())
                default: cursor.fail()
                }
            }
            return cursor.failed ? nil : out
        } ?? []
    }
}
