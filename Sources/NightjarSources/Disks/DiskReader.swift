// The file systems of this host, one `statvfs` each, none of which can hold up the others.
//
// mountinfo is read again only when the kernel says that it changed (poll reports POLLERR | POLLPRI). Each statvfs runs
// on a side thread (SideWorker); a mount that does not answer within the deadline is reported as such, costs one parked
// thread, and is asked again when that thread comes back.

import Glibc
public import NightjarModel

/// What one round knows of one file system.
public struct DiskReading: Hashable, Sendable {
    public var mount: MountEntry
    /// The newest sample; nil before the first answer.
    public var sample: MountSample?
    /// How long it has not answered; nil where it does.
    public var silentFor: Duration?
}

/// What `statvfs` says, in bytes.
public struct FileSystemStatus: Hashable, Sendable {
    public var size: Bytes
    public var available: Bytes
    public var inodes: Int64?
    public var inodesFree: Int64?
    public var isReadOnly: Bool

    public init(size: Bytes, available: Bytes, inodes: Int64? = nil, inodesFree: Int64? = nil, isReadOnly: Bool = false)
    {
        self.size = size
        self.available = available
        self.inodes = inodes
        self.inodesFree = inodesFree
        self.isReadOnly = isReadOnly
    }

    /// Asks the kernel; nil where the mount is gone or refuses. May never return: call it where that is no harm.
    public static func ask(_ path: String) -> FileSystemStatus? {
        var raw = statvfs()
        guard statvfs(path, &raw) == 0 else { return nil }
        let block = Int64(raw.f_frsize > 0 ? raw.f_frsize : raw.f_bsize)
        // What root keeps for itself (`f_bfree - f_bavail`) is neither free nor used by anybody.
        let reserved = Int64(raw.f_bfree) - Int64(raw.f_bavail)
        let blocks = Int64(raw.f_blocks) - max(0, reserved)
        let hasInodes = raw.f_files > 0
        return FileSystemStatus(
            size: Bytes(blocks.multipliedReportingOverflow(by: block).partialValue),
            available: Bytes(Int64(raw.f_bavail).multipliedReportingOverflow(by: block).partialValue),
            inodes: hasInodes ? Int64(clamping: raw.f_files) : nil,
            inodesFree: hasInodes ? Int64(clamping: raw.f_favail) : nil, isReadOnly: raw.f_flag & UInt(ST_RDONLY) != 0)
    }
}

/// Reads all watched file systems, round by round. Not Sendable: use it on one thread.
public final class DiskReader {
    /// No more file systems than this are watched; the rest is counted.
    public static let maximumMounts = 128

    private let root: String
    private let also: Set<String>
    private let ask: @Sendable (String) -> FileSystemStatus?
    private let worker: SideWorker<Answered>
    private let changes: Int32
    private var answers: [String: MountSample] = [:]

    public private(set) var table = MountTable()
    public private(set) var watched: [MountEntry] = []
    /// File systems beyond `maximumMounts`.
    public private(set) var unwatched = 0
    /// Calls of statvfs that failed.
    public private(set) var failures = 0

    private struct Answered: Sendable {
        var time: Moment
        var status: FileSystemStatus?
    }

    /// - Parameters:
    ///   - root: `/proc`, or a tree with a `self/mountinfo` in it.
    ///   - also: types to watch that are left out otherwise, such as `tmpfs`.
    ///   - ask: stands in for `statvfs` in tests.
    public init(
        root: String = "/proc", also: Set<String> = [], deadline: Duration = .seconds(5),
        ask: @escaping @Sendable (String) -> FileSystemStatus? = { FileSystemStatus.ask($0) }
    ) {
        self.root = root
        self.also = also
        self.ask = ask
        worker = SideWorker(deadline: deadline)
        changes = open("\(root)/self/mountinfo", O_RDONLY | O_CLOEXEC)
        readTable()
    }

    deinit { if changes >= 0 { close(changes) } }

    /// Asks every file system, waits at most `patience` for the quick ones, and tells what is known.
    public func round(at now: Moment, patience: Duration = .milliseconds(20)) -> [DiskReading] {
        if hasChanged { readTable() }
        // Remote ones last: if one hangs, the local ones have been asked.
        for mount in watched.sorted(by: { !$0.isRemote && $1.isRemote }) {
            let (path, ask) = (mount.mountPoint, ask)
            worker.submit(path) { Answered(time: now, status: ask(path)) }
        }
        for (path, answer) in worker.collect(patience: patience) { take(answer, of: path) }
        let silent = Dictionary(worker.overdue.map { ($0.key, $0.span) }) { max($0, $1) }
        return watched.map { mount in
            DiskReading(mount: mount, sample: answers[mount.mountPoint], silentFor: silent[mount.mountPoint])
        }
    }

    private func take(_ answer: Answered, of path: String) {
        guard let mount = watched.first(where: { $0.mountPoint == path }) else { return }
        guard let status = answer.status else {
            failures += 1
            answers[path] = nil
            return
        }
        answers[path] = MountSample(
            time: answer.time, mountPoint: path, type: mount.type, device: mount.source, size: status.size,
            available: status.available, inodes: status.inodes, inodesFree: status.inodesFree,
            readOnly: status.isReadOnly || mount.isReadOnly)
    }

    // MARK: The table

    /// True once after every change; a file that is not the kernel's is taken as always changed.
    private var hasChanged: Bool {
        guard changes >= 0 else { return true }
        var entry = pollfd(fd: changes, events: Int16(POLLPRI), revents: 0)
        return poll(&entry, 1, 0) > 0 && entry.revents & Int16(POLLERR | POLLPRI) != 0
    }

    private func readTable() {
        guard let text = SmallFile.read("\(root)/self/mountinfo", limit: 4 << 20) else { return }
        table = MountTable(text)
        let all = table.watched(also: also)
        watched = Array(all.prefix(Self.maximumMounts))
        unwatched = all.count - watched.count
        let paths = Set(watched.map(\.mountPoint))
        answers = answers.filter { paths.contains($0.key) }
    }
}

/// A whole small file, for files that are read seldom.
enum SmallFile {
    /// nil where it cannot be opened or read; cut at `limit` bytes.
    static func read(_ path: String, limit: Int = 1 << 16) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var out: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: min(limit, 1 << 16))
        while out.count < limit {
            let count = buffer.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress, $0.count) }
            guard count > 0 else { return count == 0 || !out.isEmpty ? out : nil }
            out += buffer[..<count]
        }
        return Array(out.prefix(limit))
    }
}
