// The study as the agent reads it: one fact a line, fields separated by tabs, because that is read in ten lines of code
// and the agent holds no JSON parser. Names are cleaned of what would break a line.
//
//     study   pid  verdict  span_s  heap_bytes  used_bytes  free_bytes  trimmable_bytes  paused_ms
//     type    name  kind  count  bytes  count_growth  byte_growth  bytes_per_s  steady  gone  touched  held  held_by

extension GrowthStudy {
    /// The study in lines.
    public var lines: String {
        let head: [String] = [
            "study", "\(pid)", verdict.rawValue, "\(span.seconds)", "\(last.heapBytes)", "\(last.fragmentation.used)",
            "\(last.freeBytes)", "\(last.fragmentation.trimmable)", "\(last.pause.seconds * 1000)",
        ]
        var rows = [head]
        // The one to speak of stands first.
        let culprit = culprit
        for type in [culprit].compactMap(\.self) + growing.filter({ $0 != culprit }) { rows.append(Self.row(type)) }
        return rows.map { $0.map(Self.clean).joined(separator: "\t") + "\n" }.joined()
    }

    private static func row(_ type: GrowingType) -> [String] {
        [
            "type", type.type.name, type.type.kind.rawValue, "\(type.count)", "\(type.bytes)", "\(type.countGrowth)",
            "\(type.byteGrowth)", "\(type.bytesPerSecond)", type.steady ? "1" : "0", type.gone.map { "\($0)" } ?? "",
            type.touched.map { "\($0)" } ?? "", "\(max(type.chain?.holds ?? 0, type.unreachable))", type.heldBy ?? "",
        ]
    }

    private static func clean(_ text: String) -> String {
        String(text.map { $0.isNewline || $0 == "\t" ? " " : $0 })
    }
}
