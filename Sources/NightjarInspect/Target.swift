// The process under examination: its map, its memory, its symbols, and who it is. Opening one checks what can be checked
// before anything is read, so that "cannot" is one sentence and comes at once.

import Glibc
import NightjarSymbols

/// A process, or a recorded image of one, that can be examined.
public final class Target {
    public let pid: Int32
    let map: TargetMap
    let memory: any TargetMemory
    let metadata: SwiftMetadata
    let symbols: (any SymbolNaming)?
    let budget: Budget
    let procRoot: String
    let touched: (any TouchedPages)?
    private let identity: Identity?

    struct Identity: Hashable {
        var startTime: ArraySlice<UInt8>
        var executable: String
    }

    /// A live process. Throws a sentence where it is gone, may not be read, or has no heap that we know.
    /// `startTime` (clock ticks after boot) says which life of the pid is meant.
    public init(pid: Int32, startTime: UInt64? = nil, procRoot: String = "/proc", budget: Budget = Budget()) throws {
        self.pid = pid
        self.budget = budget
        self.procRoot = procRoot
        guard pid > 0, let identity = Self.identity(pid, procRoot) else {
            throw InspectError(.gone, "there is no process \(pid); nightjar ps lists those that run")
        }
        if let startTime, String(decoding: identity.startTime, as: UTF8.self) != "\(startTime)" {
            throw InspectError(.gone, "process \(pid) ended, and its number belongs to another one now")
        }
        self.identity = identity
        map = try Self.readMap(pid, procRoot)
        memory = LiveMemory(pid: pid)
        metadata = SwiftMetadata(memory: memory, map: map)
        symbols = ProcessSymbols(pid: pid, procRoot: procRoot)
        touched = Pagemap(pid: pid, procRoot: procRoot)
        try checkReadable()
    }

    /// A recorded image, or any other memory.
    init(
        map: TargetMap, memory: any TargetMemory, pid: Int32 = 0, symbols: (any SymbolNaming)? = nil,
        touched: (any TouchedPages)? = nil, budget: Budget = Budget()
    ) {
        self.pid = pid
        self.map = map
        self.memory = memory
        self.symbols = symbols
        self.budget = budget
        procRoot = "/proc"
        metadata = SwiftMetadata(memory: memory, map: map)
        self.touched = touched
        identity = nil
    }

    /// The same process at the moment of a snapshot.
    init(_ snapshot: Snapshot) {
        let live = snapshot.target
        (pid, procRoot, budget, symbols, identity) = (live.pid, live.procRoot, live.budget, live.symbols, live.identity)
        (map, memory, touched) = (snapshot.map, snapshot.memory, snapshot.touched)
        metadata = SwiftMetadata(memory: memory, map: map)
    }

    /// A running process, not a recorded image.
    var isLive: Bool { identity != nil }

    /// The map as it is now.
    func currentMap() throws -> TargetMap { try Self.readMap(pid, procRoot) }

    private static func readMap(_ pid: Int32, _ procRoot: String) throws -> TargetMap {
        let path = "\(procRoot)/\(pid)/maps"
        let (text, failure) = readFile(path, limit: 64 << 20)
        if failure == EACCES || failure == EPERM { throw refusal(pid) }
        let map = TargetMap(text: text)
        if map.regions.isEmpty {
            throw InspectError(.gone, "process \(pid) has no memory of its own: it ended, or it belongs to the kernel")
        }
        return map
    }

    static func refusal(_ pid: Int32) -> InspectError {
        InspectError(
            .notPermitted,
            "may not read the memory of process \(pid): run as its user (kernel.yama.ptrace_scope 0) or with CAP_SYS_PTRACE"
        )
    }

    /// Reads one word of the first readable mapping: the only way to know whether we may.
    private func checkReadable() throws {
        guard let region = map.regions.first(where: { $0.readable && $0.path != "[vvar]" }) else { return }
        var probe: UInt64 = 0
        let got = withUnsafeMutableBytes(of: &probe) { memory.read(region.start, into: $0) }
        if got == 8 { return }
        if (memory as? LiveMemory)?.lastError == EPERM { throw Self.refusal(pid) }
        throw InspectError(.gone, "process \(pid) ended before it could be read")
    }

    /// After the reading: the same process, running the same program?
    func checkStillThere() throws {
        guard let identity else { return }
        guard let now = Self.identity(pid, procRoot), now.startTime == identity.startTime else {
            throw InspectError(.gone, "process \(pid) ended while it was read")
        }
        if now.executable != identity.executable {
            throw InspectError(.replaced, "process \(pid) became another program while it was read: try again")
        }
    }

    /// Start time (field 22 of stat) and executable. A zombie has no executable and counts as gone.
    private static func identity(_ pid: Int32, _ procRoot: String) -> Identity? {
        let (text, _) = readFile("\(procRoot)/\(pid)/stat", limit: 4096)
        guard let close = text.lastIndex(of: UInt8(ascii: ")")) else { return nil }
        let fields = text[(close + 1)...].split(separator: UInt8(ascii: " "))
        guard fields.count > 19, fields[0].first != UInt8(ascii: "Z") else { return nil }
        return Identity(startTime: fields[19], executable: link("\(procRoot)/\(pid)/exe"))
    }

    private static func link(_ path: String) -> String {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = buffer.withUnsafeMutableBytes { readlink(path, $0.baseAddress!, $0.count) }
        return String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
    }

    /// The heaps, or the reason why there are none.
    func findHeaps() throws -> [HeapRange] {
        if let other = otherAllocator() {
            throw InspectError(
                .otherAllocator,
                "process \(pid) uses \(other): its blocks cannot be told apart from outside, only glibc's can; "
                    + "use the sampled heap profile of the probe")
        }
        let ranges = HeapFinder(memory: memory, map: map, touched: touched).find()
        if ranges.isEmpty {
            try checkStillThere()
            throw InspectError(
                .otherAllocator,
                "process \(pid) has no heap of glibc's malloc: another allocator, another libc, or nothing allocated yet"
            )
        }
        return ranges
    }

    /// Allocators that are known by the name of their library.
    private func otherAllocator() -> String? {
        for region in map.regions where region.executable {
            let file = region.path.split(separator: "/").last.map(String.init) ?? ""
            for name in ["jemalloc", "tcmalloc", "mimalloc", "libsnmalloc", "libhoard", "libscudo"]
            where file.contains(name) { return "\(name) (\(file))" }
            if file.hasPrefix("ld-musl") { return "musl's allocator (\(file))" }
        }
        return nil
    }
}

/// A whole small file, or the errno that it could not be read with.
func readFile(_ path: String, limit: Int) -> ([UInt8], Int32) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return ([], errno) }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 65_536)
    while bytes.count < limit {
        let got = read(descriptor, &piece, piece.count)
        if got < 0 { return (bytes, errno) }
        if got == 0 { break }
        bytes += piece[..<got]
    }
    return (bytes, 0)
}
