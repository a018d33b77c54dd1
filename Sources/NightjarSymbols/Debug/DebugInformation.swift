// What the debug information of a file says of an address: the source place, and the chain of inlined functions that led
// there.

/// An address in the source.
struct SourcePlace {
    /// A function that was inlined into the one around it.
    struct Inlined {
        /// Mangled where it has a mangled name.
        var symbol: String?
        /// Where the function around it calls it.
        var call: LineTable.Place?
    }

    /// Where the address itself is, in the innermost function.
    var place: LineTable.Place?
    /// Outermost first.
    var inlined: [Inlined] = []
}

/// The debug information of one file. Holds an index of units (100 bytes each, and 24 for each stretch of code) and a few
/// units' tables; the first question costs some ms for a thousand units, later ones less than a ms.
final class DebugInformation {
    private let units: DebugUnits
    private let calls: InlinedCalls
    private let lines: LineTable

    /// nil where the file has none that can be read.
    init?(of file: ELFFile) {
        guard let sections = DebugSections(of: file), let units = DebugUnits(sections) else { return nil }
        self.units = units
        calls = InlinedCalls(sections, units)
        lines = LineTable(sections)
    }

    /// What is known of an address in the file's own addresses.
    func place(of address: UInt64) -> SourcePlace? {
        guard let unit = units.unit(covering: address) else { return nil }
        let chain = calls.chain(at: address, unit)
        guard let table = unit.lines else {
            return SourcePlace(inlined: chain.map { SourcePlace.Inlined(symbol: $0.symbol) })
        }
        // Code without a line borrows the one before it, which may be another function's where some were inlined.
        let place = lines.place(of: address, unit: table).flatMap { $0.isExact || chain.isEmpty ? $0 : nil }
        return SourcePlace(
            place: place,
            inlined: chain.map { call in
                let file = call.callLine > 0 ? lines.fileName(call.callFile, unit: table) : nil
                return SourcePlace.Inlined(
                    symbol: call.symbol, call: file.map { LineTable.Place(file: $0, line: call.callLine) })
            })
    }
}
