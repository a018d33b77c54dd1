// An address of a process becomes a function: address ─▶ mapping ─▶ module (file + bias) ─▶ symbol ─▶ readable name.
//
// The file is looked for where it surely is the mapped one: /proc/PID/map_files (works for deleted files, wants a
// privilege), then the path below the process's own root (/proc/PID/root, so containers need nothing special), checked
// by device and inode, then /proc/PID/exe. A file that was replaced by a newer build is refused instead of giving wrong
// names; what has no name is `module+offset`, which the unstripped file can name later.

import Glibc

/// Which build of which file an address belongs to, and where it was loaded.
public struct ModuleReference: Hashable, Sendable {
    /// As the process calls it.
    public var path: String
    public var buildID: [UInt8]
    /// Address in memory minus address in the file.
    public var bias: UInt64

    public init(path: String, buildID: [UInt8], bias: UInt64) {
        self.path = path
        self.buildID = buildID
        self.bias = bias
    }

    /// The file's name without its folders.
    public var name: String { String(path.split(separator: "/").last ?? "") }
}

/// An address with everything that could be found out about it, or a function that was inlined there.
public struct SymbolizedFrame: Hashable, Sendable, CustomStringConvertible {
    public var address: UInt64
    public var module: ModuleReference?
    /// As the linker knows it.
    public var symbol: String?
    /// Readable: `Checkout.parse(_:)`.
    public var function: String?
    /// From the start of the function, or of the file where no function is known.
    public var offset: UInt64
    /// File name and line in this function, where the file has a line table.
    public var file: String?
    public var line: Int?
    /// The function has no frame of its own: the compiler copied it into the one that follows.
    public var isInlined: Bool

    public init(
        address: UInt64, module: ModuleReference? = nil, symbol: String? = nil, function: String? = nil,
        offset: UInt64 = 0, file: String? = nil, line: Int? = nil, isInlined: Bool = false
    ) {
        self.address = address
        self.module = module
        self.symbol = symbol
        self.function = function
        self.offset = offset
        self.file = file
        self.line = line
        self.isInlined = isInlined
    }

    /// The function, else `module+0x1234`, else the bare address.
    public var name: String {
        if let function { return function }
        guard let module else { return "0x\(String(address, radix: 16))" }
        return "\(module.name)+0x\(String(offset, radix: 16))"
    }

    /// `Checkout.parse(_:) Checkout.swift:88`, or `checkout+0x5123 (build-id 3f09a1c2)`.
    public var description: String {
        if let file, let line, line > 0 { return "\(name) \(file):\(line)" }
        guard function == nil, let module, !module.buildID.isEmpty else { return name }
        return "\(name) (build-id \(hex(module.buildID.prefix(8))))"
    }
}

func hex(_ bytes: some Sequence<UInt8>) -> String {
    bytes.reduce(into: "") { $0 += ($1 < 16 ? "0" : "") + String($1, radix: 16) }
}

/// Names the addresses of one process. For one thread at a time.
///
/// The first address in a module reads that module's symbol table (about 1 ms for 10,000 symbols), later ones cost some
/// µs. Holds at most `mostModules` tables; the least recently used one leaves.
public final class Symbolizer {
    public static let mostModules = 64
    private static let mostNames = 4096

    final class Module {
        let reference: ModuleReference
        let file: ELFFile?
        /// Where separate debug files are looked for.
        private let roots: [String]
        private lazy var separate = file.flatMap {
            SeparateDebugFile.find(for: $0, path: withoutDeleted(reference.path), roots: roots)
        }
        lazy var symbols = symbolTable()
        lazy var debug = file.flatMap { DebugInformation(of: $0) } ?? separate.flatMap { DebugInformation(of: $0) }
        var used: UInt64 = 0

        init(_ reference: ModuleReference, _ file: ELFFile?, roots: [String]) {
            self.reference = reference
            self.file = file
            self.roots = roots
        }

        /// A stripped file's own table holds what it exports; its debug file has the rest.
        private func symbolTable() -> SymbolTable? {
            let kinds = Set(Symbol.Kind.allCases)
            let own = file?.symbols(kinds)
            guard let own, !own.isStripped else { return separate?.symbols(kinds) ?? own }
            return own
        }
    }

