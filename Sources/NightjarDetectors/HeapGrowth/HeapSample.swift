public import NightjarModel

/// What HeapGrowth hears of one process life.
public struct HeapSample: Hashable, Sendable {
    public var time: Moment
    /// Anonymous memory and swap; never RSS (file mappings, shared memory), never the cgroup's total (page cache).
    public var live: Bytes
    /// Resident file mappings and shared memory: RSS without the anonymous part.
    public var fileBacked: Bytes?
    public var threads: Int?
    /// What the allocator has handed out, from the probe.
    public var inUse: Bytes?

    public init(
        time: Moment, live: Bytes, fileBacked: Bytes? = nil, threads: Int? = nil, inUse: Bytes? = nil
    ) {
        self.time = time
        self.live = live
        self.fileBacked = fileBacked
        self.threads = threads
        self.inUse = inUse
    }

    /// From a reading of `/proc`, and of the probe where there is one.
    @inlinable public init(_ sample: ProcessSample, inUse: Bytes? = nil) {
        self.init(
            time: sample.time, live: sample.anonymous + (sample.swap ?? .zero),
            fileBacked: sample.rss - sample.anonymous, threads: sample.threads, inUse: inUse)
    }
}
