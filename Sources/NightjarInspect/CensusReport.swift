// A census as people and machines read it. Names, counts and sizes only.

public import NightjarModel

extension Census {
    /// How rows are grouped.
    public enum Grouping: String, Hashable, Sendable, CaseIterable { case type, module, size }

    /// The contract of `nightjar heap --format json`. With an earlier census also what grew since.
    public func json(growth: [TypeGrowth]? = nil, over span: Duration? = nil) -> JSON {
        var members: [(String, JSON)] = [
            ("pid", .int(Int64(pid))), ("heap_bytes", .int(heapBytes)), ("typed_bytes", .int(typedBytes)),
            ("free_bytes", .int(freeBytes)), ("types", .array(entries.map { $0.json })),
            (
                "untyped",
                .object([
                    ("count", .int(untypedCount)), ("bytes", .int(untypedBytes)),
                    ("bookkeeping_bytes", .int(bookkeepingBytes)), ("missed_bytes", .int(missedBytes)),
                    ("sizes", .array(untyped.map { $0.json })), ("owners", .array(owners.map { $0.json })),
                ])
            ),
            ("fragmentation", fragmentation.json),
            ("heaps", .int(Int64(heaps))), ("seconds", .double(seconds)), ("bytes_read", .int(Int64(bytesRead))),
        ]
        members += pause.members
        if let growth {
            members.append(("span_s", .double(span?.seconds ?? 0)))
            members.append(("growth", .array(growth.map { $0.json })))
        }
        return .object(members)
    }

    /// The table of `nightjar heap`.
    public func table(by grouping: Grouping = .type, top: Int = 30) -> String {
        var lines = [header]
        switch grouping {
        case .type: lines += typeRows(top)
        case .module: lines += moduleRows(top)
        case .size: lines += sizeRows()
        }
        return (lines + footer).joined(separator: "\n") + "\n"
    }

    private var header: String {
        "pid \(pid): \(Bytes(heapBytes)) of heap in \(heaps) \(heaps == 1 ? "heap" : "heaps"), "
            + "\(Bytes(fragmentation.used)) in use, read in \(Columns.decimal(seconds * 1000, 0)) ms, \(pause.words)"
    }

    private func typeRows(_ top: Int) -> [String] {
        var rows = [["bytes", "share", "count", "kind", "type"]]
        for entry in entries.prefix(top) {
            rows.append(
                [
                    "\(Bytes(entry.bytes))", share(entry.bytes), "\(entry.count)", entry.type.kind.rawValue,
                    entry.type.name,
                ])
        }
        let rest = entries.dropFirst(top)
        if !rest.isEmpty {
            let (bytes, count) = rest.reduce((0, 0)) { ($0.0 + $1.bytes, $0.1 + $1.count) }
            rows.append(["\(Bytes(bytes))", share(bytes), "\(count)", "", "\(rest.count) more types"])
        }
        rows.append(["\(Bytes(untypedBytes))", share(untypedBytes), "\(untypedCount)", "", "without a Swift type"])
        // Of these, whose first word tells whose they are.
        for owner in owners.prefix(5) where owner.bytes * 100 >= heapBytes {
            rows.append(["\(Bytes(owner.bytes))", share(owner.bytes), "\(owner.count)", "", "  \(owner.name)"])
        }
        rows.append(["\(Bytes(freeBytes))", share(freeBytes), "", "", "free inside the heap"])
        return Columns.aligned(rows, left: [3, 4])
    }

    private func moduleRows(_ top: Int) -> [String] {
        var sums: [String: (bytes: Int64, count: Int64, types: Int)] = [:]
        for entry in entries {
            let sum = sums[entry.type.module] ?? (0, 0, 0)
            sums[entry.type.module] = (sum.bytes + entry.bytes, sum.count + entry.count, sum.types + 1)
        }
        var rows = [["bytes", "share", "count", "types", "module"]]
        for (module, sum) in sums.sorted(by: { ($1.value.bytes, $0.key) < ($0.value.bytes, $1.key) }).prefix(top) {
            rows.append(
                [
                    "\(Bytes(sum.bytes))", share(sum.bytes), "\(sum.count)", "\(sum.types)",
                    module.isEmpty ? "-" : module,
                ])
        }
        rows.append(["\(Bytes(untypedBytes))", share(untypedBytes), "\(untypedCount)", "", "without a Swift type"])
        rows.append(["\(Bytes(freeBytes))", share(freeBytes), "", "", "free inside the heap"])
        return Columns.aligned(rows, left: [4])
    }

