// Which folder grew, and which files were written lately? A walk over one file system, bounded in entries and in time.
//
// Writers that open, append and close (shell scripts, cron jobs, uploads) are never caught with their file open, and
// a million small files have no single culprit; the folder is the answer then. Two walks make a rate. A walk costs about
// 2 µs an entry and runs on a side thread with idle I/O priority, only while a disk is filling or when somebody asks.
//
// Sizes are summed for the folders of the upper levels; what lies deeper counts for its ancestors there.

import CNightjarLinux
import Glibc
public import NightjarModel

/// What one walk over a file system found.
public struct FolderWalk: Sendable {
    public static let maximumEntries = 400_000
    public static let maximumFolders = 8_192
    public static let maximumRecent = 256
    /// Folders down to this level below the mount point are told apart.
    public static let levels = 5

    /// A file that was written lately.
    public struct RecentFile: Hashable, Sendable {
        public var path: String
        public var key: FileKey
        public var allocated: Bytes
    }

    public var time: Moment
    /// Bytes on disk by folder, each with all that lies below it.
    public var folders: [String: Int64] = [:]
    /// Files written in the last `recent`, largest first.
    public var recent: [RecentFile] = []
    public var entries = 0
    public var unreadable = 0
    /// True where a limit ended the walk early; sums are then lower bounds.
    public var isCut = false

    /// Walks the file system that holds `mountPoint`, without leaving it.
    ///
    /// - Parameters:
    ///   - wallNow: seconds since 1970 on the clock that stamps files.
    ///   - recent: how long ago a file may have been written to be listed.
    public static func walk(
        _ mountPoint: String, at time: Moment, wallNow: Int64, recent: Duration = .minutes(10),
        within: Duration = .seconds(4)
    ) -> FolderWalk {
        var walk = FolderWalk(time: time)
        var top = nj_file()
        guard nj_file_status(AT_FDCWD, mountPoint, 1, &top) == 0 else { return walk }
        let end = SideClock.now + UInt64(max(0, within.nanosecondCount))
        let since = wallNow - Int64(recent.inSeconds)
        var pending: [(path: String, level: Int, ancestors: [String])] = [(mountPoint, 0, [])]
        while let (path, level, ancestors) = pending.popLast() {
            let counted = level <= levels && walk.folders.count < maximumFolders ? ancestors + [path] : ancestors
            walk.enter(path, counted: counted, device: top.device, since: since) { child in
                pending.append((child, level + 1, counted))
            }
            if walk.entries >= maximumEntries || SideClock.now > end {
                walk.isCut = !pending.isEmpty
                break
            }
        }
        walk.recent.sort { ($0.allocated, $1.path) > ($1.allocated, $0.path) }
        walk.recent = Array(walk.recent.prefix(maximumRecent))
        return walk
    }

    private mutating func enter(
        _ path: String, counted: [String], device: UInt64, since: Int64, descend: (String) -> Void
    ) {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0, let stream = fdopendir(descriptor) else {
            if descriptor >= 0 { close(descriptor) }
            unreadable += 1
            return
        }
        defer { closedir(stream) }
        var own: Int64 = 0
        while entries < Self.maximumEntries, let entry = readdir(stream) {
            let name = entryName(entry)
            if name == "." || name == ".." { continue }
            entries += 1
            var status = nj_file()
            guard nj_file_status(descriptor, name, 0, &status) == 0, status.device == device else { continue }
            own += status.allocated
            let child = path == "/" ? "/\(name)" : "\(path)/\(name)"
            switch status.mode & UInt32(S_IFMT) {
            case UInt32(S_IFDIR): descend(child)
            case UInt32(S_IFREG) where status.modified >= since: note(child, status)
            default: break
            }
        }
        for folder in counted { folders[folder, default: 0] += own }
    }

    private mutating func note(_ path: String, _ status: nj_file) {
        recent.append(
            RecentFile(
                path: path, key: FileKey(device: status.device, inode: status.inode),
                allocated: Bytes(status.allocated)))
        if recent.count >= 4 * Self.maximumRecent {
            recent.sort { $0.allocated > $1.allocated }
            recent.removeLast(recent.count - Self.maximumRecent)
        }
    }

    /// The deepest folder that carries most of what grew between two walks, with its growth; nil where nothing grew.
    public static func grown(_ earlier: FolderWalk, _ later: FolderWalk) -> (folder: String, growth: Bytes)? {
        let rises = later.folders.map { path, bytes in
            (path, bytes - (earlier.folders[path] ?? 0))
        }
        guard let all = rises.max(by: { $0.1 < $1.1 }), all.1 > 0 else { return nil }
        let carrying = rises.filter { Double($0.1) >= 0.6 * Double(all.1) }
        guard let deepest = carrying.max(by: { ($0.0.utf8.count, $0.1) < ($1.0.utf8.count, $1.1) }) else { return nil }
        return (deepest.0, Bytes(deepest.1))
    }
}
