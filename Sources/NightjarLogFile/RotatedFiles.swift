// The files of one log, by name: `checkout.log` is being written; `checkout.log.000042` is a rotated one, plain or with
// `.gz` or `.zst` behind it; `.checkout.log.000042.packing` is half compressed. The number is the order: it does not
// depend on a clock that may be set back. Ages come from the modification time, which compression keeps.
//
//     checkout.log  ──rotate──▶  checkout.log.000042  ──pack──▶  checkout.log.000042.zst  ──age, bytes──▶  gone

internal import CNightjarLogFile
import Glibc

/// One rotated file.
struct RotatedFile: Hashable {
    enum Packing: String, Hashable, CaseIterable {
        case plain = ""
        case gzip = ".gz"
        case zstd = ".zst"
    }

    var number: Int
    var packing: Packing
    var bytes: Int
    /// Seconds since 1970.
    var modified: Int
    var inode: UInt64
}

/// Finds, names and deletes the files of one log.
struct RotatedFiles {
    let directory: String
    let base: String
    /// Oldest first.
    private(set) var files: [RotatedFile] = []
    /// Half-compressed leftovers and their bytes.
    private(set) var leftovers: [(name: String, bytes: Int)] = []

    /// Who deletes files out of the middle by hand makes no scan dear: at three calls a number, gaps are looked into where
    /// they are fewer than the files and so many.
    private static let mostLookedFor = 64

    init(path: String) {
        (directory, base) = RotatedFiles.split(path)
    }

    static func split(_ path: String) -> (directory: String, base: String) {
        guard let slash = path.lastIndex(of: "/") else { return (".", path) }
        let directory = path[..<slash]
        return (directory.isEmpty ? "/" : String(directory), String(path[path.index(after: slash)...]))
    }

    var path: String { directory + "/" + base }
    var freshPath: String { directory + "/." + base + ".new" }
    /// Without what is being packed: room for that is always set aside.
    var bytes: Int { files.reduce(0) { $0 + $1.bytes } }
    var nextNumber: Int { (files.last?.number ?? 0) + 1 }

    func path(of file: RotatedFile) -> String { path(number: file.number, packing: file.packing) }

    func path(number: Int, packing: RotatedFile.Packing) -> String {
        "\(path).\(RotatedFiles.digits(number))\(packing.rawValue)"
    }

    /// Whether the packed file of that number is there, whichever codec was set then.
    func isPacked(_ number: Int) -> Bool {
        [RotatedFile.Packing.gzip, .zstd].contains { access(path(number: number, packing: $0), F_OK) == 0 }
    }

    /// Where a file is compressed before it takes its name.
    func packingPath(number: Int) -> String { "\(directory)/.\(base).\(RotatedFiles.digits(number)).packing" }

