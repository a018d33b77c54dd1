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
        var changes: [TypeInfo: (count: Int64, bytes: Int64)] = [:]
        for key in Set(records.keys).union(earlier.records.keys) {
            let (old, new) = (earlier.records[key], records[key])
            guard let type = new?.type ?? old?.type else { continue }
            let change = changes[type] ?? (0, 0)
            changes[type] = (
                change.count + (new?.count ?? 0) - (old?.count ?? 0),
                change.bytes + (new?.bytes ?? 0) - (old?.bytes ?? 0)
            )
        }
        let growth = changes.filter { $0.value != (0, 0) }.map { type, change in
            TypeGrowth(
                type: type, count: change.count, bytes: change.bytes, bytesPerSecond: Double(change.bytes) / seconds)
        }
        return growth.sorted { ($1.bytes, $1.count, $0.type.name) < ($0.bytes, $0.count, $1.type.name) }
    }
}

extension Duration {
    var seconds: Double {
        let (seconds, attoseconds) = components
        return Double(seconds) + Double(attoseconds) / 1e18
    }
}
