// What survives a restart: the histories of all file systems, keyed by mount point and source. A state of another
// version, or a corrupt one, is no state: histories then begin anew.

import NightjarDetectors
import NightjarModel

extension DiskWatch {
    private static var version: UInt8 { 1 }
    /// More than any host has; a file that says more is corrupt.
    private static var maximumStates: Int { 1_024 }

    /// The detectors' histories; 20 KiB a file system.
    public func encodedState() -> [UInt8] {
        var out: [UInt8] = [Self.version]
        let all = mounts.values.filter { $0.sample != nil }
        out.append(integer: UInt16(min(all.count, Self.maximumStates)))
        for mount in all.prefix(Self.maximumStates) {
            out.append(text: mount.mountPoint)
            out.append(text: mount.source)
            mount.disk.encode(into: &out)
            mount.inode.encode(into: &out)
        }
        return out
    }

    /// Takes over what an earlier run knew; false where it cannot be read, and then nothing is taken.
    public mutating func restore(_ state: [UInt8]) -> Bool {
        var reader = ByteReader(state)
        guard reader.integer(UInt8.self) == Self.version, let count = reader.integer(UInt16.self),
            count <= Self.maximumStates
        else { return false }
        var found: [String: RestoredMount] = [:]
        for _ in 0..<count {
            guard let path = reader.text(), let source = reader.text(), let disk = DiskFill(decoding: &reader),
                let inode = InodeFill(decoding: &reader)
            else { return false }
            found[path] = RestoredMount(source: source, disk: disk, inode: inode)
        }
        restored = found
        return true
    }
}

/// One file system's history from an earlier run, until the file system is seen again.
struct RestoredMount {
    var source: String
    var disk: DiskFill
    var inode: InodeFill
}