    /// Blocks without a type have no name but their size, which often says enough.
    private func sizeRows() -> [String] {
        var rows = [["bytes", "share", "count", "blocks without a Swift type, up to"]]
        for group in untyped.sorted(by: { $0.bytes > $1.bytes }) {
            rows.append(["\(Bytes(group.bytes))", share(group.bytes), "\(group.count)", "\(Bytes(group.limit))"])
        }
        for owner in owners {
            rows.append(["\(Bytes(owner.bytes))", share(owner.bytes), "\(owner.count)", "among them: \(owner.name)"])
        }
        return Columns.aligned(rows, left: [3])
    }

    private func share(_ bytes: Int64) -> String {
        heapBytes == 0 ? "-" : "\(Columns.decimal(Double(bytes) * 100 / Double(heapBytes), 1)) %"
    }

    private var footer: [String] {
        var lines = [
            "typed \(Bytes(typedBytes)) + untyped \(Bytes(untypedBytes)) + free \(Bytes(freeBytes)) = "
                + "mapped \(Bytes(heapBytes)); untyped holds \(Bytes(bookkeepingBytes)) of the allocator's own"
        ]
        if missedBytes > 0 {
            lines.append("\(Bytes(missedBytes)) could not be read: the heap changed under the reader")
        }
        if let sentence = fragmentation.sentence { lines.append(sentence) }
        return lines
    }

    /// What grew, as a table.
    public static func growthTable(_ growth: [TypeGrowth], over span: Duration, top: Int = 20) -> String {
        let shown = growth.filter { $0.bytes > 0 }.prefix(top)
        if shown.isEmpty { return "nothing grew in \(span.spoken)\n" }
        var rows = [["grew by", "a second", "count", "kind", "type, in \(span.spoken)"]]
        for row in shown {
            let count = row.count > 0 ? "+\(row.count)" : "\(row.count)"
            rows.append(
                [
                    "+\(Bytes(row.bytes))", "\(Bytes(Int64(row.bytesPerSecond)))", count, row.type.kind.rawValue,
                    row.type.name,
                ])
        }
        return Columns.aligned(rows, left: [3, 4]).joined(separator: "\n") + "\n"
    }
}

extension Fragmentation {
    /// One line where the heap is mostly free, else nil.
    public var sentence: String? {
        switch verdict {
        case .inUse: nil
        case .trimmable:
            "not a leak: \(Bytes(used)) in use in \(Bytes(heap)); malloc_trim(0) could return up to \(Bytes(trimmable))"
        case .fragmented:
            "not a leak: \(Bytes(used)) in use in \(Bytes(heap)), the rest in holes too small to return "
                + "(largest \(Bytes(largestHoles.first ?? 0)), malloc_trim(0) could return \(Bytes(trimmable)))"
        }
    }

    var json: JSON {
        .object([
            ("verdict", .string(verdict.rawValue)), ("used_bytes", .int(used)), ("trimmable_bytes", .int(trimmable)),
            ("largest_holes_bytes", .array(largestHoles.map { .int($0) })),
        ])
    }
}

extension CensusEntry {
    var json: JSON {
        .object([
            ("type", .string(type.name)), ("kind", .string(type.kind.rawValue)), ("module", .string(type.module)),
            ("count", .int(count)), ("bytes", .int(bytes)),
        ])
    }
}

extension UntypedOwner {
    var json: JSON { .object([("owner", .string(name)), ("count", .int(count)), ("bytes", .int(bytes))]) }
}

extension SizeGroup {
    var json: JSON { .object([("up_to_bytes", .int(limit)), ("count", .int(count)), ("bytes", .int(bytes))]) }
}

extension TypeGrowth {
    var json: JSON {
        .object([
            ("type", .string(type.name)), ("kind", .string(type.kind.rawValue)), ("count", .int(count)),
            ("bytes", .int(bytes)), ("bytes_per_s", .double(bytesPerSecond)),
        ])
    }
}
