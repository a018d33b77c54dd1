import NightjarModel

@testable import NightjarInspect

/// A heap of glibc's, made by hand at any address: the walker and the finder cannot tell it from a real one.
struct FakeHeap {
    private(set) var bytes: [UInt8] = []
    let start: UInt64
    private var previousInUse = true

    init(at start: UInt64) { self.start = start }

    var end: UInt64 { start + UInt64(bytes.count) }

    mutating func word(_ value: UInt64) { bytes += (0..<8).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) } }
    mutating func zeros(_ count: Int) { bytes += [UInt8](repeating: 0, count: count) }
    mutating func set(_ offset: Int, _ value: UInt64) {
        for index in 0..<8 { bytes[offset + index] = UInt8(truncatingIfNeeded: value >> (index * 8)) }
    }

    /// A chunk of `size` bytes with its first words; answers the address of its user bytes.
    @discardableResult mutating func chunk(_ size: Int, _ words: [UInt64] = [], inUse: Bool = true, flags: UInt64 = 0)
        -> UInt64
    {
        word(0)
        word(UInt64(size) | flags | (previousInUse ? 1 : 0))
        let user = end
        for value in words { word(value) }
        zeros(size - 16 - words.count * 8)
        previousInUse = inUse
        return user
    }

    /// heap_info and malloc_state of an arena's first heap, as big as `header` says.
    mutating func arenaHeader(info: Int, header: Int, size: UInt64) {
        for value in [start + UInt64(info), 0, size, size] { word(value) }
        zeros(header - 32)
    }

    /// What remains up to `size` bytes becomes the top chunk.
    mutating func top(upTo size: Int) { chunk(size - bytes.count) }
}

/// A target that consists of the given heaps, each its own mapping or a part of one.
func target(_ heaps: [FakeHeap], maps: String) -> Target {
    let map = TargetMap(text: Array(maps.utf8))
    return Target(
        map: map, memory: RecordedImage(map: map, pieces: heaps.map { ($0.start, $0.bytes) }))
}

/// Collects what a walk tells.
struct Collector: ChunkVisitor {
    var used: [UInt64] = []
    var free: [UInt64] = []
    var top: UInt64 = 0

    mutating func used(_ address: UInt64, size: UInt64, user: UnsafeRawPointer) { used.append(size) }
    mutating func free(_ address: UInt64, size: UInt64, isTop: Bool) {
        if isTop { top = size } else { free.append(size) }
    }
}
