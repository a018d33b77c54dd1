// Which stored property lies at an offset of an object: the field descriptor of its class holds the names, the metadata
// record their offsets (field offset vector). Superclasses hold the fields that come first.
//
//     descriptor +16 → { type, superclass, kind u16, record size u16, count u32, { flags, type, name }… }
//     metadata + 8 × (descriptor +40) → offsets, one word a field

extension SwiftMetadata {
    static let mostFields: UInt32 = 512

    /// The name of the field of a class instance that covers `offset`; nil where metadata does not tell.
    func field(of metadata: UInt64, at offset: UInt64) -> String? {
        var best: (offset: UInt64, name: String)?
        var record: UInt64? = metadata
        for _ in 0..<Self.deepest {
            guard let here = record, here > 0x1000, let descriptor = cache.word(here + 40),
                contextKind(descriptor) == .class
            else { break }
            for (place, name) in fields(here, descriptor) where place <= offset && place >= best?.offset ?? 0 {
                best = (place, name)
            }
            record = cache.word(here + 8)
        }
        return best?.name
    }

    private func fields(_ metadata: UInt64, _ descriptor: UInt64) -> [(UInt64, String)] {
        guard let names = cache.relative(descriptor + 16), let size: UInt16 = cache.load(names + 10), size == 12,
            let count: UInt32 = cache.load(names + 12), count <= Self.mostFields,
            let vector: UInt32 = cache.load(descriptor + 40), vector < 4096,
            let flags: UInt32 = cache.load(descriptor)
        else { return [] }
        // Below a resilient superclass the vector is counted from the class's own part.
        let isResilient = flags >> 16 & 0x2000 != 0
        guard isResilient || vector > 0, let start = isResilient ? immediateMembers(descriptor) : 0 else { return [] }
        return (0..<UInt64(count)).compactMap { index in
            guard let place = cache.word(metadata + start + 8 * (UInt64(vector) + index)), place < 1 << 24,
                let text = cache.relative(names + 16 + 12 * index + 8).flatMap({ cache.string(at: $0) }),
                let name = String(validating: text, as: UTF8.self)
            else { return nil }
            return (place, name)
        }
    }
}
