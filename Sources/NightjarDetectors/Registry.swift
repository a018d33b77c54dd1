public import NightjarModel

/// Every detector, by its card. Help, tables, dashboards, alert rules and the message catalog are written from this list.
public enum DetectorRegistry {
    /// In the order of `detectors` in Package.swift, which is the order of tables.
    public static let all: [DetectorCard] = [
        HeapGrowth.card,
        MemoryExhaustion.card,
        OutOfMemoryKill.card,
        DescriptorLeak.card,
        ThreadLeak.card,
        CPUSpin.card,
        DiskFill.card,
        InodeFill.card,
        LogFlood.card,
        LoopStall.card,
        LoopStarved.card,
        PoolStarvation.card,
    ]

    /// The card of that name, as on the card itself: `DescriptorLeak`.
    public static func card(named name: String) -> DetectorCard? { all.first { $0.name == name } }
}
