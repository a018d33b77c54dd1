/// Whether memory is held by the program or only kept by its allocator.
///
/// A program whose memory stays high although it uses little is no leak: the allocator could not give the memory back,
/// because a few live blocks sit on every page, or did not want to, because nobody asked it to.
public struct Fragmentation: Hashable, Sendable {
    /// Who holds the memory.
    public enum Verdict: String, Hashable, Sendable {
        /// Most of the heap is in use.
        case inUse = "in use"
        /// Mostly free, in holes too small for whole pages: neither the program nor `malloc_trim` can return it.
        case fragmented
        /// Mostly free, and in whole pages: `malloc_trim(0)` would return it.
        case trimmable
    }

    public var used: Int64
    public var free: Int64
    public var heap: Int64
    /// Whole pages inside free chunks, at most: pages that were given back earlier are counted as well.
    public var trimmable: Int64
    /// Largest first, at most eight, the tops of the heaps left out.
    public var largestHoles: [Int64]

    /// Half of the heap, and 16 MiB, must be free before it is worth a word.
    public var verdict: Verdict {
        guard free >= 16 << 20, free * 2 >= heap else { return .inUse }
        return trimmable * 2 >= free ? .trimmable : .fragmented
    }
}
