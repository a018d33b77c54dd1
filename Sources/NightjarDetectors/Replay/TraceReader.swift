// Reads a recorded trace: lines of `# key=value; …`, one line of column names, then rows of comma-separated cells.
//
//     # nightjar-trace v1; source=real; interval_s=0.1; speedup=3000; columns in KiB
//     t,rss,anon,file
//     0.0,21980,11160,10820
//
// One pass over the bytes without copying them: `next()` finds the cells of a row, and only the cells that a detector
// asks for are turned into numbers. Whatever is wrong is one error with the line on which it stands.

/// What went wrong with a trace, as one line for people.
public struct TraceError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What kind of mistake it is, for programs.
    public enum Code: String, Hashable, Sendable {
        /// No column names, or no row after them.
        case empty
        /// A row, cell or head line that is not as the format says.
        case malformed
        /// A column that this kind of trace needs is not there.
        case missingColumn
        /// Larger than a trace may be.
        case tooLarge
        /// A kind of trace that no detector reads.
        case unknownKind
    }

    public var code: Code
    /// The trace's name, as it was given.
    public var trace: String
    /// Counted from 1; nil where the whole trace is meant.
    public var line: Int?
    public var detail: String

    public init(_ code: Code, trace: String, line: Int? = nil, _ detail: String) {
        self.code = code
        self.trace = trace
        self.line = line
        self.detail = detail
    }

    /// `steady, line 17: expected a number in column 'anon', found 'lots'`.
    public var description: String {
        line.map { "\(trace), line \($0): \(detail)" } ?? "\(trace): \(detail)"
    }
}

/// What the lines that begin with `#` say.
public struct TraceHead: Hashable, Sendable {
    /// How many seconds one second of the trace stands for; 1 where nothing is said.
    public internal(set) var speedup = 1.0
    var values: [String: String] = [:]
    /// The first word: `nightjar-trace`, `nightjar-stall`; empty where there is no head.
    public internal(set) var format = ""

    /// The value of `key=value`, without spaces around it.
    public subscript(key: String) -> String? { values[key] }
}

/// A trace's head, its columns, and its rows one after the other. It keeps the bytes and a few numbers, nothing a row.
public struct TraceReader: Sendable {
    /// Larger than any trace that was ever recorded (a year at one sample a second is about 1 GiB).
    public static let largest = 2 << 30
    /// A row of more cells, or a name or value longer than this, is not a trace.
    static let mostColumns = 256
    static let longestName = 4096

    public let name: String
    public private(set) var head = TraceHead()
    public private(set) var columns: [String] = []
    /// The line that `next()` found last, counted from 1.
    public private(set) var line = 0

    private let bytes: [UInt8]
    private var position = 0
    /// Begin and end of each cell of the row.
    private var cells: [Range<Int>] = []

    /// Reads the head and the column names.
    public init(bytes: [UInt8], name: String) throws(TraceError) {
        self.bytes = bytes
        self.name = name
        guard bytes.count <= Self.largest else {
            throw TraceError(.tooLarge, trace: name, "\(bytes.count) bytes, a trace may have \(Self.largest)")
        }
        while let range = nextLine() {
            if range.isEmpty { continue }
            if bytes[range.lowerBound] == UInt8(ascii: "#") {
                try readHead(range)
            } else {
                try readColumns(range)
                return
            }
        }
        throw TraceError(.empty, trace: name, "no column names")
    }

    /// Where a column stands, nil where the trace does not have it.
    public func column(_ name: String) -> Int? { columns.firstIndex(of: name) }

    /// Where a column stands that must be there.
    public func require(_ column: String) throws(TraceError) -> Int {
        if let index = self.column(column) { return index }
        throw TraceError(
            .missingColumn, trace: name, "no column '\(column)' among '\(columns.joined(separator: ","))'")
    }

    /// Goes on to the next row; false at the end. Empty lines and further `#` lines are passed over.
    public mutating func next() throws(TraceError) -> Bool {
        while let range = nextLine() {
            if range.isEmpty || bytes[range.lowerBound] == UInt8(ascii: "#") { continue }
            split(range)
            guard cells.count == columns.count else {
                throw malformed("expected \(columns.count) cells, found \(cells.count)")
            }
            return true
        }
        return false
    }

    /// A cell of the row as a number: digits, a point, an exponent; nothing else (no `inf`, no `nan`).
    public func number(_ column: Int) throws(TraceError) -> Double {
        if let value = Self.parse(bytes, cells[column]) { return value }
        throw malformed("expected a number in column '\(columns[column])', found '\(text(column))'")
    }

