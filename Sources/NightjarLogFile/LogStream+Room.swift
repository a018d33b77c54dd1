internal import CNightjarLogFile
import Glibc

// Room: the budget of all files of the log, the floor of free space that is left to others, and the reserve of errors.
//
// Reserve: blocks allocated behind the end of the file (fallocate, KEEP_SIZE). Appending uses them up first, so the
// next error lines need nothing from a full disk.
extension LogStream {
    /// A packing file may grow as large as what it packs, so that much is always left free.
    var allowance: Int { compression == .none ? 0 : rotation.bytes }

    /// What all files of this log take of the disk now.
    var bytesOnDisk: Int {
        rotated.bytes + ((max(size, allocatedEnd) + 4_095) & ~4_095)
    }

    func makeRoom(for chunk: Int) -> Bool {
        let limit = retention.totalBytes - allowance
        guard bytesOnDisk + chunk + 4_096 > limit, isRegular else { return true }
        rotated.scan(currentInode: inode)
        while bytesOnDisk + chunk + 4_096 > limit {
            guard rotated.deleteOldest(keeping: 0) != nil else { return bytesOnDisk + chunk <= retention.totalBytes }
            deletedFiles += 1
        }
        return true
    }

    func belowFloor() -> Bool {
        guard keepsFloor, isRegular, floor.bytes > 0, floor.share > 0 else { return false }
        while true {
            var status = statvfs()
            guard fstatvfs(fd, &status) == 0, status.f_blocks > 0 else { return false }
            let total = Double(status.f_blocks) * Double(status.f_frsize)
            let free = Double(status.f_bavail) * Double(status.f_frsize)
            if free >= min(Double(floor.bytes), total * floor.share) { return false }
            guard freeOldest() else { return true }
        }
    }

    /// Makes room on a full disk. False where only the minimum is left.
    func freeOldest() -> Bool {
        rotated.scan(currentInode: inode)
        guard rotated.deleteOldest(keeping: retention.minimumFiles) != nil else { return false }
        deletedFiles += 1
        return true
    }

    /// Age and number, also when nothing is written.
    func maintain() {
        guard fd >= 0 else { return }
        rotated.scan(currentInode: inode)
        deletedFiles += rotated.applyAgeAndCount(retention, now: Clock.wallSeconds())
        if reserveBytes > 0, isRegular { topUpReserve() }
        _ = belowFloor()
        if tornEnd == nil, rotation.every != nil, refresh(), rotationIsDue(next: 0) { _ = rotate() }
    }

    func rescan() { rotated.scan(currentInode: inode) }

    func topUpReserve() {
        guard allocatedEnd - size < reserveBytes / 2 || !reserveIsHeld else { return }
        let wanted = min(reserveBytes, max(0, retention.totalBytes - rotated.bytes - size - 4_096))
        if wanted > 0, reserve(fd, from: size, bytes: wanted) {
            allocatedEnd = size + wanted
            reserveIsHeld = true
        }
    }

    func reserve(_ descriptor: Int32, from: Int, bytes: Int? = nil) -> Bool {
        let code = nj_log_reserve(descriptor, off_t(from), off_t(bytes ?? reserveBytes))
        // Where the file system cannot do it there is no reserve, and nothing to wait for.
        return code == 0 || code == EOPNOTSUPP || code == ENOSYS
    }

    /// Only under the exclusive lock: nobody appends between the two calls.
    func releaseReserve() {
        guard reserveBytes > 0 else { return }
        var status = stat()
        if fstat(fd, &status) == 0 { ftruncate(fd, status.st_size) }
    }
}
