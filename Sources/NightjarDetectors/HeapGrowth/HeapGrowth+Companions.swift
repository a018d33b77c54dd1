// What else grew while the heap did: threads, mapped files, what the allocator has handed out. It names the kind of
// growth; it never decides whether there is one.
//
// Kept are the newest values and two older ones, taken when the ring's buckets last became wider: at the age A and at
// A/2. Now being between A and 2A, the older one is half a life old or older: as long as the horizon of the evidence.

import NightjarModel

struct Companions: Hashable, Sendable {
    struct Reading: Hashable, Sendable {
        /// 0 = not read.
        var threads: UInt16 = 0
        var file = LogLevel(code: 0)
        var inUse = LogLevel(code: 0)
    }

    private(set) var newest = Reading()
    private(set) var recent = Reading()
    private(set) var oldest = Reading()

    init() {}

    init(newest: Reading, recent: Reading, oldest: Reading) {
        self.newest = newest
        self.recent = recent
        self.oldest = oldest
    }

    /// Takes what a sample knows.
    mutating func keep(_ sample: HeapSample) {
        if let threads = sample.threads { newest.threads = UInt16(clamping: threads) }
        if let file = sample.fileBacked { newest.file = LogLevel(kibibytes: Float(file.count) / 1024) }
        if let inUse = sample.inUse { newest.inUse = LogLevel(kibibytes: Float(inUse.count) / 1024) }
        if oldest == Reading() { (oldest, recent) = (newest, newest) }
    }

    /// The ring's buckets became wider.
    mutating func growOlder() {
        oldest = recent
        recent = newest
    }

    /// How many threads came; nil where they were not counted.
    var newThreads: Int? {
        oldest.threads > 0 && newest.threads > 0 ? Int(newest.threads) - Int(oldest.threads) : nil
    }

    /// How much of the allocator's memory in use came, KiB; nil without a probe.
    var newInUse: Float? {
        oldest.inUse.code > 0 && newest.inUse.code > 0 ? newest.inUse.kibibytes - oldest.inUse.kibibytes : nil
    }

    /// How much more of files is mapped, KiB.
    var newFile: Float? {
        oldest.file.code > 0 && newest.file.code > 0 ? newest.file.kibibytes - oldest.file.kibibytes : nil
    }
}
