public import NightjarModel

extension LeakReport {
    /// The contract of `nightjar leaks --format json`.
    public var json: JSON {
        .object(members + pause.members)
    }

    private var members: [(String, JSON)] {
        [
            ("pid", .int(Int64(pid))),
            (
                "unreachable",
                .array(
                    unreachable.map { row in
                        .object([
                            ("type", .string(row.type.name)), ("kind", .string(row.type.kind.rawValue)),
                            ("count", .int(row.count)), ("bytes", .int(row.bytes)),
                            ("cycle", .array(row.cycle.map { .string($0) })),
                        ])
                    })
            ),
            ("untyped", .object([("count", .int(untypedCount)), ("bytes", .int(untypedBytes))])),
            ("heap_bytes", .int(heapBytes)), ("seconds", .double(seconds)), ("bytes_read", .int(Int64(bytesRead))),
        ]
    }

    /// What `nightjar leaks` prints: the sum, each cycle with its types, then what hangs from them.
    public var text: String {
        var lines = [headline]
        var cycles: [[String]] = []
        for row in unreachable where !row.cycle.isEmpty && !cycles.contains(row.cycle) { cycles.append(row.cycle) }
        for cycle in cycles {
            lines.append("")
            lines.append("  cycle: " + (cycle + [cycle[0]]).joined(separator: " → "))
            lines += rows(unreachable.filter { $0.cycle == cycle })
        }
        let others = unreachable.filter { $0.cycle.isEmpty }
        if !others.isEmpty {
            lines.append("")
            lines.append(
                cycles.isEmpty
                    ? "  in no cycle: retained and never released"
                    : "  in no cycle: held by the above, or retained and never released")
            lines += rows(others)
        }
        if untypedCount > 0 {
            lines.append("")
            lines.append("  beside them \(untypedCount) blocks without a Swift type, \(Bytes(untypedBytes))")
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private var headline: String {
        let work = "\(Bytes(heapBytes)) of heap searched in \(Columns.decimal(seconds, 2)) s, \(pause.words)"
        if unreachable.isEmpty { return "pid \(pid): nothing is unreachable (\(work))" }
        let (count, bytes) = unreachable.reduce((0, 0)) { ($0.0 + $1.count, $0.1 + $1.bytes) }
        return "pid \(pid): \(count) objects are unreachable, \(Bytes(bytes)) (\(work))"
    }

    private func rows(_ rows: [UnreachableType]) -> [String] {
        Columns.aligned(
            rows.map { ["   \($0.count)", "\(Bytes($0.bytes))", $0.type.kind.rawValue, $0.type.name] }, left: [2, 3])
    }
}

extension Pause {
    /// How an answer in JSON tells of it.
    var members: [(String, JSON)] {
        [("paused_ms", .double(seconds * 1000)), ("snapshot", .string(way?.rawValue ?? "none"))]
            + (reason.map { [("no_copy_because", .string($0))] } ?? [])
    }
}
