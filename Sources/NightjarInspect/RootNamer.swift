/// Names for the places where chains begin.
final class RootNamer {
    private let target: Target

    init(_ target: Target) { self.target = target }

    /// `global checkout.emitter`, `global of libfoo.so`, `stack of main in serve(_:)`, `thread-local or mapped memory`.
    func name(_ root: RootRegion, _ place: UInt64) -> String {
        switch root.kind {
        case .globals:
            if let symbol = target.symbols?.global(at: place) { return "global \(symbol)" }
            return "global of \(file(of: place) ?? "the program")"
        case .stack(let thread):
            let name = Threads.name(target.pid, thread: thread, target.procRoot)
            let function = function(below: place, from: root.start)
            return "stack of \(name.isEmpty ? "thread" : name)" + (function.map { " in \($0)" } ?? "")
        case .other:
            return "thread-local or mapped memory"
        }
    }

    /// The file whose data lies there. bss has no name of its own: it follows its file's data.
    private func file(of place: UInt64) -> String? {
        guard var position = target.map.regions.firstIndex(where: { $0.contains(place) }) else { return nil }
        while position > 0, target.map.regions[position].path.isEmpty,
            target.map.regions[position - 1].end == target.map.regions[position].start
        {
            position -= 1
        }
        return target.map.regions[position].path.split(separator: "/").last.map(String.init)
    }

    /// Whose frame holds a place on a stack: the return address next below it leads back into that function. A stale
    /// one can mislead, so this is a good guess and no more.
    private func function(below place: UInt64, from start: UInt64) -> String? {
        let low = max(start, place > 65_536 ? place - 65_536 : 0)
        let words = target.memory.words(at: low, count: Int((place - low) / 8))
        for word in words.reversed() where word > 0x1000 && word < 1 << 47 {
            guard target.map.region(at: word)?.executable == true, let name = target.symbols?.function(at: word - 1)
            else {
                continue
            }
            return name
        }
        return nil
    }
}