    private struct Key: Hashable {
        var path: String
        var inode: UInt64
        var device: UInt64
    }

    private let pid: Int32?
    private let procRoot: String
    private var map: MemoryMap
    private var mapReadAt: Int = 0
    private var modules: [Key: Module] = [:]
    private var frames: [UInt64: [SymbolizedFrame]] = [:]
    private var clock: UInt64 = 0
    /// Whether debug information is read too, for lines and inlined functions (some ms a module).
    public var readsLines = true

    /// A symbolizer of `pid`, or of this process where it is nil.
    public init(pid: Int32? = nil, procRoot: String = "/proc") {
        self.pid = pid
        self.procRoot = procRoot
        map = MemoryMap.read(pid: pid, procRoot: procRoot) ?? MemoryMap(parsing: [])
        mapReadAt = secondsNow()
    }

    /// Reads the process's map anew, after a dlopen or an exec.
    public func refresh() {
        guard let fresh = MemoryMap.read(pid: pid, procRoot: procRoot) else { return }
        map = fresh
        mapReadAt = secondsNow()
        frames.removeAll(keepingCapacity: true)
    }

    /// Gives all symbol tables back; they are read again when needed.
    public func forgetTables() {
        modules = [:]
        frames = [:]
    }

    /// The function at a code address. For a caller's frame pass its return address minus one.
    public func frame(at address: UInt64) -> SymbolizedFrame {
        frames(at: address).last ?? SymbolizedFrame(address: address)
    }

    /// The function at a code address, and before it the functions that were inlined into it there, innermost first.
    public func frames(at address: UInt64) -> [SymbolizedFrame] {
        if let known = frames[address] { return known }
        let found = lookUp(address)
        if frames.count >= Self.mostNames { frames.removeAll(keepingCapacity: true) }
        frames[address] = found
        return found
    }

    /// A whole stack, with the functions that were inlined.
    public func stack(of addresses: [UInt64]) -> [SymbolizedFrame] { addresses.flatMap(frames(at:)) }

    /// The same for an address of a process that has ended: its module is looked for at the same path on this host, and
    /// names anything only where it is the same build.
    public func frames(at address: UInt64, inDepartedModule module: ModuleReference) -> [SymbolizedFrame] {
        let key = Key(path: module.path, inode: 0, device: 0)
        let known =
            modules[key]
            ?? Module(
                module,
                ELFFile(path: module.path).flatMap { $0.buildID == module.buildID && !$0.buildID.isEmpty ? $0 : nil },
                roots: [""])
        modules[key] = known
        return known.frames(at: address, readsLines: readsLines)
    }

    /// The function or object (metadata, a global) at an address, and how far into it the address lies.
    public func symbol(at address: UInt64) -> (symbol: Symbol, offset: UInt64)? {
        guard let module = loadedModule(at: address) else { return nil }
        let fileAddress = address &- module.reference.bias
        guard let symbol = module.symbols?.symbol(at: fileAddress) else { return nil }
        return (symbol, fileAddress &- symbol.address)
    }

    /// The file that an address was mapped from.
    public func module(at address: UInt64) -> ModuleReference? { loadedModule(at: address)?.reference }

    /// The same, with the piece of memory that the address lies in.
    public func span(at address: UInt64) -> (mapping: Mapping, module: ModuleReference)? {
        guard let module = loadedModule(at: address), let mapping = map.mapping(at: address) else { return nil }
        return (mapping, module.reference)
    }

    private func lookUp(_ address: UInt64) -> [SymbolizedFrame] {
        guard let module = loadedModule(at: address) else { return [SymbolizedFrame(address: address)] }
        return module.frames(at: address, readsLines: readsLines)
    }

    private func loadedModule(at address: UInt64) -> Module? {
        if map.mapping(at: address) == nil, secondsNow() != mapReadAt { refresh() }
        guard let mapping = map.mapping(at: address), mapping.path.hasPrefix("/") else { return nil }
        let key = Key(path: mapping.path, inode: mapping.inode, device: mapping.device)
        let module = modules[key] ?? load(mapping, key)
        clock += 1
        module.used = clock
        return module
    }

