/// What one type gained or lost between two censuses.
public struct TypeGrowth: Hashable, Sendable {
    public var type: TypeInfo
    public var count: Int64
    public var bytes: Int64
    public var bytesPerSecond: Double

    public init(type: TypeInfo, count: Int64, bytes: Int64, bytesPerSecond: Double) {
        self.type = type
        self.count = count
        self.bytes = bytes
        self.bytesPerSecond = bytesPerSecond
    }
}

extension Census {
    /// What grew and what shrank from `earlier` to this one, the fastest growth first; what did not change is left out.
    public func growth(since earlier: Census, over span: Duration) -> [TypeGrowth] {
        let seconds = max(span.seconds, 0.001)
        var before: [TypeInfo: CensusEntry] = [:]
        for entry in earlier.entries { before[entry.type] = entry }
        var growth: [TypeGrowth] = []
        func note(_ type: TypeInfo, _ count: Int64, _ bytes: Int64) {
            if count == 0, bytes == 0 { return }
            growth.append(
                TypeGrowth(type: type, count: count, bytes: bytes, bytesPerSecond: Double(bytes) / seconds))
        }
        for entry in entries {
            let old = before.removeValue(forKey: entry.type)
            note(entry.type, entry.count - (old?.count ?? 0), entry.bytes - (old?.bytes ?? 0))
        }
        for (type, old) in before { note(type, -old.count, -old.bytes) }
        return growth.sorted { ($1.bytes, $1.count, $0.type.name) < ($0.bytes, $0.count, $1.type.name) }
    }
}

extension Duration {
    var seconds: Double {
        let (seconds, attoseconds) = components
        return Double(seconds) + Double(attoseconds) / 1e18
    }
}
