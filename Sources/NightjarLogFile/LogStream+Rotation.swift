internal import CNightjarLogFile
import Glibc

// Rotation: the new file is made first, then the old one gets its second name, then the new one takes the path.
extension LogStream {
    func currentPeriod(seconds: Int) -> UInt64 {
        guard let every = rotation.every, every.wholeSeconds > 0 else { return 0 }
        return UInt64(max(0, seconds / every.wholeSeconds))
    }

    func rotationIsDue(next: Int) -> Bool {
        guard size > 0 else { return false }
        if size + next > rotation.bytes { return true }
        return rotation.every != nil && currentPeriod(seconds: Clock.wallSeconds()) != period
    }

    /// True where the log goes on in another file than before. False leaves everything as it was.
    func rotate() -> Bool {
        guard fd >= 0, lockExclusive() else { return fd < 0 }
        defer { unlock() }
        guard refresh() else {
            reopen()
            return true
        }
        rotated.scan(currentInode: inode)
        let fresh = nj_log_open_fresh(rotated.freshPath, mode)
        guard fresh >= 0 else { return false }
        guard reserveBytes == 0 || reserve(fresh, from: 0), giveSecondName() else {
            unlink(rotated.freshPath)
            close(fresh)
            return false
        }
        releaseReserve()
        guard rename(rotated.freshPath, path) == 0 else {
            unlink(rotated.freshPath)
            close(fresh)
            return false
        }
        unlock()
        close(fd)
        fd = fresh
        adopt()
        rotations += 1
        deletedFiles += rotated.applyAgeAndCount(retention, now: Clock.wallSeconds())
        return true
    }

    func lockExclusive() -> Bool {
        for _ in 0..<200 {
            if flock(fd, LOCK_EX | LOCK_NB) == 0 { return true }
            // File systems without locks: the renames below are safe by themselves.
            guard errno == EWOULDBLOCK else { return true }
            usleep(1_000)
        }
        return false
    }

    /// The old file under its number. A name that is taken leads to the next number.
    func giveSecondName() -> Bool {
        var number = rotated.nextNumber
        for _ in 0..<1_000 {
            let target = rotated.path(number: number, packing: .plain)
            if link(path, target) == 0 {
                if !rotated.isPacked(number) { return true }
                // The one of that number was packed just now. Two of a number would be taken for one.
                unlink(target)
                number += 1
                continue
            }
            if errno == EEXIST {
                if isSameFile(target) { return true }
                number += 1
                continue
            }
            // No hard links here: the rename leaves a moment without a file, but loses nothing.
            guard errno == EPERM || errno == EOPNOTSUPP || errno == EMLINK else { return false }
            if access(target, F_OK) != 0, !rotated.isPacked(number) { return rename(path, target) == 0 }
            number += 1
        }
        return false
    }

    func isSameFile(_ other: String) -> Bool {
        var status = stat()
        return stat(other, &status) == 0 && UInt64(status.st_ino) == inode && UInt64(status.st_dev) == device
    }
}