    private static func digits(_ number: Int) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(0, 6 - text.utf8.count)) + text
    }

    /// Reads the directory. A rotated name that is the current file itself (a rotation that was killed between its two
    /// steps) does not count.
    ///
    /// readdir(3) does not promise to show a file that is renamed meanwhile: one that is being packed can be missed under
    /// both its names, and its bytes and its number with it. Numbers follow each other and the oldest goes first: what
    /// was known, what a gap stands for, and what may lie before the first and behind the last is looked for by name, the
    /// plain one first, which goes only when the packed one is there.
    mutating func scan(currentInode: UInt64) {
        let known = Set(files.lazy.map(\.number))
        readDirectory(currentInode)
        let shown = Set(files.lazy.map(\.number))
        let last = max(known.max() ?? 0, shown.max() ?? 0)
        let first = shown.min() ?? last + 1
        var missing = known.subtracting(shown)
        if first < last, last - first < 2 * shown.count + Self.mostLookedFor {
            missing.formUnion(Set(first...last).subtracting(shown))
        }
        for number in missing { _ = lookFor(number, currentInode) }
        lookOn(from: last + 1, by: 1, currentInode)
        lookOn(from: first - 1, by: -1, currentInode)
        files.sort { ($0.number, $0.packing.rawValue) < ($1.number, $1.packing.rawValue) }
    }

    /// Until two numbers in a row are not there.
    private mutating func lookOn(from start: Int, by step: Int, _ currentInode: UInt64) {
        var (number, misses) = (start, 0)
        while number > 0, misses < 2 {
            let isKnown = files.contains { $0.number == number }
            misses = isKnown || lookFor(number, currentInode) ? 0 : misses + 1
            number += step
        }
    }

    private mutating func lookFor(_ number: Int, _ currentInode: UInt64) -> Bool {
        for packing in RotatedFile.Packing.allCases {
            guard let status = status(path(number: number, packing: packing), AT_FDCWD) else { continue }
            note(number, packing, status, currentInode)
            return true
        }
        return false
    }

    private mutating func readDirectory(_ currentInode: UInt64) {
        files = []
        leftovers = []
        guard let stream = opendir(directory) else { return }
        defer { closedir(stream) }
        let descriptor = dirfd(stream)
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            note(name, descriptor, currentInode)
        }
    }

    private mutating func note(_ name: String, _ directory: Int32, _ currentInode: UInt64) {
        if name.hasPrefix("." + base + "."), name.hasSuffix(".packing") {
            guard let status = status(name, directory) else { return }
            leftovers.append((name, RotatedFiles.weight(status)))
        } else if let (number, packing) = parse(name), let status = status(name, directory) {
            note(number, packing, status, currentInode)
        }
    }

    private mutating func note(
        _ number: Int, _ packing: RotatedFile.Packing, _ status: stat, _ currentInode: UInt64
    ) {
        guard UInt64(status.st_ino) != currentInode else { return }
        files.append(
            RotatedFile(
                number: number, packing: packing, bytes: RotatedFiles.weight(status),
                modified: status.st_mtim.tv_sec, inode: UInt64(status.st_ino)))
    }

    func parse(_ name: String) -> (number: Int, packing: RotatedFile.Packing)? {
        guard name.hasPrefix(base + ".") else { return nil }
        let rest = name.utf8.dropFirst(base.utf8.count + 1)
        let digits = rest.prefix { $0 >= 48 && $0 <= 57 }
        guard digits.count >= 6, digits.count <= 12, let number = Int(String(Substring(digits))), number > 0,
            let packing = RotatedFile.Packing(rawValue: String(Substring(rest.dropFirst(digits.count))))
        else { return nil }
        return (number, packing)
    }

    private func status(_ name: String, _ directory: Int32) -> stat? {
        var status = stat()
        guard fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0, status.st_mode & S_IFMT == S_IFREG else {
            return nil
        }
        return status
    }

    /// What a file takes of the disk: its length in whole blocks, or its blocks where more are allocated.
    static func weight(_ status: stat) -> Int {
        max((Int(status.st_size) + 4_095) & ~4_095, Int(status.st_blocks) * 512)
    }

    /// Deletes the oldest file, unless that leaves fewer than `minimum`. The bytes it held, or nil.
    mutating func deleteOldest(keeping minimum: Int) -> Int? {
        if let leftover = leftovers.first, leftoverIsAbandoned(leftover.name) {
            leftovers.removeFirst()
            unlink(directory + "/" + leftover.name)
            return leftover.bytes
        }
        guard files.count > minimum, let oldest = files.first else { return nil }
        files.removeFirst()
        guard unlink(path(of: oldest)) == 0 || errno == ENOENT else { return nil }
        return oldest.bytes
    }

    /// Nobody holds the lock that a compressor takes on what it writes.
    private func leftoverIsAbandoned(_ name: String) -> Bool {
        let fd = open(directory + "/" + name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard fd >= 0 else { return false }
        defer { close(fd) }
        return flock(fd, LOCK_EX | LOCK_NB) == 0
    }

    /// Deletes what is too old or too many. Returns how many went.
    mutating func applyAgeAndCount(_ retention: LogFileConfiguration.Retention, now: Int) -> Int {
        var deleted = 0
        while let oldest = files.first {
            let isTooOld = retention.age.map { now - oldest.modified > $0.wholeSeconds } ?? false
            let isTooMany = retention.files.map { files.count > $0 } ?? false
            guard isTooOld || isTooMany, deleteOldest(keeping: 0) != nil else { break }
            deleted += 1
        }
        return deleted
    }
}

/// Makes a directory and its parents. True where it is there afterwards.
func makeDirectory(_ path: String) -> Bool {
    if mkdir(path, 0o750) == 0 || errno == EEXIST { return true }
    guard errno == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return false }
    return makeDirectory(String(path[..<slash])) && (mkdir(path, 0o750) == 0 || errno == EEXIST)
}
