// How much each log file grows. One statx a file and round; file contents are only sampled, never read as a whole.
//
//     /var/log/app.log    1.20 GB ──▶ 1.31 GB      110 MB in 10 s; 16 KiB of it are read, at a place taken at random
//
// Files come from patterns (`/var/log/**`, `/srv/*/logs/*.log`), expanded again once a minute, and from processes that
// hold a growing file open (`follow`). A file that shrinks or whose inode changes was rotated or truncated: what is in
// it now is new. Pattern folders on remote file systems are the caller's to leave out.

import CNightjarLinux
import Glibc
public import NightjarModel

/// What one file wrote since the last round.
public struct LogGrowth: Sendable {
    public var path: String
    public var key: FileKey
    public var size: Bytes
    public var grown: Bytes
    public var span: Duration
    /// Whole lines out of what was appended, at most `LogFiles.sampleBytes` of them; empty where nothing was sampled.
    public var lines: [[UInt8]]
    /// How many bytes of the log each sampled byte stands for.
    public var weight: Double
}

/// Watches the growth of files. Not Sendable: use it on one thread.
public final class LogFiles {
    public static let maximumFiles = 2_048
    public static let maximumFollowed = 256
    /// So much is read of one file in one round, and of all files together.
    public static let sampleBytes = 4_096
    public static let sampleBytesOfAll = 131_072
    static let expandEvery: Duration = .minutes(1)
    /// A followed file that does not grow for so long is let go.
    static let forgetAfter: Duration = .minutes(30)

    private struct File {
        var key: FileKey
        var size: Int64
        var time: Moment
        var grewAt: Moment
        var isFollowed: Bool
        /// Where to open it: the path, or the same path below the root of a container's process.
        var access: String
    }

    private let patterns: [String]
    private var files: [String: File] = [:]
    private var expandedAt: Moment?
    private var random: UInt64 = 0x9E37_79B9_7F4A_7C15

    /// Files that matched but were over the limit.
    public private(set) var unwatched = 0
    /// Reads that failed.
    public private(set) var failures = 0
    public var count: Int { files.count }

    public init(patterns: [String]) { self.patterns = patterns }

    /// Watches a file that no pattern names, because a process writes it. `access` opens it from here.
    public func follow(_ path: String, access: String, at now: Moment) {
        guard files[path] == nil else { return }
        guard files.values.count(where: \.isFollowed) < Self.maximumFollowed else {
            unwatched += 1
            return
        }
        add(path, access: access, isFollowed: true, at: now, countsFromNow: true)
    }

    /// What grew since the last round; a file seen for the first time counts from now on.
    public func round(at now: Moment) -> [LogGrowth] {
        if expandedAt.map({ now - $0 >= Self.expandEvery }) ?? true { expand(at: now) }
        var grown: [LogGrowth] = []
        var left = Self.sampleBytesOfAll
        for (path, file) in files {
            var status = nj_file()
            guard nj_file_status(AT_FDCWD, file.access, 1, &status) == 0 else {
                files[path] = nil
                continue
            }
            let key = FileKey(device: status.device, inode: status.inode)
            let isSame = key == file.key && status.size >= file.size
            let from = isSame ? file.size : 0
            files[path]?.key = key
            files[path]?.size = status.size
            files[path]?.time = now
            if status.size > from {
                files[path]?.grewAt = now
                let (lines, read) = left > 0 ? sample(file.access, from: from, to: status.size) : ([], 0)
                left -= read
                grown.append(
                    LogGrowth(
                        path: path, key: key, size: Bytes(status.size), grown: Bytes(status.size - from),
                        span: now - file.time, lines: lines,
                        weight: read > 0 ? Double(status.size - from) / Double(read) : 0))
            } else if file.isFollowed, now - file.grewAt > Self.forgetAfter {
                files[path] = nil
            }
        }
        return grown
    }

    /// All watched paths with their sizes.
    public var watched: [(path: String, key: FileKey, size: Bytes)] {
        files.map { ($0.key, $0.value.key, Bytes($0.value.size)) }
    }

    private func add(_ path: String, access: String, isFollowed: Bool, at now: Moment, countsFromNow: Bool) {
        var status = nj_file()
        guard nj_file_status(AT_FDCWD, access, 1, &status) == 0,
            status.mode & UInt32(S_IFMT) == UInt32(S_IFREG)
        else { return }
        files[path] = File(
            key: FileKey(device: status.device, inode: status.inode), size: countsFromNow ? status.size : 0, time: now,
            grewAt: now, isFollowed: isFollowed, access: access)
    }

    // MARK: Patterns

    private func expand(at now: Moment) {
        let isFirst = expandedAt == nil
        let before = expandedAt ?? now
        expandedAt = now
        unwatched = 0
        for pattern in patterns {
            PathPattern.expand(pattern) { path in
                guard files[path] == nil, Self.isLive(path) else { return true }
                guard files.count < Self.maximumFiles else {
                    unwatched += 1
                    return unwatched < 1024
                }
                // A file that appeared since the last look is new as a whole.
                add(path, access: path, isFollowed: false, at: isFirst ? now : before, countsFromNow: isFirst)
                return true
            }
        }
    }

