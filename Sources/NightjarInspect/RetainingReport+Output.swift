public import NightjarModel

extension RetainingReport {
    /// The contract of `nightjar why --format json`.
    public var json: JSON {
        .object([
            ("pid", .int(Int64(pid))), ("type", .string(type.name)), ("count", .int(count)), ("bytes", .int(bytes)),
            (
                "chains",
                .array(
                    chains.map { chain in
                        .object([
                            ("root", .string(chain.root)), ("holds", .int(chain.holds)),
                            ("chain", .string(chain.sentence)),
                            (
                                "steps",
                                .array(
                                    chain.steps.map {
                                        .object([("name", .string($0.name)), ("count", .int($0.count))])
                                    })
                            ),
                        ])
                    })
            ),
            ("paused_ms", .int(0)), ("seconds", .double(seconds)), ("bytes_read", .int(Int64(bytesRead))),
        ])
    }

    /// What `nightjar why` prints: each chain from its root down to the instances, as one reads a leak trace.
    public var text: String {
        var lines = ["pid \(pid): \(count) × \(type.name), \(Bytes(bytes))"]
        if chains.isEmpty {
            lines.append("  no root was found within \(Retainers.deepest) steps: try nightjar leaks \(pid)")
        }
        for chain in chains {
            lines.append("")
            lines.append("  holds \(chain.holds) of them")
            lines.append("  ┬───")
            lines.append("  │ root: \(chain.root)")
            for (position, step) in chain.steps.reversed().enumerated() {
                let isLast = position == chain.steps.count - 1
                lines.append("  \(isLast ? "╰→" : "├─") \(step.name)  ×\(step.count)")
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }
}
