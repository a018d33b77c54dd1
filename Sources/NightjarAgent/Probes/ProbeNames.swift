// A stall is told when it begins, while it lasts and when it ends, each time with the stacks that were told before. What an
// address was named the first time is kept for the next, because naming reads tables of megabytes.

import NightjarSymbols
import NightjarWire

/// Names of one process's addresses. Holds `most` of them, some hundred bytes each, and no tables.
final class ProbeNames {
    static let most = 512

    private struct Entry {
        var frames: [SymbolizedFrame]
        /// In which build of which file the address lay.
        var span: ModuleSpan
    }

    private var entries: [UInt64: Entry] = [:]
    /// How many addresses had to be looked up, and how many were known.
    private(set) var lookedUp = 0
    private(set) var known = 0
    var held: Int { entries.count }

    /// The frames at an address of `span`, from `find` where they are not known. A library that was loaded where another one
    /// lay has another span.
    func frames(at address: UInt64, in span: ModuleSpan?, _ find: () -> [SymbolizedFrame]) -> [SymbolizedFrame] {
        if let span, let entry = entries[address], entry.span == span {
            known += 1
            return entry.frames
        }
        lookedUp += 1
        let frames = find()
        guard let span else { return frames }
        if entries.count >= Self.most { entries.removeAll(keepingCapacity: true) }
        entries[address] = Entry(frames: frames, span: span)
        return frames
    }
}
