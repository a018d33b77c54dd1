import NightjarModel

/// One alert hides another that says less of the same thing: "memory ends in 20 minutes" hides "memory grows".
public struct Inhibition: Hashable, Sendable {
    /// How near the two must be.
    public enum Nearness: Hashable, Sendable {
        /// The same subject, pids left out.
        case subject
        /// The same subject, or both in one unit.
        case unit
    }

    public var by: String
    public var hides: String
    public var within: Nearness

    public init(by: String, hides: String, within: Nearness) {
        self.by = by
        self.hides = hides
        self.within = within
    }

    /// What Nightjar's own detectors hide of one another. Free of circles, which a test holds.
    public static let standard: [Inhibition] = [
        Inhibition(by: "MemoryExhaustion", hides: "HeapGrowth", within: .unit),
        Inhibition(by: "OutOfMemoryKill", hides: "MemoryExhaustion", within: .unit),
        // The host or a quota starves the loop: then its stall is not the application's.
        Inhibition(by: "LoopStarved", hides: "LoopStall", within: .subject),
        Inhibition(by: "LoopStarved", hides: "PoolStarvation", within: .unit),
        // A stall names the function that spins.
        Inhibition(by: "LoopStall", hides: "CPUSpin", within: .unit),
        // No free block and no free inode of one file system are one incident.
        Inhibition(by: "DiskFill", hides: "InodeFill", within: .subject),
    ]

    func joins(_ inhibitor: Subject, _ hidden: Subject) -> Bool {
        if inhibitor.identity == hidden.identity { return true }
        guard within == .unit else { return false }
        let unit = inhibitor.kind == .unit ? inhibitor.name : inhibitor.unit
        return unit != nil && unit == (hidden.kind == .unit ? hidden.name : hidden.unit)
    }
}
