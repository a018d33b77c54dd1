// Which files on a disk do processes hold open, how large are they, how far has each holder written, and which are
// deleted already? One look at `/proc/*/fd`; two looks make a rate (see FileGrowth).
//
//     /proc/PID/fd/N      statx through the link: device, inode, size, blocks, links (0 = deleted)   every descriptor
//                         readlink: the path                                                         regular files on
//     /proc/PID/fdinfo/N  pos and flags: how far this holder is, and whether it may write            a watched disk
//     /proc/PID/io        write_bytes and wchar: what the process wrote at all
//
// About 1 µs a descriptor and 8 µs a file of interest. Other users' processes need CAP_SYS_PTRACE and
// CAP_DAC_READ_SEARCH; without them they are counted as unseen, and the look goes on.

import CNightjarLinux
import Glibc
public import NightjarModel

/// A file by what the kernel knows it by.
public struct FileKey: Hashable, Sendable {
    public var device: UInt64
    public var inode: UInt64

    public init(device: UInt64, inode: UInt64) {
        self.device = device
        self.inode = inode
    }
}

/// A process that holds a file open.
public struct FileHolder: Hashable, Sendable {
    public var pid: Int32
    public var descriptor: Int32
    /// Where its next write goes; not moved by appending writes of others.
    public var position: Int64
    public var mayWrite: Bool
    /// Opened with O_APPEND, as logs are.
    public var appends: Bool
}

/// A file that is held open.
public struct HeldFile: Hashable, Sendable {
    /// As the holder sees it; a container's path is its own. Without the kernel's " (deleted)".
    public var path: String
    public var isDeleted: Bool
    public var size: Bytes
    /// Bytes on disk; less than the size where the file has holes.
    public var allocated: Bytes
    /// At most `OpenFiles.maximumHolders`.
    public var holders: [FileHolder]
}

/// One look at all open files of some devices.
public struct OpenFiles: Sendable {
    /// Limits, so that one look stays below a fraction of a second and a few MiB on any host.
    public static let maximumDescriptors = 262_144
    public static let maximumFiles = 16_384
    public static let maximumHolders = 8

    public var time: Moment
    public var files: [FileKey: HeldFile] = [:]
    /// Bytes each process has written since it began: to disks (`write_bytes`), and by system calls (`wchar`).
    public var written: [Int32: (toDisk: Int64, byCalls: Int64)] = [:]
    /// Processes whose descriptors could not be listed, and descriptors whose target could not be seen.
    public var unseenProcesses = 0
    public var unseenDescriptors = 0
    /// True where a limit ended the look early.
    public var isCut = false

    public init(time: Moment) { self.time = time }

    /// Looks at every process under `root`. Takes milliseconds to a fraction of a second: call it on a side thread.
    public static func look(devices: Set<UInt64>, root: String = "/proc", at time: Moment) -> OpenFiles {
        var look = OpenFiles(time: time)
        var left = maximumDescriptors
        eachEntry(root) { name in
            guard let pid = Int32(name), pid > 0 else { return true }
            look.visit(pid, devices: devices, root: root, left: &left)
            if left <= 0 { look.isCut = true }
            return left > 0
        }
        return look
    }

    private mutating func visit(_ pid: Int32, devices: Set<UInt64>, root: String, left: inout Int) {
        let folder = open("\(root)/\(pid)/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else {
            if errno == EACCES || errno == EPERM { unseenProcesses += 1 }
            return
        }
        guard let stream = fdopendir(folder) else {
            close(folder)
            return
        }
        defer { closedir(stream) }
        var isInteresting = false
        while left > 0, let entry = readdir(stream) {
            let name = entryName(entry)
            guard let number = Int32(name) else { continue }
            left -= 1
            var status = nj_file()
            let code = nj_file_status(folder, name, 1, &status)
            guard code == 0 else {
                if code == -EACCES || code == -EPERM { unseenDescriptors += 1 }
                continue
            }
            guard status.mode & UInt32(S_IFMT) == UInt32(S_IFREG), devices.contains(status.device) else { continue }
            isInteresting = true
            add(status, pid: pid, number: number, folder: folder, root: root)
        }
        if isInteresting, let io = Self.readIO(pid, root: root) { written[pid] = io }
    }

