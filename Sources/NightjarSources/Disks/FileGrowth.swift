// Who fills the disk: two looks at open files, some seconds apart, become a list of files that grew, with the processes
// that write them.
//
// A file's growth is that of its blocks on disk (of its size where blocks do not move, as on compressing or remote file
// systems). Its writers are the holders that may write; the one whose position moved most comes first, then the one that
// wrote most at all (`/proc/PID/io`). A file that is new since the first look grew by all of it.

public import NightjarModel

/// A process that writes a growing file.
public struct FileWriter: Hashable, Sendable {
    public var pid: Int32
    /// How far its own position moved, or what it wrote by system calls where it appends through another's position.
    public var wrote: Bytes
    public var mayWrite: Bool
}

/// A file that grew between two looks.
public struct FileGrowth: Hashable, Sendable {
    public var key: FileKey
    public var path: String
    public var isDeleted: Bool
    public var size: Bytes
    public var growth: Bytes
    public var span: Duration
    /// Most likely writer first.
    public var writers: [FileWriter]

    /// Bytes a second.
    public var pace: Double { span > .zero ? Double(growth.count) / span.inSeconds : 0 }

    public init(
        key: FileKey, path: String, isDeleted: Bool = false, size: Bytes, growth: Bytes, span: Duration,
        writers: [FileWriter] = []
    ) {
        self.key = key
        self.path = path
        self.isDeleted = isDeleted
        self.size = size
        self.growth = growth
        self.span = span
        self.writers = writers
    }

    /// The files of `later` that grew since `earlier`, largest growth first, at most `limit`.
    public static func between(_ earlier: OpenFiles, _ later: OpenFiles, device: UInt64, limit: Int = 16)
        -> [FileGrowth]
    {
        let span = later.time - earlier.time
        var grown: [FileGrowth] = []
        for (key, file) in later.files where key.device == device {
            let before = earlier.files[key]
            let blocks = file.allocated - (before?.allocated ?? .zero)
            let growth = blocks > .zero ? blocks : file.size - (before?.size ?? .zero)
            guard growth > .zero else { continue }
            // A file that was merely opened meanwhile did not grow; only a writer's file may count as new.
            if before == nil, !file.holders.contains(where: \.mayWrite) { continue }
            grown.append(
                FileGrowth(
                    key: key, path: file.path, isDeleted: file.isDeleted, size: file.size, growth: growth, span: span,
                    writers: writers(of: file, before: before, earlier, later)))
        }
        return Array(grown.sorted { ($0.growth, $1.path) > ($1.growth, $0.path) }.prefix(limit))
    }

    private static func writers(of file: HeldFile, before: HeldFile?, _ earlier: OpenFiles, _ later: OpenFiles)
        -> [FileWriter]
    {
        var byProcess: [Int32: FileWriter] = [:]
        for holder in file.holders {
            let was = before?.holders.first { $0.pid == holder.pid && $0.descriptor == holder.descriptor }
            let moved = holder.position - (was?.position ?? (before == nil ? 0 : holder.position))
            var writer = byProcess[holder.pid] ?? FileWriter(pid: holder.pid, wrote: .zero, mayWrite: false)
            if holder.mayWrite {
                writer.mayWrite = true
                writer.wrote = writer.wrote + Bytes(max(0, moved))
            }
            byProcess[holder.pid] = writer
        }
        for (pid, writer) in byProcess where writer.mayWrite && writer.wrote == .zero {
            guard let now = later.written[pid], let then = earlier.written[pid] else { continue }
            byProcess[pid]?.wrote = Bytes(max(0, now.byCalls - then.byCalls))
        }
        return byProcess.values.sorted { a, b in
            if a.mayWrite != b.mayWrite { return a.mayWrite }
            return (a.wrote.count, Int64(b.pid)) > (b.wrote.count, Int64(a.pid))
        }
    }
}

/// A deleted file that is still held open: its space comes back when the last holder closes it.
public struct DeletedFile: Hashable, Sendable {
    public var key: FileKey
    public var path: String
    public var held: Bytes
    public var holders: [Int32]

    public init(key: FileKey, path: String, held: Bytes, holders: [Int32]) {
        self.key = key
        self.path = path
        self.held = held
        self.holders = holders
    }

    /// All of one device that hold `minimum` or more, largest first, at most `limit`.
    public static func among(_ open: OpenFiles, device: UInt64, minimum: Bytes = .mebi(1), limit: Int = 16)
        -> [DeletedFile]
    {
        let all = open.files.filter { $0.key.device == device && $0.value.isDeleted && $0.value.allocated >= minimum }
        let deleted = all.map { key, file in
            DeletedFile(
                key: key, path: file.path, held: file.allocated, holders: Array(Set(file.holders.map(\.pid))).sorted())
        }
        return Array(deleted.sorted { ($0.held, $1.path) > ($1.held, $0.path) }.prefix(limit))
    }
}
