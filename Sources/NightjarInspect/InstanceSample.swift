// What becomes of single objects between two censuses: gone, written to, or forgotten? A sample of the instances of each
// growing type is remembered by address and a hash of its contents (the reference count left out), and looked at again.

/// Remembers some instances of some types.
struct InstanceSample {
    static let perType = 256
    /// Bytes of an instance that are hashed.
    static let longest = 256

    struct Fate: Hashable {
        var seen = 0
        var gone = 0
        var touched = 0
        var goneShare: Double? { seen >= 16 ? Double(gone) / Double(seen) : nil }
        var touchedShare: Double? { seen - gone >= 16 ? Double(touched) / Double(seen - gone) : nil }
    }

    private var instances: [(key: UInt64, address: UInt64, size: UInt64, hash: UInt64)] = []

    init(_ target: Target, growing keys: [UInt64]) throws {
        var visitor = SamplingVisitor(keys)
        let walker = HeapWalker(target.memory)
        for range in try target.findHeaps() { _ = walker.walk(range, &visitor) }
        for (key, kept) in visitor.kept {
            for block in kept.blocks.prefix(Self.perType) {
                guard let hash = Self.hash(target, block.address, block.size, key) else { continue }
                instances.append((key, block.address, block.size, hash))
            }
        }
    }

    /// Nil where the block no longer begins with this metadata.
    private static func hash(_ target: Target, _ address: UInt64, _ size: UInt64, _ key: UInt64) -> UInt64? {
        let words = target.memory.words(at: address, count: Int(min(UInt64(longest), size - 8)) / 8)
        guard words.count > 2, words[0] == key else { return nil }
        return words[2...].reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ $1) &* 0x100_0000_01b3 }
    }

    /// What has become of them, by type.
    func compare(_ target: Target) throws -> [UInt64: Fate] {
        var fates: [UInt64: Fate] = [:]
        for instance in instances {
            var fate = fates[instance.key] ?? Fate()
            fate.seen += 1
            if let now = Self.hash(target, instance.address, instance.size, instance.key) {
                if now != instance.hash { fate.touched += 1 }
            } else {
                fate.gone += 1
            }
            fates[instance.key] = fate
        }
        return fates
    }
}

/// Keeps an even sample of the blocks of some types: those whose address hashes below a limit that falls as more are met.
private struct SamplingVisitor: ChunkVisitor {
    struct Kept {
        var limit = UInt64.max
        var blocks: [(address: UInt64, size: UInt64, hash: UInt64)] = []
    }
    private let keys: AddressSet
    var kept: [UInt64: Kept] = [:]

    init(_ keys: [UInt64]) {
        self.keys = AddressSet(keys)
        for key in keys { kept[key] = Kept() }
    }

    @inline(__always) mutating func used(_ address: UInt64, size: UInt64, user: UnsafeRawPointer) {
        let first = user.load(as: UInt64.self)
        if keys.contains(first) { keep(first, address, size) }
    }

    private mutating func keep(_ key: UInt64, _ address: UInt64, _ size: UInt64) {
        let hash = (address >> 4) &* 0x9E37_79B9_7F4A_7C15
        guard hash < kept[key]!.limit else { return }
        kept[key]!.blocks.append((address, size, hash))
        if kept[key]!.blocks.count >= 2 * InstanceSample.perType {
            kept[key]!.blocks.sort { $0.hash < $1.hash }
            kept[key]!.blocks.removeLast(InstanceSample.perType)
            kept[key]!.limit = kept[key]!.blocks[InstanceSample.perType - 1].hash
        }
    }

    mutating func free(_ address: UInt64, size: UInt64, isTop: Bool) {}
}
