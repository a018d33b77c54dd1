// Dispatch names its threads after the end of a root queue's label, which nobody recognises: `-qos.overcommit`.

/// Names of threads as people read them.
public enum ThreadName {
    private static let pool = ["initiated-qos", ".default-qos", ".utility-qos", "ackground-qos", "eractive-qos"]

    /// Whether a thread of this name belongs to the cooperative pool, which Swift's tasks share.
    public static func isPool(_ name: String) -> Bool { pool.contains { name.hasSuffix($0) } }

    /// `a Dispatch worker`, `a pool thread`, or the name itself.
    public static func spoken(_ name: String) -> String {
        if name.hasSuffix("qos.overcommit") { return "a Dispatch worker" }
        return isPool(name) ? "a pool thread" : name
    }
}