    /// nil for a column that is not there and for an empty cell.
    public func numberIfAny(_ column: Int?) throws(TraceError) -> Double? {
        guard let column, !cells[column].isEmpty else { return nil }
        return try number(column)
    }

    /// A cell as text, cut at 4 KiB.
    public func text(_ column: Int) -> String {
        String(decoding: bytes[cells[column].prefix(Self.longestName)], as: UTF8.self)
    }

    /// An error on this line.
    public func malformed(_ detail: String) -> TraceError {
        TraceError(.malformed, trace: name, line: line, detail)
    }

    // MARK: Lines and cells

    /// The next line without its end (`\n` or `\r\n`); nil at the end of the bytes.
    private mutating func nextLine() -> Range<Int>? {
        guard position < bytes.count else { return nil }
        let begin = position
        var end = begin
        bytes.withUnsafeBufferPointer { all in
            while end < all.count, all[end] != UInt8(ascii: "\n") { end += 1 }
        }
        position = end + 1
        line += 1
        if end > begin, bytes[end - 1] == UInt8(ascii: "\r") { end -= 1 }
        return begin..<end
    }

    private mutating func split(_ range: Range<Int>) {
        cells.removeAll(keepingCapacity: true)
        var begin = range.lowerBound
        bytes.withUnsafeBufferPointer { all in
            for index in range where all[index] == UInt8(ascii: ",") && cells.count <= Self.mostColumns {
                cells.append(begin..<index)
                begin = index + 1
            }
        }
        cells.append(begin..<range.upperBound)
    }

    private mutating func readColumns(_ range: Range<Int>) throws(TraceError) {
        split(range)
        guard cells.count <= Self.mostColumns else {
            throw malformed("more than \(Self.mostColumns) columns")
        }
        for index in cells.indices {
            let name = Self.trimmed(text(index))
            guard !name.isEmpty else { throw malformed("a column without a name") }
            guard !columns.contains(name) else { throw malformed("column '\(name)' twice") }
            columns.append(name)
        }
    }

    private mutating func readHead(_ range: Range<Int>) throws(TraceError) {
        let text = String(decoding: bytes[range.dropFirst().prefix(Self.longestName)], as: UTF8.self)
        for (index, part) in text.split(separator: ";").enumerated() {
            let halves = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if halves.count == 2 {
                head.values[Self.trimmed(halves[0])] = Self.trimmed(halves[1])
            } else if index == 0, head.format.isEmpty {
                head.format = part.split(separator: " ").first.map(String.init) ?? ""
            }
        }
        guard let speedup = head.values["speedup"] else { return }
        let cell = Array(speedup.utf8)
        guard let value = Self.parse(cell, cell.indices), value > 0, value <= 1e9 else {
            throw malformed("expected a number above 0 for 'speedup', found '\(speedup)'")
        }
        head.speedup = value
    }

    private static func trimmed(_ text: some StringProtocol) -> String {
        let space = { (character: Character) in character == " " || character == "\t" }
        return String(text.drop(while: space).reversed().drop(while: space).reversed())
    }

    /// Up to 18 digits are exact before scaling; what is longer, or has an exponent, takes the slow way.
    private static func parse(_ bytes: [UInt8], _ range: Range<Int>) -> Double? {
        var mantissa: Int64 = 0
        var digits = 0
        var decimals = 0
        var afterPoint = false
        let negative = range.lowerBound < range.upperBound && bytes[range.lowerBound] == UInt8(ascii: "-")
        for index in (negative ? range.dropFirst() : range) {
            let byte = bytes[index]
            if byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") {
                mantissa = mantissa &* 10 &+ Int64(byte &- UInt8(ascii: "0"))
                digits += 1
                if afterPoint { decimals += 1 }
            } else if byte == UInt8(ascii: "."), !afterPoint {
                afterPoint = true
            } else {
                return parseSlowly(bytes[range])
            }
        }
        guard digits > 0 else { return nil }
        guard digits <= 18 else { return parseSlowly(bytes[range]) }
        let value = Double(mantissa) / powersOfTen[decimals]
        return negative ? -value : value
    }

    private static func parseSlowly(_ cell: ArraySlice<UInt8>) -> Double? {
        let allowed = Set("0123456789+-.eE".utf8)
        guard cell.count <= 64, cell.allSatisfy(allowed.contains) else { return nil }
        guard let value = Double(String(decoding: cell, as: UTF8.self)), value.isFinite else { return nil }
        return value
    }

    private static let powersOfTen: [Double] = (0...18).map { exponent in
        (0..<exponent).reduce(1.0) { product, _ in product * 10 }
    }
}
