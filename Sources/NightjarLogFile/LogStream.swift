// One log on the disk: opening, finding out that somebody moved it, rotating, and keeping to the budget.
//
// Several processes may write the same log. Each line goes out in one write(2) to a descriptor in append mode, so lines
// never mix. While it writes, a process holds a shared lock (flock) on the very file; who rotates or compresses holds it
// exclusively. So nobody writes into a file that has just been renamed, and after taking the lock everyone looks
// whether the path still leads to its file: a log that was rotated by another process, by logrotate or deleted by hand
// is simply opened anew.
//
// A rotation makes the new file first, then gives the old one its second name, then renames the new file over the path:
// there is no moment without a file, nothing is ever truncated, and a step that fails leaves the log as it was.

internal import CNightjarLogFile
import Glibc

/// Why nothing can be written right now.
struct Blockage: Hashable, Sendable {
    enum Reason: Hashable, Sendable { case failure, floor, budget }
    var reason: Reason
    /// errno; 0 where it is not the system that refuses.
    var code: Int32
}

final class LogStream: @unchecked Sendable {
    let path: String
    let rotation: LogFileConfiguration.Rotation
    let retention: LogFileConfiguration.Retention
    let compression: LogFileConfiguration.Compression
    let floor: LogFileConfiguration.FreeSpaceFloor
    let reserveBytes: Int
    /// Errors are written below the free-space floor too.
    let keepsFloor: Bool
    let mode: UInt32

    var fd: Int32 = -1
    var inode: UInt64 = 0
    var device: UInt64 = 0
    var size = 0
    /// A device or a pipe is written, but not rotated, measured or reserved.
    var isRegular = false
    /// Bytes that the reserve adds to what the current file takes of the disk.
    var allocatedEnd = 0
    var rotated: RotatedFiles
    var period: UInt64 = 0
    /// Where the file ends after a write that took only part of a line, else nil.
    var tornEnd: Int?
    /// Where that line begins.
    var tornStart = 0
    /// Calls of write(2).
    var writes = 0
    var rotations = 0
    var deletedFiles = 0
    var reserveIsHeld = false

    /// The largest single write: bounds how far several processes together can overshoot a file's size.
    static let largestWrite = 256 << 10

    init(
        path: String, rotation: LogFileConfiguration.Rotation, retention: LogFileConfiguration.Retention,
        compression: LogFileConfiguration.Compression, floor: LogFileConfiguration.FreeSpaceFloor, reserveBytes: Int,
        keepsFloor: Bool, mode: UInt32
    ) {
        self.path = path
        self.rotation = rotation
        self.retention = retention
        self.compression = compression
        self.floor = floor
        self.reserveBytes = reserveBytes
        self.keepsFloor = keepsFloor
        self.mode = mode
        rotated = RotatedFiles(path: path)
    }

    deinit { if fd >= 0 { close(fd) } }

