// From the first word of a block to the name of its type. The first word of every Swift object points to metadata;
// the metadata's own first word says what it is:
//
//     0       class          → +40 descriptor → context chain: name, parent, …, module; generic arguments in the record
//     0x400   closure context or box     → +16 capture descriptor: the types that it holds
//     0x500   generic box                → +16 the type's metadata
//     0x501   error box                  → +16 *of the block*: the error's metadata
//     0x502   task                       → the function that it will resume
//
// The block may hold anything, so a candidate must survive several independent checks before it is called a type:
// alignment, kind, sizes within limits, a destroyer that lies in executable memory, a descriptor of the right kind whose
// chain of parents ends in a module. (Layout: swift/ABI/Metadata.h and MetadataKind.def; stable in practice on Linux.)

/// Names metadata records of the target.
final class SwiftMetadata {
    /// Generic arguments in arguments in arguments … deeper is written `…`.
    static let deepest = 12
    /// Longest name that leaves this reader.
    static let longestName = 400

    let cache: PageCache
    let map: TargetMap
    private var names: [UInt64: String?] = [:]

    init(memory: any TargetMemory, map: TargetMap) {
        cache = PageCache(memory)
        self.map = map
    }

    /// The kinds of metadata that objects on the heap may begin with.
    enum HeapKind: Hashable {
        case `class`, context, genericBox, errorBox, task
    }

    /// What the record at `address` is, if it is the metadata of heap objects.
    func heapKind(_ address: UInt64) -> HeapKind? {
        guard address % 8 == 0, address >= 0x1000, address < 1 << 47, let first = cache.word(address) else {
            return nil
        }
        switch first {
        case 0: return isClass(address) ? .class : nil
        case 0x400: return destroys(address) && isContext(address) ? .context : nil
        case 0x500: return destroys(address) && cache.word(address + 16) != nil ? .genericBox : nil
        case 0x501: return destroys(address) ? .errorBox : nil
        case 0x502: return destroys(address) ? .task : nil
        default: return nil
        }
    }

    /// Heap metadata has its destroyer two words before: a function.
    private func destroys(_ address: UInt64) -> Bool {
        guard let destroyer = cache.word(address - 16) else { return false }
        return map.region(at: destroyer)?.executable == true
    }

    private func isClass(_ address: UInt64) -> Bool {
        guard let description = cache.word(address + 40), description % 4 == 0, description > 0x1000,
            let size: UInt32 = cache.load(address + 24), size >= 16, size < 1 << 20,
            let alignMask: UInt16 = cache.load(address + 28), alignMask < 4096, (alignMask & (alignMask + 1)) == 0,
            let kind = contextKind(description), kind == .class, destroys(address)
        else { return false }
        return contextName(description) != nil
    }

    /// A capture descriptor with a believable number of captures; a context without one is believed where its record
    /// lies in a file.
    private func isContext(_ address: UInt64) -> Bool {
        guard let offset: UInt32 = cache.load(address + 8), offset < 1 << 16 else { return false }
        guard let descriptor = cache.word(address + 16), descriptor != 0 else {
            return map.region(at: address)?.anonymous == false
        }
        guard let captures: UInt32 = cache.load(descriptor) else { return false }
        return captures < 4096 && map.region(at: descriptor)?.anonymous == false
    }

    // MARK: Context chain

    enum ContextKind: UInt32 {
        case module = 0, `extension`, anonymous, `protocol`, opaque, `class` = 16, `struct`, `enum`
    }

    func contextKind(_ descriptor: UInt64) -> ContextKind? {
        guard let flags: UInt32 = cache.load(descriptor) else { return nil }
        return ContextKind(rawValue: flags & 31)
    }

    private var contexts: [UInt64: [String]?] = [:]

    /// Module first: `["zoo", "Outer", "Inner"]`.
    func contextPath(_ descriptor: UInt64, depth: Int = 0) -> [String]? {
        if let known = contexts[descriptor] { return known }
        let found = readContextPath(descriptor, depth: depth)
        contexts[descriptor] = found
        return found
    }

    private func readContextPath(_ descriptor: UInt64, depth: Int) -> [String]? {
        guard depth < Self.deepest, let kind = contextKind(descriptor) else { return nil }
        let parent = cache.relativeIndirectable(descriptor + 4)
        switch kind {
        case .module:
            return identifier(descriptor + 8).map { [$0] }
        case .anonymous:
            return parent.flatMap { contextPath($0, depth: depth + 1) }
        case .extension:
            if let extended = cache.relative(descriptor + 8), let path = extendedPath(extended, depth: depth) {
                return path
            }
            return parent.flatMap { contextPath($0, depth: depth + 1) }
        case .class, .struct, .enum, .protocol:
            guard let parent, let path = contextPath(parent, depth: depth + 1), let name = identifier(descriptor + 8)
            else { return nil }
            return path + [name]
        case .opaque:
            return parent.flatMap { contextPath($0, depth: depth + 1) }
        }
    }

    /// An extension names what it extends by a mangled type, usually one reference.
    private func extendedPath(_ mangled: UInt64, depth: Int) -> [String]? {
        guard let first = cache.byte(at: mangled), first == 1 || first == 2 else { return nil }
        let target = first == 1 ? cache.relative(mangled + 1) : cache.relative(mangled + 1).flatMap { cache.word($0) }
        return target.flatMap { contextPath($0, depth: depth + 1) }
    }

    /// A name that a Swift compiler could have written.
    private func identifier(_ address: UInt64) -> String? {
        guard let place = cache.relative(address), let bytes = cache.string(at: place),
            bytes.allSatisfy({ $0 >= 0x20 && $0 != 0x7f }),
            let text = String(validating: bytes, as: UTF8.self)
        else { return nil }
        return text
    }