    /// False for what a rotation put away, and for the journal's own files, which are counted by unit.
    static func isLive(_ path: String) -> Bool { !Reclaimable.isRotated(path) && !path.contains(".journal") }

    // MARK: Sampling

    /// Whole lines out of [from, to), and how many bytes were read.
    private func sample(_ path: String, from: Int64, to: Int64) -> (lines: [[UInt8]], read: Int) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW)
        guard descriptor >= 0 else {
            failures += 1
            return ([], 0)
        }
        defer { close(descriptor) }
        let length = min(to - from, Int64(Self.sampleBytes))
        let room = to - from - length
        let start = from + (room > 0 ? Int64(nextRandom() % UInt64(room + 1)) : 0)
        var buffer = [UInt8](repeating: 0, count: Int(length))
        let count = buffer.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, $0.count, off_t(start)) }
        guard count > 0 else {
            failures += 1
            return ([], 0)
        }
        return (Self.lines(buffer[..<count], startsWithLine: start == from), count)
    }

    /// Complete lines only, unless there is not a single line end: then all of it is one.
    public static func lines(_ bytes: ArraySlice<UInt8>, startsWithLine: Bool) -> [[UInt8]] {
        let pieces = bytes.split(separator: 10, omittingEmptySubsequences: false)
        guard pieces.count > 1 else { return bytes.isEmpty ? [] : [Array(bytes)] }
        let whole = pieces.dropFirst(startsWithLine ? 0 : 1).dropLast()
        return whole.filter { !$0.isEmpty }.map(Array.init)
    }

    private func nextRandom() -> UInt64 {
        random ^= random << 13
        random ^= random >> 7
        random ^= random << 17
        return random
    }
}

/// Shell patterns over paths: `*` and `?` within a name, `**` for any number of folders.
enum PathPattern {
    static let maximumDepth = 8

    /// Calls `visit` with each regular file's path until it says false. Links to folders are not followed.
    static func expand(_ pattern: String, _ visit: (String) -> Bool) {
        let parts = pattern.split(separator: "/").map(String.init)
        guard pattern.hasPrefix("/"), !parts.isEmpty else { return }
        _ = walk("", parts[...], depth: 0, visit)
    }

    private static func walk(_ folder: String, _ parts: ArraySlice<String>, depth: Int, _ visit: (String) -> Bool)
        -> Bool
    {
        guard let part = parts.first, depth <= maximumDepth + parts.count else { return true }
        let rest = parts.dropFirst()
        if part == "**" {
            // `**` at the end stands for every file below.
            let here = rest.isEmpty ? ["*"][...] : rest
            guard walk(folder, here, depth: depth, visit), depth < maximumDepth else { return true }
            return entries(folder) { name, kind in
                kind == .folder ? walk("\(folder)/\(name)", parts, depth: depth + 1, visit) : true
            }
        }
        let isPlain = !part.contains { "*?[".contains($0) }
        if isPlain, !rest.isEmpty { return walk("\(folder)/\(part)", rest, depth: depth + 1, visit) }
        if isPlain { return visitFile("\(folder)/\(part)", visit) }
        return entries(folder) { name, kind in
            guard fnmatch(part, name, FNM_PERIOD) == 0 else { return true }
            if rest.isEmpty { return kind == .file ? visit("\(folder)/\(name)") : true }
            return kind == .folder ? walk("\(folder)/\(name)", rest, depth: depth + 1, visit) : true
        }
    }

    private static func visitFile(_ path: String, _ visit: (String) -> Bool) -> Bool {
        var status = nj_file()
        guard nj_file_status(AT_FDCWD, path, 0, &status) == 0, status.mode & UInt32(S_IFMT) == UInt32(S_IFREG) else {
            return true
        }
        return visit(path)
    }

    private enum Kind { case file, folder, other }

    private static func entries(_ folder: String, _ visit: (String, Kind) -> Bool) -> Bool {
        guard let stream = opendir(folder.isEmpty ? "/" : folder) else { return true }
        defer { closedir(stream) }
        while let entry = readdir(stream) {
            let name = entryName(entry)
            if name == "." || name == ".." { continue }
            var kind: Kind =
                switch Int(entry.pointee.d_type) {
                case Int(DT_REG): .file
                case Int(DT_DIR): .folder
                default: .other
                }
            if Int(entry.pointee.d_type) == Int(DT_UNKNOWN) {
                var status = nj_file()
                guard nj_file_status(dirfd(stream), name, 0, &status) == 0 else { continue }
                let type = status.mode & UInt32(S_IFMT)
                kind = type == UInt32(S_IFREG) ? .file : type == UInt32(S_IFDIR) ? .folder : .other
            }
            if !visit(name, kind) { return false }
        }
        return true
    }
}
