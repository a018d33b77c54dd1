import CNightjarLinux
import Glibc

/// A kept directory descriptor with one scratch buffer: all reads of a source go through it, so that they need no
/// allocation and can be counted. Not thread-safe.
final class Directory {
    let path: String
    let descriptor: Int32
    /// What one read may fill. A file that fills it is too large.
    let capacity: Int
    private let buffer: UnsafeMutablePointer<UInt8>
    private(set) var systemCalls: Int64 = 0
    private(set) var bytesRead: Int64 = 0

    /// - Parameter capacity: bytes of the scratch buffer.
    init(_ path: String, capacity: Int) throws(ProcError) {
        let descriptor = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw ProcError(.unreadable, path: path, detail: reason(errno)) }
        self.path = path
        self.descriptor = descriptor
        self.capacity = capacity
        buffer = .allocate(capacity: capacity)
        buffer.initialize(repeating: 0, count: capacity)
    }

    deinit {
        close(descriptor)
        buffer.deallocate()
    }

    /// What the last read put into the buffer. Valid until the next read.
    @inline(__always)
    func bytes(_ count: Int) -> UnsafeBufferPointer<UInt8> {
        UnsafeBufferPointer(start: buffer, count: min(count, capacity))
    }

    /// Reads `path` in one piece. Answers the number of bytes or a negative errno.
    @inline(__always)
    func read(_ path: UnsafePointer<CChar>) -> Int {
        let count = nj_read_at(descriptor, path, buffer, capacity)
        systemCalls &+= count == -Int(ENOENT) ? 1 : 3
        bytesRead &+= Int64(max(0, count))
        return count
    }

    /// Reads `path` to its end. Answers the number of bytes (`capacity` where there may be more) or a negative errno.
    func readWhole(_ path: UnsafePointer<CChar>) -> Int {
        let count = nj_read_whole_at(descriptor, path, buffer, capacity)
        systemCalls &+= count == -Int(ENOENT) ? 1 : 4
        bytesRead &+= Int64(max(0, count))
        return count
    }

    /// Reads a kept descriptor from its beginning.
    @inline(__always)
    func reread(_ file: Int32) -> Int {
        let count = nj_pread(file, buffer, capacity)
        systemCalls &+= 1
        bytesRead &+= Int64(max(0, count))
        return count
    }

    /// Opens a file below for `reread`. A negative errno where the kernel refuses.
    func open(_ path: UnsafePointer<CChar>) -> Int32 {
        systemCalls &+= 1
        return nj_open_at(descriptor, path)
    }

    func shut(_ file: Int32) {
        systemCalls &+= 1
        close(file)
    }

    /// `st_size` of a path below, or a negative errno.
    func size(_ path: UnsafePointer<CChar>) -> Int64 {
        systemCalls &+= 1
        return nj_size_at(descriptor, path)
    }

    /// How many entries a folder below has, counted up to `most`; or a negative errno.
    func entries(_ path: UnsafePointer<CChar>, most: Int) -> Int {
        let count = nj_count_entries_at(descriptor, path, most)
        systemCalls &+= count < 0 ? 1 : 4 &+ Int64(count / 512)
        return count
    }

    /// The numeric names in this folder.
    func numbers(into list: UnsafeMutableBufferPointer<Int32>) -> Int {
        guard let start = list.baseAddress else { return 0 }
        let count = nj_list_numbers(descriptor, start, list.count)
        systemCalls &+= 2 &+ Int64(max(0, count) / 400)
        return count
    }
}

/// What the system says to an error number: `Permission denied`.
func reason(_ code: Int32) -> String {
    String(cString: strerror(code))
}
