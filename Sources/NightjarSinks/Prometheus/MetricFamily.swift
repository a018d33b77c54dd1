/// Series of one name, one help and one type.
public struct MetricFamily: Hashable, Sendable {
    /// The exposition format's `# TYPE`.
    public enum Kind: String, Hashable, Sendable {
        case gauge, counter
    }

    /// One series and its value now.
    public struct Series: Hashable, Sendable {
        public var labels: [Label]
        public var value: Double

        public init(_ value: Double, labels: [(String, String)] = []) {
            self.value = value
            self.labels = labels.map { Label(name: $0.0, value: $0.1) }
        }
    }

    /// One label of a series; its value may be any text.
    public struct Label: Hashable, Sendable {
        public var name: String
        public var value: String
    }

    /// With its unit, and `_total` where it is a counter: `nightjar_rounds_total`.
    public var name: String
    public var help: String
    public var kind: Kind
    public var series: [Series]

    public init(_ name: String, _ kind: Kind, help: String, _ series: [Series]) {
        self.name = name
        self.kind = kind
        self.help = help
        self.series = series
    }

    /// A family of one series without labels.
    public init(_ name: String, _ kind: Kind, help: String, value: Double) {
        self.init(name, kind, help: help, [Series(value)])
    }
}

/// The two text formats of `/metrics`.
public enum MetricsFormat: Hashable, Sendable {
    case prometheus, openMetrics

    public var contentType: String {
        switch self {
        case .prometheus: "text/plain; version=0.0.4; charset=utf-8"
        case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
        }
    }

    /// OpenMetrics for whoever asks for it at least as much as for plain text; plain text for all others.
    public static func negotiate(accept: String?) -> MetricsFormat {
        var open = 0.0
        var plain = 0.0
        for part in (accept ?? "").lowercased().split(separator: ",") {
            let pieces = part.split(separator: ";").map { $0.filter { $0 != " " && $0 != "\t" } }
            guard let type = pieces.first else { continue }
            let weight = pieces.dropFirst().first { $0.hasPrefix("q=") }.flatMap { Double($0.dropFirst(2)) } ?? 1
            switch type {
            case "application/openmetrics-text":
                let version = pieces.first { $0.hasPrefix("version=") }
                if version == nil || version == "version=1.0.0" || version == "version=0.0.1" {
                    open = max(open, weight)
                }
            case "text/plain", "text/*", "*/*": plain = max(plain, weight)
            default: break
            }
        }
        return open > 0 && open >= plain ? .openMetrics : .prometheus
    }
}
