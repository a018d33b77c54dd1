extension LogFileConfiguration {
    /// The same settings without contradictions: what is impossible becomes the nearest possible.
    func inOrder(path: String) -> LogFileConfiguration {
        var ordered = self
        ordered.retention = LogFileConfiguration.ordered(retention, least: 64 << 10)
        ordered.rotation = LogFileConfiguration.ordered(rotation, within: ordered.retention)
        ordered.maximumLineBytes = min(max(maximumLineBytes, 512), ordered.rotation.bytes / 2, 1 << 20)
        ordered.bufferBytes = min(max(bufferBytes, 4 * ordered.maximumLineBytes, 64 << 10), 1 << 30)
        ordered.flushInterval = min(max(flushInterval, .milliseconds(1)), .seconds(60))
        ordered.ledgerInterval = max(ledgerInterval, .milliseconds(10))
        ordered.errorFile = path.hasPrefix("/dev/") ? nil : errorFile.map { ordered.ordered($0, beside: path) }
        return ordered
    }

    private static func ordered(_ retention: Retention, least: Int) -> Retention {
        var ordered = retention
        ordered.totalBytes = max(retention.totalBytes, least)
        ordered.minimumFiles = max(0, retention.minimumFiles)
        ordered.files = retention.files.map { max(0, $0) }
        return ordered
    }

    /// One file, what is packed of it and the room to rotate fit into the budget.
    private static func ordered(_ rotation: Rotation, within retention: Retention) -> Rotation {
        var ordered = rotation
        ordered.bytes = min(max(rotation.bytes, 4 << 10), retention.totalBytes / 4)
        ordered.every = rotation.every.map { max($0, .seconds(1)) }
        return ordered
    }

    private func ordered(_ errorFile: ErrorFile, beside path: String) -> ErrorFile {
        var ordered = errorFile
        ordered.path = errorFile.path ?? LogFileConfiguration.errorPath(beside: path)
        ordered.retention = LogFileConfiguration.ordered(errorFile.retention, least: 64 << 10)
        ordered.rotation = LogFileConfiguration.ordered(errorFile.rotation, within: ordered.retention)
        ordered.reserveBytes = min(max(errorFile.reserveBytes, 0), ordered.retention.totalBytes / 4)
        ordered.memoryBytes = min(max(errorFile.memoryBytes, 4 * maximumLineBytes, 16 << 10), 1 << 28)
        return ordered
    }

    /// `checkout-error.log` beside `checkout.log`.
    static func errorPath(beside path: String) -> String {
        path.hasSuffix(".log") ? path.dropLast(4) + "-error.log" : path + "-error"
    }
}
