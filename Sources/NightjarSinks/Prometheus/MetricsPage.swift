// The page `/metrics`, written byte by byte from values that the agent passes in; nothing is registered or remembered.
//
// The page keeps to its limits whatever the host does: families come in the order of their importance, and once the
// series or bytes are used up further ones are left out and counted in `nightjar_metrics_series_dropped`. Families of one
// name are joined, series of the same labels are refused, so that a scrape is never refused as a whole.

import NightjarModel

/// One rendering of all series.
public struct MetricsPage: Sendable {
    /// How much a page may hold, however many processes, alerts and hostile names there are.
    public struct Limits: Hashable, Sendable {
        public var series = 200
        public var bytes = 32 << 10
        /// Watched processes shown one by one; the rest are summed.
        public var watched = 10
        /// Firing alerts shown one by one.
        public var alerts = 30
        /// Longest label value; names come from outside.
        public var labelBytes = 128

        public init() {}
    }

    public let limits: Limits
    private var families: [MetricFamily] = []
    private var index: [String: Int] = [:]
    private var seen: Set<SeriesKey> = []
    /// Series that found no place.
    public private(set) var dropped: Int64 = 0

    private struct SeriesKey: Hashable {
        var family: String
        var labels: [MetricFamily.Label]
    }

    public init(limits: Limits = Limits()) { self.limits = limits }

    /// Adds a family's series while there is room. A name or label that Prometheus would refuse drops the series.
    public mutating func add(_ family: MetricFamily) {
        guard Self.isName(family.name), !family.series.isEmpty else {
            dropped += Int64(family.series.count)
            return
        }
        for series in family.series { add(series, of: family) }
    }

    private mutating func add(_ series: MetricFamily.Series, of family: MetricFamily) {
        var series = series
        for position in series.labels.indices {
            series.labels[position].value = Clean.line(series.labels[position].value, limit: limits.labelBytes)
        }
        let key = SeriesKey(family: family.name, labels: series.labels)
        // One place is kept for the count of what was dropped.
        guard seen.count < limits.series - 1, series.labels.allSatisfy({ Self.isLabel($0.name) }),
            seen.insert(key).inserted
        else {
            dropped += 1
            return
        }
        if let position = index[family.name] {
            families[position].series.append(series)
        } else {
            index[family.name] = families.count
            families.append(MetricFamily(family.name, family.kind, help: family.help, [series]))
        }
    }

    public var seriesCount: Int { seen.count + 1 }

    /// The page. Cost: about 60 µs for 200 series.
    public func text(_ format: MetricsFormat = .prometheus) -> [UInt8] {
        var writer = MetricsWriter(format: format)
        var dropped = dropped
        // What is said at the very end must fit too.
        let limit = limits.bytes - 256
        for family in families { dropped += Int64(writer.write(family, limit: limit)) }
        _ = writer.write(
            MetricFamily(
                "nightjar_metrics_series_dropped", .gauge, help: "Series left out of this page to keep to its limits.",
                value: Double(dropped)), limit: limits.bytes)
        return writer.finished()
    }

    static func isName(_ text: String) -> Bool { isLabel(text, colons: true) }

    static func isLabel(_ text: String, colons: Bool = false) -> Bool {
        guard let first = text.utf8.first, !(UInt8(ascii: "0")...UInt8(ascii: "9") ~= first) else { return false }
        return text.utf8.allSatisfy { byte in
            UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte | 0x20 || UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte
                || byte == UInt8(ascii: "_") || (colons && byte == UInt8(ascii: ":"))
        }
    }
}

/// Writes families into bytes.
private struct MetricsWriter {
    let format: MetricsFormat
    private var bytes: [UInt8] = []

    init(format: MetricsFormat) {
        self.format = format
        bytes.reserveCapacity(16 << 10)
    }

    /// Answers how many series did not fit below `limit` bytes; a family of which none fits leaves no head behind.
    mutating func write(_ family: MetricFamily, limit: Int) -> Int {
        let start = bytes.count
        writeHead(family)
        var written = 0
        for series in family.series {
            let before = bytes.count
            write(series, of: family)
            guard bytes.count <= limit else {
                bytes.removeLast(bytes.count - before)
                break
            }
            written += 1
        }
        if written == 0 { bytes.removeLast(bytes.count - start) }
        return family.series.count - written
    }

    func finished() -> [UInt8] { format == .openMetrics ? bytes + Array("# EOF\n".utf8) : bytes }

    /// OpenMetrics names the family of a counter without `_total`.
    private mutating func writeHead(_ family: MetricFamily) {
        var name = family.name
        if format == .openMetrics, family.kind == .counter, name.hasSuffix("_total") { name.removeLast(6) }
        put("# HELP \(name) ")
        escape(family.help, quotes: format == .openMetrics)
        put("\n# TYPE \(name) \(family.kind.rawValue)\n")
    }

    private mutating func write(_ series: MetricFamily.Series, of family: MetricFamily) {
        put(family.name)
        for (position, label) in series.labels.enumerated() {
            put(position == 0 ? "{" : ",")
            put(label.name)
            put("=\"")
            escape(label.value, quotes: true)
            put("\"")
        }
        if !series.labels.isEmpty { put("}") }
        put(" ")
        put(Self.number(series.value))
        put("\n")
    }

    private static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value > 0 ? "+Inf" : "-Inf" }
        if value == value.rounded(), value.magnitude < 1e15 { return "\(Int64(value))" }
        return "\(value)"
    }

    private mutating func put(_ text: String) { bytes.append(contentsOf: text.utf8) }

    private mutating func escape(_ text: String, quotes: Bool) {
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\\"): put("\\\\")
            case UInt8(ascii: "\n"): put("\\n")
            case UInt8(ascii: "\""): put(quotes ? "\\\"" : "\"")
            default: bytes.append(byte)
            }
        }
    }
}