    func contextName(_ descriptor: UInt64) -> String? { contextPath(descriptor)?.joined(separator: ".") }

    // MARK: Types

    /// The name of any metadata record, with its generic arguments.
    func typeName(_ address: UInt64, depth: Int = 0) -> String? {
        if let known = names[address] { return known }
        guard depth < Self.deepest else { return "…" }
        let found = readTypeName(address, depth: depth).map(Self.cut)
        names[address] = .some(found)
        return found
    }

    static func cut(_ name: String) -> String {
        name.utf8.count <= longestName ? name : String(name.prefix(longestName)) + "…"
    }

    private func readTypeName(_ address: UInt64, depth: Int) -> String? {
        guard address % 8 == 0, let kind = cache.word(address) else { return nil }
        switch kind {
        case 0: return className(address, depth)
        case 0x200, 0x201, 0x202, 0x203: return valueName(address, depth)
        case 0x300: return opaqueName(address)
        case 0x301: return tupleName(address, depth)
        case 0x302: return functionName(address, depth)
        case 0x303: return existentialName(address, depth)
        case 0x304: return typeName(cache.word(address + 8) ?? 0, depth: depth + 1).map { "\($0).Type" }
        case 0x306: return "any Type"
        default: return nil
        }
    }

    private func className(_ address: UInt64, _ depth: Int) -> String? {
        guard let descriptor = cache.word(address + 40), contextKind(descriptor) == .class,
            let name = contextName(descriptor)
        else { return nil }
        guard let flags: UInt32 = cache.load(descriptor), flags & 0x80 != 0,
            let parameters: UInt16 = cache.load(descriptor + 52), let offset = immediateMembers(descriptor)
        else { return name }
        return name + arguments(at: address &+ offset, count: Int(parameters), depth)
    }

    /// Where a class's own part of its metadata begins, in bytes. Its superclass may come from a library that can change
    /// by itself: then the place is known at run time only, and the descriptor points to where the runtime noted it.
    func immediateMembers(_ descriptor: UInt64) -> UInt64? {
        guard let flags: UInt32 = cache.load(descriptor) else { return nil }
        if flags >> 16 & 0x2000 != 0 {
            guard let bounds = cache.relative(descriptor + 24), let offset = cache.word(bounds), offset % 8 == 0,
                offset >= 16, offset < 1 << 15
            else { return nil }
            return offset
        }
        guard let size: UInt32 = cache.load(descriptor + 28), let own: UInt32 = cache.load(descriptor + 32),
            size >= own, size < 4096
        else { return nil }
        return 8 * UInt64(size - own)
    }

    private func valueName(_ address: UInt64, _ depth: Int) -> String? {
        guard let descriptor = cache.word(address + 8), let name = contextName(descriptor) else { return nil }
        guard let flags: UInt32 = cache.load(descriptor), flags & 0x80 != 0,
            let parameters: UInt16 = cache.load(descriptor + 36)
        else { return name }
        return name + arguments(at: address + 16, count: Int(parameters), depth)
    }

    private func arguments(at address: UInt64, count: Int, _ depth: Int) -> String {
        guard count > 0, count <= 16 else { return "" }
        let names = (0..<count).map { index in
            cache.word(address + 8 * UInt64(index)).flatMap { typeName($0, depth: depth + 1) } ?? "_"
        }
        return "<\(names.joined(separator: ", "))>"
    }

    private func tupleName(_ address: UInt64, _ depth: Int) -> String? {
        guard let count = cache.word(address + 8), count <= 32 else { return nil }
        let names = (0..<count).map { index in
            cache.word(address + 24 + 16 * index).flatMap { typeName($0, depth: depth + 1) } ?? "_"
        }
        return "(\(names.joined(separator: ", ")))"
    }

    /// Flags: number of parameters in the low bits; then the result and the parameters.
    private func functionName(_ address: UInt64, _ depth: Int) -> String? {
        guard let flags = cache.word(address + 8), flags & 0xffff <= 16 else { return nil }
        let parameters = (0..<(flags & 0xffff)).map { index in
            cache.word(address + 24 + 8 * index).flatMap { typeName($0, depth: depth + 1) } ?? "_"
        }
        let result = cache.word(address + 16).flatMap { typeName($0, depth: depth + 1) } ?? "_"
        return "(\(parameters.joined(separator: ", "))) -> \(result)"
    }

    private func existentialName(_ address: UInt64, _ depth: Int) -> String? {
        guard let flags: UInt32 = cache.load(address + 8), let count: UInt32 = cache.load(address + 12), count <= 16
        else {
            return nil
        }
        if count == 0 { return flags & 0x8000_0000 == 0 ? "AnyObject" : "Any" }
        let hasSuperclass = flags & 0x4000_0000 != 0
        let first = address + 16 + (hasSuperclass ? 8 : 0)
        let names = (0..<UInt64(count)).map { index in
            cache.word(first + 8 * index).flatMap { contextName($0) } ?? "_"
        }
        return "any " + names.joined(separator: " & ")
    }

    /// Builtin types are named by where they are in the runtime; the common ones have a size that tells.
    private func opaqueName(_ address: UInt64) -> String? { "Builtin" }

    /// Whether a class descriptor says "actor".
    func isActor(_ metadata: UInt64) -> Bool {
        guard let descriptor = cache.word(metadata + 40), let flags: UInt32 = cache.load(descriptor) else {
            return false
        }
        return flags >> 16 & (1 << 7) != 0
    }
}
