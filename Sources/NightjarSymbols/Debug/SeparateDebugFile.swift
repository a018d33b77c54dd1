// Distributions strip their binaries and ship symbols and debug information as files of their own. They are found by the
// binary's build-id,
//
//     /usr/lib/debug/.build-id/3f/09a1c2….debug
//
// or by the name that the binary carries (.gnu_debuglink: name and checksum), beside it, in .debug beside it, and below
// /usr/lib/debug. First in the root of the process that runs it, then in our own: a container's debug files are as often
// on the host.

enum SeparateDebugFile {
    private static let folder = "/usr/lib/debug"
    /// Larger ones are not checked by their checksum, which means reading them whole.
    static let largestChecked: UInt64 = 1 << 30

    /// The debug file of `file`, which its process calls `path`; `roots` are searched in order ("" = our own).
    static func find(for file: ELFFile, path: String, roots: [String]) -> ELFFile? {
        for root in roots {
            for (candidate, checksum) in candidates(for: file, path: path, root) {
                guard let found = ELFFile(path: candidate), !found.isEmpty(of: file) else { continue }
                if file.buildID.isEmpty ? checksum.map(found.hasChecksum) == true : found.buildID == file.buildID {
                    return found
                }
            }
        }
        return nil
    }

    private static func candidates(for file: ELFFile, path: String, _ root: String) -> [(String, UInt32?)] {
        var out: [(String, UInt32?)] = []
        if file.buildID.count > 1 {
            out.append(
                (
                    "\(root)\(folder)/.build-id/\(hex(file.buildID.prefix(1)))/\(hex(file.buildID.dropFirst())).debug",
                    nil
                ))
        }
        if let link = file.debugLink, let slash = path.lastIndex(of: "/") {
            let beside = path[..<slash]
            for place in ["\(beside)", "\(beside)/.debug", "\(folder)\(beside)"] {
                out.append(("\(root)\(place)/\(link.name)", link.checksum))
            }
        }
        return out
    }
}

extension ELFFile {
    /// What `.gnu_debuglink` says: a file name without folders, and the checksum of that file.
    var debugLink: (name: String, checksum: UInt32)? {
        contents(of: ".gnu_debuglink", limit: 4096).flatMap { bytes in
            bytes.withUnsafeBytes { raw in
                var cursor = ByteCursor(raw)
                let name = cursor.text(limit: 255)
                cursor.skip((4 - cursor.offset % 4) % 4)
                let checksum = cursor.u32()
                return cursor.failed || name.isEmpty || name.utf8.contains(UInt8(ascii: "/")) ? nil : (name, checksum)
            }
        }
    }

    /// It is the very file that it would describe, or describes nothing.
    fileprivate func isEmpty(of file: ELFFile) -> Bool {
        isSameFile(as: file) || !sections.contains { $0.type == 2 || $0.name == DebugSections.Name.info.rawValue }
    }

    /// CRC-32 of the whole file, as gdb and objcopy reckon it.
    fileprivate func hasChecksum(_ wanted: UInt32) -> Bool {
        guard size <= SeparateDebugFile.largestChecked else { return false }
        var sum: UInt32 = ~0
        var at: UInt64 = 0
        while at < size {
            guard let bytes = bytes(at: at, min(1 << 20, size - at), limit: 1 << 20) else { return false }
            for byte in bytes { sum = sum >> 8 ^ Self.checksumTable[Int(UInt8(truncatingIfNeeded: sum) ^ byte)] }
            at += UInt64(bytes.count)
        }
        return ~sum == wanted
    }

    private static let checksumTable: [UInt32] = (0..<256).map { index in
        (0..<8).reduce(UInt32(index)) { value, _ in value & 1 == 1 ? value >> 1 ^ 0xEDB8_8320 : value >> 1 }
    }
}
