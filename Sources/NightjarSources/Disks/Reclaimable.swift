// What could be freed at once, as advice. Nothing here deletes anything.

import CNightjarLinux
import Glibc
public import NightjarModel

/// Something that takes space and can be given back by one command.
public struct Reclaimable: Hashable, Sendable {
    /// `the journal`, `package archives`, `rotated logs`.
    public var what: String
    public var bytes: Bytes
    /// The command that frees it.
    public var command: String
    /// Where it lies.
    public var path: String

    /// What is known to be free-able on one device: journal, package caches, core dumps, rotated logs; 1 MiB and more.
    ///
    /// Reads a few folders (a bounded walk each): call it on a side thread.
    public static func look(device: UInt64, root: String = "/") -> [Reclaimable] {
        let prefix = root == "/" ? "" : root
        var found: [Reclaimable] = []
        for place in places {
            var bytes: Int64 = 0
            var left = 20_000
            sum(prefix + place.path, device: device, only: place.only, into: &bytes, left: &left, depth: 0)
            if bytes >= 1 << 20 {
                found.append(
                    Reclaimable(what: place.what, bytes: Bytes(bytes), command: place.command, path: place.path))
            }
        }
        return found.sorted { $0.bytes > $1.bytes }
    }

    private struct Place {
        var what: String
        var path: String
        var command: String
        var only: (@Sendable (String) -> Bool)?
    }

    private static let places: [Place] = [
        Place(what: "the journal", path: "/var/log/journal", command: "sudo journalctl --vacuum-size=500M"),
        Place(what: "the journal in memory", path: "/run/log/journal", command: "sudo journalctl --vacuum-size=100M"),
        Place(what: "package archives", path: "/var/cache/apt/archives", command: "sudo apt-get clean"),
        Place(what: "package archives", path: "/var/cache/dnf", command: "sudo dnf clean all"),
        Place(what: "package archives", path: "/var/cache/pacman/pkg", command: "sudo pacman -Scc"),
        Place(
            what: "core dumps", path: "/var/lib/systemd/coredump",
            command: "sudo find /var/lib/systemd/coredump -type f -mtime +3 -delete"),
        Place(
            what: "rotated logs", path: "/var/log",
            command: #"sudo find /var/log -type f \( -name '*.gz' -o -name '*.[1-9]' -o -name '*.zst' \) -delete"#,
            only: isRotated),
    ]

    /// `syslog.1`, `syslog.2.gz`, `app.log.zst`; not the journal's own files.
    @Sendable static func isRotated(_ name: String) -> Bool {
        let utf8 = Array(name.utf8)
        if [".gz", ".zst", ".xz", ".bz2"].contains(where: { name.hasSuffix($0) }) { return true }
        guard let dot = utf8.lastIndex(of: UInt8(ascii: ".")), dot + 1 < utf8.count else { return false }
        return utf8[(dot + 1)...].allSatisfy { (48...57).contains($0) }
    }

    private static func sum(
        _ folder: String, device: UInt64, only: ((String) -> Bool)?, into bytes: inout Int64, left: inout Int,
        depth: Int
    ) {
        guard depth < 6, let stream = opendir(folder) else { return }
        defer { closedir(stream) }
        let descriptor = dirfd(stream)
        while left > 0, let entry = readdir(stream) {
            let name = entryName(entry)
            if name == "." || name == ".." { continue }
            left -= 1
            var status = nj_file()
            guard nj_file_status(descriptor, name, 0, &status) == 0, status.device == device else { continue }
            switch status.mode & UInt32(S_IFMT) {
            case UInt32(S_IFDIR) where name != "journal" || only == nil:
                sum("\(folder)/\(name)", device: device, only: only, into: &bytes, left: &left, depth: depth + 1)
            case UInt32(S_IFREG) where only?(name) ?? true: bytes += status.allocated
            default: break
            }
        }
    }
}
