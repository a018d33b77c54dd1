public import NightjarModel

/// A folder that looks like `/proc`, made of real files, so that readers run unchanged.
///
///     let proc = try FakeProc {
///         process(4242, comm: ") R 1 (", rss: .mebi(64))
///         process(7, vanishesAfter: .stat)
///     }
///
/// Files are rewritten in place: a reader that keeps them open sees what changed. A process that ends leaves its open
/// files empty, and its folder is removed.
public final class FakeProc {
    private let folder = TemporaryFolder()
    private var pids: Set<Int32> = []
    /// To be given to a reader.
    public var root: String { folder.path }

    /// With the processes and files in the braces.
    public init(@Entries _ entries: () -> [any FakeProcEntry] = { [] }) {
        folder.write("uptime", "100000.00 200000.00\n")
        folder.write("self/schedstat", "1000000 0 1\n")
        for entry in entries() { entry.write(to: self) }
        if pids.isEmpty { setLastPID(1) }
    }

    /// Adds a process, or rewrites it as it is now.
    public func set(_ process: FakeProcess) {
        for (name, bytes) in process.files { folder.write("\(process.pid)/\(name)", bytes) }
        for name in process.missing { folder.remove("\(process.pid)/\(name)") }
        if process.commandLineNeverAnswers { folder.makeSilent("\(process.pid)/cmdline") }
        folder.makeFolder("\(process.pid)/fd")
        if !pids.contains(process.pid) {
            for number in 0..<process.descriptors { folder.write("\(process.pid)/fd/\(number)", "") }
            pids.insert(process.pid)
            setLastPID(process.pid)
        }
    }

    /// Ends it: whoever still has its files open reads nothing any more.
    public func end(_ pid: Int32) {
        for name in FakeProcess.File.allCases { folder.write("\(pid)/\(name.rawValue)", "") }
        folder.remove("\(pid)")
        pids.remove(pid)
    }

    /// The last pid that was given out, as `loadavg` says it.
    public func setLastPID(_ pid: Int32, load: String = "0.13 0.19 0.12") {
        folder.write("loadavg", "\(load) 1/94 \(pid)\n")
    }

    /// Any other file: `meminfo`, `pressure/memory`, `4242/limits`.
    public func write(_ name: String, _ text: String) { folder.write(name, text) }
    /// A file that nobody ever answers: whoever opens it waits.
    public func makeSilent(_ name: String) { folder.makeSilent(name) }
    /// Removes a file or folder below.
    public func remove(_ name: String) { folder.remove(name) }

    @resultBuilder public enum Entries {
        public static func buildExpression(_ entry: any FakeProcEntry) -> [any FakeProcEntry] { [entry] }
        /// What the list may hold: entries, loops and conditions.
        public static func buildBlock(_ entries: [any FakeProcEntry]...) -> [any FakeProcEntry] {
            entries.flatMap(\.self)
        }
        public static func buildArray(_ entries: [[any FakeProcEntry]]) -> [any FakeProcEntry] {
            entries.flatMap(\.self)
        }
        public static func buildOptional(_ entries: [any FakeProcEntry]?) -> [any FakeProcEntry] { entries ?? [] }
        public static func buildEither(first: [any FakeProcEntry]) -> [any FakeProcEntry] { first }
        public static func buildEither(second: [any FakeProcEntry]) -> [any FakeProcEntry] { second }
    }
}

/// Something that can stand in the list of a `FakeProc`.
public protocol FakeProcEntry {
    func write(to proc: FakeProc)
}

/// A file of the host in a `FakeProc`.
public struct FakeFile: FakeProcEntry {
    var name: String
    var text: String
    /// Writes it.
    public func write(to proc: FakeProc) { proc.write(name, text) }
}

/// A file below the root: `file("vmstat", "oom_kill 3\n")`.
public func file(_ name: String, _ text: String) -> FakeFile { FakeFile(name: name, text: text) }

/// `meminfo`, with swap where the host has any.
public func meminfo(
    total: Bytes, available: Bytes, swapTotal: Bytes = .zero, swapFree: Bytes = .zero
) -> FakeFile {
    let lines: [(String, Bytes)] = [
        ("MemTotal", total), ("MemFree", available), ("MemAvailable", available), ("Buffers", .zero),
        ("SwapTotal", swapTotal), ("SwapFree", swapFree),
    ]
    return FakeFile(name: "meminfo", text: lines.map { "\($0.0):     \($0.1.count / 1024) kB\n" }.joined())
}

/// `pressure/memory`, `pressure/cpu` or `pressure/io`, in percent.
public func pressure(_ name: String, some: Double, full: Double) -> FakeFile {
    FakeFile(
        name: "pressure/\(name)",
        text: "some avg10=\(some) avg60=0.00 avg300=0.00 total=1\nfull avg10=\(full) avg60=0.00 avg300=0.00 total=1\n")
}