    private func load(_ mapping: Mapping, _ key: Key) -> Module {
        if modules.count >= Self.mostModules, let oldest = modules.min(by: { $0.value.used < $1.value.used }) {
            modules[oldest.key] = nil
        }
        let file = mappedFile(mapping, pid: pid, procRoot: procRoot)
        let bias = file?.bias(of: mapping) ?? (mapping.start &- mapping.offset)
        let root = pid.map { "\(procRoot)/\($0)/root" }
        let module = Module(
            ModuleReference(path: mapping.path, buildID: file?.buildID ?? [], bias: bias), file,
            roots: root.map { [$0, ""] } ?? [""])
        modules[key] = module
        return module
    }
}

extension Symbolizer.Module {
    func frames(at address: UInt64, readsLines: Bool) -> [SymbolizedFrame] {
        let fileAddress = address &- reference.bias
        var frame = SymbolizedFrame(address: address, module: reference, offset: fileAddress)
        if let symbol = symbols?.symbol(at: fileAddress) {
            frame.symbol = symbol.name
            frame.function = readable(symbol.name)
            frame.offset = fileAddress &- symbol.address
        }
        guard readsLines, let source = debug?.place(of: fileAddress) else { return [frame] }
        return withInlined(frame, source)
    }

    /// Every function with the place in it: the innermost where the address is, the others where they call the next.
    private func withInlined(_ frame: SymbolizedFrame, _ source: SourcePlace) -> [SymbolizedFrame] {
        var out: [SymbolizedFrame] = []
        var place = source.place
        for inlined in source.inlined.reversed() {
            out.append(
                SymbolizedFrame(
                    address: frame.address, module: reference, symbol: inlined.symbol,
                    function: inlined.symbol.map(readable), offset: frame.offset, file: place?.file, line: place?.line,
                    isInlined: true))
            place = inlined.call
        }
        var frame = frame
        frame.file = place?.file
        frame.line = place?.line
        return out.filter { $0.function != nil } + [frame]
    }

    private func readable(_ symbol: String) -> String {
        demangle(symbol).map(FunctionName.short) ?? PlainName.of(symbol)
    }

    private func withoutDeleted(_ path: String) -> String {
        let mark = " (deleted)"
        return path.hasSuffix(mark) ? String(path.dropLast(mark.utf8.count)) : path
    }
}

extension ELFFile {
    /// Address in memory minus address in the file, from one mapping of the file.
    func bias(of mapping: Mapping) -> UInt64? {
        let page: UInt64 = 4095
        let holding = segments.filter {
            mapping.offset >= $0.offset & ~page && mapping.offset < $0.offset &+ max($0.fileSize, 1)
        }
        // Two segments may share a page of the file: the mapping that begins there belongs to the later one.
        let segment =
            holding.first { $0.isExecutable == mapping.isExecutable && $0.offset & ~page == mapping.offset }
            ?? holding.last
        guard let segment else { return nil }
        return mapping.start &- (segment.address & ~page) &- (mapping.offset &- segment.offset & ~page)
    }
}

/// Opens the very file that a process has mapped; nil where it is out of reach or was replaced.
func mappedFile(_ mapping: Mapping, pid: Int32?, procRoot: String) -> ELFFile? {
    let process = "\(procRoot)/\(pid.map { "\($0)" } ?? "self")"
    if let file = ELFFile(path: "\(process)/map_files/\(mapping.linkName)") { return file }
    let inRoot = pid == nil ? mapping.path : "\(process)/root\(mapping.path)"
    for path in [inRoot, "\(process)/exe"] {
        if let file = ELFFile(path: path), file.isSame(as: mapping) { return file }
    }
    return nil
}

extension ELFFile {
    /// Inodes are compared, devices are not: overlay and btrfs report others in maps than in stat.
    func isSame(as mapping: Mapping) -> Bool {
        var status = stat()
        return fstat(descriptor, &status) == 0 && UInt64(status.st_ino) == mapping.inode
    }
}

extension ELFFile {
    /// Both are open on one file.
    func isSameFile(as other: ELFFile) -> Bool {
        var (mine, theirs) = (stat(), stat())
        return fstat(descriptor, &mine) == 0 && fstat(other.descriptor, &theirs) == 0 && mine.st_ino == theirs.st_ino
            && mine.st_dev == theirs.st_dev
    }
}

private func secondsNow() -> Int {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC_COARSE, &time)
    return time.tv_sec
}