    /// Writes as much as it can. `written` may end inside a line.
    func write(_ bytes: UnsafeRawBufferPointer) -> (written: Int, blockage: Blockage?, mustRestartLine: Bool) {
        var written = 0
        var fruitless = 0
        while written < bytes.count {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[written...])
            switch step(rest) {
            case .wrote(let count):
                written += count
                fruitless = count > 0 ? 0 : fruitless + 1
                // Somebody moves the file away as fast as it is opened.
                if fruitless > 16 { return (written, Blockage(reason: .failure, code: EAGAIN), false) }
            case .blocked(let blockage): return (written, blockage, false)
            case .restartLine: return (written, nil, true)
            }
        }
        return (written, nil, false)
    }

    enum Step { case wrote(Int), blocked(Blockage), restartLine }

    func step(_ bytes: UnsafeRawBufferPointer) -> Step {
        if let code = openIfNeeded() { return .blocked(Blockage(reason: .failure, code: code)) }
        lockShared()
        defer { unlock() }
        guard refresh() else {
            reopen()
            return tornEnd == nil ? .wrote(0) : restart()
        }
        if let tornEnd, tornEnd != size { return restart() }
        if tornEnd == nil, rotationIsDue(next: min(bytes.count, LogStream.largestWrite, roomWanted(bytes))) {
            unlock()
            if rotate() { return .wrote(0) }
            lockShared()
            _ = refresh()
        }
        if belowFloor() { return .blocked(Blockage(reason: .floor, code: 0)) }
        let chunk = chunkLength(bytes)
        guard makeRoom(for: chunk) else { return .blocked(Blockage(reason: .budget, code: 0)) }
        return put(UnsafeRawBufferPointer(rebasing: bytes[..<chunk]))
    }

    /// Somebody wrote behind our half line: it is ended here, and written whole again.
    func restart() -> Step {
        tornEnd = nil
        if fd >= 0 { endTornLine() }
        return .restartLine
    }

    func put(_ bytes: UnsafeRawBufferPointer) -> Step {
        writes += 1
        let count = Glibc.write(fd, bytes.baseAddress!, bytes.count)
        guard count >= 0 else {
            if errno == EINTR { return .wrote(0) }
            return .blocked(failed(errno))
        }
        size += count
        if count > 0 { noteEnd(UnsafeRawBufferPointer(rebasing: bytes[..<count])) }
        if reserveBytes > 0, isRegular { topUpReserve() }
        if count == 0 { return .blocked(Blockage(reason: .failure, code: EIO)) }
        return .wrote(count)
    }

    func noteEnd(_ written: UnsafeRawBufferPointer) {
        guard written[written.count - 1] != 0x0A else {
            tornEnd = nil
            return
        }
        let end = endNow()
        if let lineEnd = written.lastIndex(of: 0x0A) {
            tornStart = end - (written.count - lineEnd - 1)
        } else if tornEnd == nil {
            tornStart = end - written.count
        }
        tornEnd = end
    }

    /// Takes half a line back that will never be completed. Under the exclusive lock nobody has written behind it.
    func dropTornTail() {
        guard let tornEnd, fd >= 0, lockExclusive() else { return }
        defer { unlock() }
        if refresh(), size == tornEnd, ftruncate(fd, off_t(tornStart)) == 0 {
            size = tornStart
            self.tornEnd = nil
        }
    }

    func failed(_ code: Int32) -> Blockage {
        // A device that failed once may have come back under a new mount: the next try opens the path again.
        if code != ENOSPC, code != EDQUOT, tornEnd == nil { closeFile() }
        return Blockage(reason: .failure, code: code)
    }

    func endNow() -> Int {
        var status = stat()
        return fstat(fd, &status) == 0 ? Int(status.st_size) : size
    }

    /// The length of the first line: what a file must have room for.
    func roomWanted(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard let end = memchr(bytes.baseAddress!, 0x0A, bytes.count) else { return bytes.count }
        return UnsafeRawPointer(end) - bytes.baseAddress! + 1
    }

    /// Whole lines that fit into this file, or the one line that has to go anyway.
    func chunkLength(_ bytes: UnsafeRawBufferPointer) -> Int {
        let room = min(max(rotation.bytes - size, 0), LogStream.largestWrite)
        if bytes.count <= room { return bytes.count }
        var end = min(room, bytes.count)
        while end > 0, bytes[end - 1] != 0x0A { end -= 1 }
        return end > 0 ? end : roomWanted(bytes)
    }

    // Opening.

    /// nil, or the errno.
    func openIfNeeded() -> Int32? {
        if fd >= 0 { return nil }
        fd = nj_log_open_append(path, mode, 0)
        if fd < 0, errno == ENOENT, makeDirectory(rotated.directory) { fd = nj_log_open_append(path, mode, 0) }
        guard fd >= 0 else { return errno }
        adopt()
        return nil
    }

    func adopt() {
        var status = stat()
        fstat(fd, &status)
        inode = UInt64(status.st_ino)
        device = UInt64(status.st_dev)
        size = Int(status.st_size)
        allocatedEnd = size
        period = currentPeriod(seconds: size > 0 ? status.st_mtim.tv_sec : Clock.wallSeconds())
        rotated.scan(currentInode: inode)
        isRegular = status.st_mode & S_IFMT == S_IFREG
        if isRegular {
            endTornLine()
            if reserveBytes > 0 { topUpReserve() }
        }
    }

    /// A crash or a full disk may have left half a line.
    func endTornLine() {
        guard size > 0 else { return }
        let reader = open(path, O_RDONLY | O_CLOEXEC)
        guard reader >= 0 else { return }
        defer { close(reader) }
        var last: UInt8 = 0x0A
        if pread(reader, &last, 1, off_t(size - 1)) == 1, last != 0x0A, tornEnd == nil {
            if Glibc.write(fd, "\n", 1) == 1 { size += 1 }
        }
    }

    func closeFile() {
        if fd >= 0 { close(fd) }
        fd = -1
        reserveIsHeld = false
    }

    func reopen() { closeFile() }

    /// Reads length and identity again. False where the path leads elsewhere by now.
    func refresh() -> Bool {
        var mine = stat()
        var theirs = stat()
        guard fstat(fd, &mine) == 0 else { return false }
        size = Int(mine.st_size)
        guard stat(path, &theirs) == 0 else { return false }
        return theirs.st_ino == mine.st_ino && theirs.st_dev == mine.st_dev
    }

    /// Waits for a rotation that another process is just carrying out, but not for a process that hangs.
    func lockShared() {
        for _ in 0..<100 {
            guard fd >= 0, flock(fd, LOCK_SH | LOCK_NB) != 0, errno == EWOULDBLOCK else { return }
            usleep(500)
        }
    }
    func unlock() { if fd >= 0 { _ = flock(fd, LOCK_UN) } }

    /// A line of our own, written between lines. Best effort.
    func writeOwnLine(_ bytes: [UInt8]) -> Bool {
        guard tornEnd == nil, fd >= 0, makeRoom(for: bytes.count) else { return false }
        lockShared()
        defer { unlock() }
        guard refresh() else { return false }
        let count = bytes.withUnsafeBytes { Glibc.write(fd, $0.baseAddress!, $0.count) }
        if count > 0 { size += count }
        if count > 0, count < bytes.count { tornOwn() }
        return count == bytes.count
    }

    func tornOwn() {
        if Glibc.write(fd, "\n", 1) != 1 { closeFile() }
    }

    /// 0, or the errno with which the disk refuses what the kernel had taken.
    func syncToDisk() -> Int32 { fd >= 0 && fdatasync(fd) != 0 ? errno : 0 }
}

extension LogStream {
    var hasPlainFiles: Bool { compression != .none && rotated.files.contains { $0.packing == .plain } }
}

/// What the system calls this error.
func errorText(_ code: Int32) -> String { String(cString: strerror(code)) }
