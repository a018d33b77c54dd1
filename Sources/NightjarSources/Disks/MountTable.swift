// Which file systems there are, from `/proc/self/mountinfo`, and which of them are worth a look.
//
//     36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
//     id parent dev root mount options optional…  - type source  super options
//
// Left out: file systems without a disk behind them (proc, cgroup, tmpfs, …; a tmpfs only comes in when asked for),
// read-only images (squashfs, iso9660), and all but one mount of a device: bind mounts and the many mounts of one btrfs
// are the same space. The mount nearest to the device's root speaks for it. A mount that another covers cannot be
// reached and is left out too.

/// One line of `mountinfo`.
public struct MountEntry: Hashable, Sendable {
    public var id: Int
    public var parent: Int
    /// `259:2`; anonymous devices (network, btrfs, overlay) have major 0.
    public var deviceNumber: UInt64
    /// The folder of the file system that is mounted: `/` unless it is a bind mount or a subvolume.
    public var root: String
    public var mountPoint: String
    public var type: String
    public var source: String
    public var isReadOnly: Bool

    /// True where asking it may wait for another machine or for a program.
    public var isRemote: Bool {
        MountTable.remoteTypes.contains(type) || type.hasPrefix("fuse.") || type == "fuse"
    }
}

/// The mounts of one namespace.
public struct MountTable: Hashable, Sendable {
    /// No more lines than this are looked at: hosts with tens of thousands of container mounts exist.
    public static let maximumEntries = 8192

    public var entries: [MountEntry] = []
    /// Lines that could not be understood.
    public var malformed = 0

    static let remoteTypes: Set<String> = [
        "nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "glusterfs", "9p", "afs", "ncpfs", "lustre", "gpfs", "beegfs",
        "ocfs2", "virtiofs", "davfs",
    ]

    /// No disk of their own, or never written.
    static let pseudoTypes: Set<String> = [
        "proc", "sysfs", "devtmpfs", "devpts", "tmpfs", "ramfs", "cgroup", "cgroup2", "securityfs", "pstore", "bpf",
        "tracefs", "debugfs", "configfs", "fusectl", "mqueue", "hugetlbfs", "autofs", "rpc_pipefs", "binfmt_misc",
        "nsfs", "efivarfs", "selinuxfs", "smackfs", "squashfs", "iso9660", "udf", "erofs", "cramfs", "romfs", "nfsd",
        "overlay", "aufs", "fuse.lxcfs", "fuse.gvfsd-fuse", "fuse.portal", "fuse.snapfuse", "fuse.squashfuse",
        "resctrl", "dax", "pipefs", "sockfs", "secretmem",
    ]

    public init() {}

    /// Understands what it can and counts the rest.
    public init(_ text: [UInt8]) {
        for line in text.split(separator: UInt8(ascii: "\n")) {
            guard entries.count < Self.maximumEntries else { break }
            if let entry = MountEntry(line) { entries.append(entry) } else { malformed += 1 }
        }
    }

    /// The mounts of our own namespace; empty where they cannot be read.
    public static func read(root: String = "/proc") -> MountTable {
        SmallFile.read("\(root)/self/mountinfo", limit: 4 << 20).map { MountTable($0) } ?? MountTable()
    }

    /// One mount a device, without pseudo file systems and covered mounts; `also` names types to let in: `["tmpfs"]`.
    public func watched(also: Set<String> = []) -> [MountEntry] {
        var byDevice: [UInt64: MountEntry] = [:]
        for entry in visible where isWatched(entry, also: also) {
            if let known = byDevice[entry.deviceNumber], !isNearer(entry, than: known) { continue }
            byDevice[entry.deviceNumber] = entry
        }
        return byDevice.values.sorted { $0.mountPoint < $1.mountPoint }
    }

    /// The last mount on a mount point covers the ones before it.
    private var visible: [MountEntry] {
        var last: [String: Int] = [:]
        for (position, entry) in entries.enumerated() { last[entry.mountPoint] = position }
        return entries.enumerated().filter { last[$0.element.mountPoint] == $0.offset }.map(\.element)
    }

    private func isWatched(_ entry: MountEntry, also: Set<String>) -> Bool {
        if also.contains(entry.type) { return true }
        // In a container the root is an overlay, and its space is what the container has.
        if entry.type == "overlay", entry.mountPoint == "/" { return true }
        return !Self.pseudoTypes.contains(entry.type)
    }

    private func isNearer(_ entry: MountEntry, than known: MountEntry) -> Bool {
        (entry.root.utf8.count, entry.mountPoint.utf8.count) < (known.root.utf8.count, known.mountPoint.utf8.count)
    }

    /// The mount that holds `path`: the longest mount point that is a folder above it.
    public func entry(holding path: String) -> MountEntry? {
        var best: MountEntry?
        for entry in visible where Self.isAbove(entry.mountPoint, path) {
            if entry.mountPoint.utf8.count >= best?.mountPoint.utf8.count ?? 0 { best = entry }
        }
        return best
    }

    static func isAbove(_ folder: String, _ path: String) -> Bool {
        folder == "/" || path == folder
            || (path.hasPrefix(folder) && path.utf8.dropFirst(folder.utf8.count).first == 47)
    }
}

extension MountEntry {
    /// One line without its end; nil where it is not of the documented form.
    init?(_ line: ArraySlice<UInt8>) {
        let fields = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: true)
        guard fields.count >= 9, let dash = fields[6...].firstIndex(of: [UInt8(ascii: "-")]), dash + 2 < fields.count,
            let id = Int(Self.text(fields[0])), let parent = Int(Self.text(fields[1])),
            let number = Self.deviceNumber(fields[2])
        else { return nil }
        self.id = id
        self.parent = parent
        deviceNumber = number
        root = Self.unescaped(fields[3])
        mountPoint = Self.unescaped(fields[4])
        type = Self.unescaped(fields[dash + 1])
        source = Self.unescaped(fields[dash + 2])
        let own = fields[5].split(separator: UInt8(ascii: ","))
        let ofSuperblock = dash + 3 < fields.count ? fields[dash + 3].split(separator: UInt8(ascii: ",")) : []
        let readOnly: ArraySlice<UInt8> = [UInt8(ascii: "r"), UInt8(ascii: "o")]
        isReadOnly = own.contains(readOnly) || ofSuperblock.contains(readOnly)
    }

    private static func text(_ bytes: ArraySlice<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }

    private static func deviceNumber(_ field: ArraySlice<UInt8>) -> UInt64? {
        let parts = field.split(separator: UInt8(ascii: ":"))
        guard parts.count == 2, let major = UInt32(text(parts[0])), let minor = UInt32(text(parts[1])) else {
            return nil
        }
        return UInt64(major) << 32 | UInt64(minor)
    }

    /// The kernel writes blanks, tabs, line ends and backslashes as `\040`, `\011`, `\012`, `\134`.
    static func unescaped(_ field: ArraySlice<UInt8>) -> String {
        var out: [UInt8] = []
        out.reserveCapacity(field.count)
        var rest = field[...]
        while let byte = rest.popFirst() {
            let digits = rest.prefix(3)
            if byte == UInt8(ascii: "\\"), digits.count == 3, digits.allSatisfy({ (48...55).contains($0) }) {
                out.append(UInt8(truncatingIfNeeded: digits.reduce(0) { $0 * 8 + Int($1 - 48) }))
                rest = rest.dropFirst(3)
            } else {
                out.append(byte)
            }
        }
        return String(decoding: out, as: UTF8.self)
    }
}
