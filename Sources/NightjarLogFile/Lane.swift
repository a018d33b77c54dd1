internal import CNightjarLogFile
import Glibc

/// Lines that wait for the writer: producers append to the front buffer, the writer drains the back one.
///
///     producers ──▶ front ──swap──▶ back ──write(2)──▶ file
///
/// A producer holds the lock for one copy of its line. When the disk takes nothing, the back buffer stays as it is, the
/// front fills, and what comes then is refused and counted by the producer: lines already in memory are never lost to
/// make room, memory is bounded, and nobody waits.
final class Lane: @unchecked Sendable {
    let raw: UnsafeMutablePointer<nj_log_lane>
    let capacity: Int
    /// Guarded by the lane's lock: offsets in the front buffer where lines begin that are only copies (errors that have
    /// a file of their own), so that they are not counted as kept twice.
    private var frontCopies: [UInt32] = []
    /// The same for the back buffer; the writer's alone.
    private(set) var backCopies: [UInt32] = []
    /// Lines appended since the beginning, without copies. Guarded by the lock.
    private var appended: UInt64 = 0
    let wakeAt: Int

    enum Appended {
        case refused, done
        /// The lane was empty before: a sleeping writer has to hear of it.
        case first
        /// There is enough for a large write.
        case crossed
    }

    /// Null where there is no memory for it.
    init?(capacity: Int, path: String, mode: UInt32) {
        guard let lane = nj_log_lane_create(capacity, path, mode) else { return nil }
        raw = lane
        self.capacity = capacity
        wakeAt = min(256 << 10, capacity / 4)
    }

    deinit { nj_log_lane_destroy(raw) }

    /// `limit` is how full the lane may be for a line of this importance.
    func append(_ line: UnsafeRawBufferPointer, limit: Int, isCopy: Bool) -> Appended {
        nj_log_lane_lock(raw)
        defer { nj_log_lane_unlock(raw) }
        let used = raw.pointee.front_used
        guard used + line.count <= limit else { return .refused }
        memcpy(raw.pointee.front + used, line.baseAddress!, line.count)
        if isCopy { frontCopies.append(UInt32(used)) } else { appended += 1 }
        raw.pointee.front_used = used + line.count
        if used < wakeAt, used + line.count >= wakeAt { return .crossed }
        return used == 0 ? .first : .done
    }

    /// True where nothing waits, in front or back.
    var isEmpty: Bool {
        nj_log_lane_lock(raw)
        defer { nj_log_lane_unlock(raw) }
        return raw.pointee.front_used == 0 && raw.pointee.back_used == raw.pointee.back_done
    }

    /// Part of the back buffer is still to be written. The writer's alone.
    var isHalfWritten: Bool { raw.pointee.back_used != raw.pointee.back_done }

    var appendedCount: UInt64 {
        nj_log_lane_lock(raw)
        defer { nj_log_lane_unlock(raw) }
        return appended
    }

    var pendingBytes: Int {
        nj_log_lane_lock(raw)
        defer { nj_log_lane_unlock(raw) }
        return raw.pointee.front_used + raw.pointee.back_used - raw.pointee.back_done
    }

    // The writer's side.

    /// What is still to be written of the back buffer; swaps when it is used up. Until `advance` the lane counts as being
    /// written, and a crash handler leaves the back buffer alone.
    func take() -> UnsafeRawBufferPointer {
        nj_log_lane_lock(raw)
        defer { nj_log_lane_unlock(raw) }
        if raw.pointee.back_done == raw.pointee.back_used { swapBuffers() }
        let rest = raw.pointee.back_used - raw.pointee.back_done
        raw.pointee.writing = rest > 0 ? 1 : 0
        return UnsafeRawBufferPointer(start: raw.pointee.back + raw.pointee.back_done, count: rest)
    }

    /// Under the lock.
    private func swapBuffers() {
        swap(&raw.pointee.front, &raw.pointee.back)
        raw.pointee.back_used = raw.pointee.front_used
        raw.pointee.back_done = 0
        raw.pointee.front_used = 0
        swap(&frontCopies, &backCopies)
        frontCopies.removeAll(keepingCapacity: frontCopies.capacity <= 4_096)
    }

    /// Bytes of `take` that have reached the file. Returns the whole lines among them, copies not counted.
    func advance(by count: Int) -> UInt64 {
        let from = raw.pointee.back_done
        let bytes = UnsafeRawBufferPointer(start: raw.pointee.back + from, count: count)
        let lines = newlines(bytes)
        // A copy counts with the end of its line, as every line does.
        let copies = lines > 0 ? passedCopies(upTo: from + lastLineEnd(bytes)) : 0
        nj_log_lane_lock(raw)
        raw.pointee.back_done = from + count
        raw.pointee.writing = 0
        nj_log_lane_unlock(raw)
        return lines - copies
    }

    private func newlines(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        guard var position = bytes.baseAddress else { return 0 }
        let end = position + bytes.count
        var lines: UInt64 = 0
        while position < end, let found = memchr(position, 0x0A, end - position) {
            lines += 1
            position = UnsafeRawPointer(found) + 1
        }
        return lines
    }

    private func lastLineEnd(_ bytes: UnsafeRawBufferPointer) -> Int {
        var end = bytes.count
        while end > 0, bytes[end - 1] != 0x0A { end -= 1 }
        return end
    }

    private func passedCopies(upTo end: Int) -> UInt64 {
        guard !backCopies.isEmpty else { return 0 }
        let passed = backCopies.prefix { Int($0) < end }.count
        backCopies.removeFirst(passed)
        return UInt64(passed)
    }

    /// The writer goes back to the beginning of the line that it stands in.
    func rewindToLineStart() {
        nj_log_lane_lock(raw)
        defer { nj_log_lane_unlock(raw) }
        while raw.pointee.back_done > 0, raw.pointee.back[raw.pointee.back_done - 1] != 0x0A {
            raw.pointee.back_done -= 1
        }
    }

    /// Lines that will never be written any more, copies not counted. Called once, at the end.
    func abandon() -> UInt64 {
        rewindToLineStart()
        var lines: UInt64 = 0
        for _ in 0..<2 {
            let rest = take()
            lines += advance(by: rest.count)
        }
        return lines
    }

    /// Where both buffers lie, one behind the other.
    var memory: UnsafeMutableRawPointer { UnsafeMutableRawPointer(min(raw.pointee.front, raw.pointee.back)) }

    /// Gives the pages of both buffers back to the system. Only while empty.
    func releasePages() {
        nj_log_lane_lock(raw)
        defer { nj_log_lane_unlock(raw) }
        guard raw.pointee.front_used == 0, raw.pointee.back_used == raw.pointee.back_done else { return }
        madvise(raw.pointee.front, capacity, MADV_DONTNEED)
        madvise(raw.pointee.back, capacity, MADV_DONTNEED)
        frontCopies = []
        backCopies = []
    }

    func setDescriptor(_ fd: Int32) { raw.pointee.fd = fd }

    /// In the child after fork: what was pending is the parent's.
    func resetAfterFork() {
        nj_log_lane_reset_after_fork(raw)
        // A thread of the parent may have been changing them: they are left alone, not released.
        withUnsafeMutablePointer(to: &frontCopies) { $0.initialize(to: []) }
        withUnsafeMutablePointer(to: &backCopies) { $0.initialize(to: []) }
        appended = 0
    }
}