    private mutating func add(_ status: nj_file, pid: Int32, number: Int32, folder: Int32, root: String) {
        let key = FileKey(device: status.device, inode: status.inode)
        let (position, flags) = Self.readInfo("\(root)/\(pid)/fdinfo/\(number)")
        let holder = FileHolder(
            pid: pid, descriptor: number, position: position ?? 0, mayWrite: (flags.map { $0 & 3 } ?? 0) != 0,
            appends: (flags ?? 0) & Int64(O_APPEND) != 0)
        if files[key] != nil {
            if files[key]!.holders.count < Self.maximumHolders { files[key]!.holders.append(holder) }
            return
        }
        guard files.count < Self.maximumFiles else {
            isCut = true
            return
        }
        guard let path = Self.target(of: "\(number)", in: folder) else { return }
        files[key] = HeldFile(
            path: path, isDeleted: status.links == 0, size: Bytes(status.size), allocated: Bytes(status.allocated),
            holders: [holder])
    }

    // MARK: Small readers

    /// The link's target without " (deleted)".
    private static func target(of name: String, in folder: Int32) -> String? {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = buffer.withUnsafeMutableBytes {
            readlinkat(folder, name, $0.baseAddress!.assumingMemoryBound(to: CChar.self), $0.count)
        }
        guard count > 0 else { return nil }
        let path = String(decoding: buffer[..<count], as: UTF8.self)
        return path.hasSuffix(" (deleted)") ? String(path.dropLast(10)) : path
    }

    /// `pos:` and `flags:` (octal) of an fdinfo file.
    static func readInfo(_ path: String) -> (position: Int64?, flags: Int64?) {
        guard let text = SmallFile.read(path, limit: 1024) else { return (nil, nil) }
        return (number(after: "pos:", in: text, radix: 10), number(after: "flags:", in: text, radix: 8))
    }

    /// `write_bytes` without what was cancelled, and `wchar`.
    static func readIO(_ pid: Int32, root: String) -> (toDisk: Int64, byCalls: Int64)? {
        guard let text = SmallFile.read("\(root)/\(pid)/io", limit: 1024),
            let disk = number(after: "\nwrite_bytes:", in: text, radix: 10),
            let calls = number(after: "wchar:", in: text, radix: 10)
        else { return nil }
        return (max(0, disk - (number(after: "cancelled_write_bytes:", in: text, radix: 10) ?? 0)), calls)
    }

    /// The digits after the first occurrence of `key`.
    static func number(after key: String, in text: [UInt8], radix: Int64) -> Int64? {
        let needle = Array(key.utf8)
        guard text.count >= needle.count else { return nil }
        for start in 0...(text.count - needle.count) where text[start] == needle[0] {
            guard text[start..<(start + needle.count)].elementsEqual(needle) else { continue }
            var value: Int64 = 0
            var digits = 0
            for byte in text[(start + needle.count)...] {
                if byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t"), digits == 0 { continue }
                guard (48..<(48 + UInt8(radix))).contains(byte), digits < 20 else { break }
                value = value &* radix &+ Int64(byte - 48)
                digits += 1
            }
            return digits > 0 ? value : nil
        }
        return nil
    }
}

/// The entry's name; the kernel ends it with a zero.
func entryName(_ entry: UnsafeMutablePointer<dirent>) -> String {
    withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
    }
}

/// Calls `visit` with the name of each entry, without `.` and `..`, until it says false.
func eachEntry(_ folder: String, _ visit: (String) -> Bool) {
    guard let stream = opendir(folder) else { return }
    defer { closedir(stream) }
    while let entry = readdir(stream) {
        let name = entryName(entry)
        if name == "." || name == ".." { continue }
        if !visit(name) { return }
    }
}

extension FileKey {
    /// The file that a path leads to now; nil where there is none.
    public static func of(_ path: String) -> FileKey? {
        var status = nj_file()
        guard nj_file_status(AT_FDCWD, path, 1, &status) == 0 else { return nil }
        return FileKey(device: status.device, inode: status.inode)
    }
}
