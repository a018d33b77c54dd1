internal import Glibc

/// A folder of its own for one test, removed with all that is in it when it is dropped.
public final class TemporaryFolder {
    /// Where it is.
    public let path: String

    /// Makes it.
    public init() {
        // In memory where there is such a place: trees of many small files are slow on a busy disk.
        for place in ["/dev/shm", "/tmp"] {
            var template = Array("\(place)/nightjar-test.XXXXXX".utf8CString)
            if let made = mkdtemp(&template) {
                path = String(cString: made)
                return
            }
        }
        preconditionFailure("cannot make a folder below /tmp")
    }

    deinit { Self.remove(path) }

    /// Makes a folder below, with those on the way.
    public func makeFolder(_ name: String) {
        var made = path
        for part in name.split(separator: "/") {
            made += "/\(part)"
            mkdir(made, 0o755)
        }
    }

    /// Writes a file below, and makes the folders on the way. A file that is there is written in place, so that whoever
    /// has it open sees the new text.
    public func write(_ name: String, _ bytes: [UInt8]) {
        if let slash = name.lastIndex(of: "/") { makeFolder(String(name[..<slash])) }
        let descriptor = open("\(path)/\(name)", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        precondition(descriptor >= 0, "cannot write \(path)/\(name)")
        defer { close(descriptor) }
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress! + written, bytes.count - written)
            }
            precondition(count > 0, "cannot write \(path)/\(name)")
            written += count
        }
    }

    /// The same with text.
    public func write(_ name: String, _ text: String) { write(name, Array(text.utf8)) }

    /// Removes a file or a folder below.
    public func remove(_ name: String) { Self.remove("\(path)/\(name)") }

    /// A file that nobody ever answers: opening it for reading waits for a writer.
    public func makeSilent(_ name: String) {
        if let slash = name.lastIndex(of: "/") { makeFolder(String(name[..<slash])) }
        unlink("\(path)/\(name)")
        mkfifo("\(path)/\(name)", 0o644)
    }

    private static func remove(_ path: String) {
        if let folder = opendir(path) {
            while let entry = readdir(folder) {
                let name = withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                if name != ".", name != ".." { remove("\(path)/\(name)") }
            }
            closedir(folder)
            rmdir(path)
        } else {
            unlink(path)
        }
    }
}
