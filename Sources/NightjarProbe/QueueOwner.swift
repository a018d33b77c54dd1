// Which thread is running a serial queue right now. A queue that nobody runs is idle, and needs no ping to prove it.
//
// libdispatch keeps the owner's thread id in the queue's state word. Where that word lies is not documented, so it is found
// out instead of assumed: inside a block on a queue of our own, a word must hold our thread id, and outside it must not. If
// that ever fails, queues are pinged like everything else.

import CNightjarProbe
import Dispatch
import Glibc

/// Reads the owner of serial queues.
struct QueueOwner {
    /// The low 30 bits of a lock word are a thread id, the others say that somebody waits.
    private static let threadMask: UInt32 = 0x3FFF_FFFF
    /// The Swift object holds the queue behind its header.
    private static let wrapperOffset = 16
    private static let searched = 128

    private let word: UnsafePointer<UInt32>

    /// The thread that drains the queue; 0 = nobody.
    var tid: Int32 { Int32(truncatingIfNeeded: nj_load32(word) & Self.threadMask) }

    /// nil where this libdispatch keeps its state elsewhere.
    init?(_ queue: DispatchQueue) {
        guard let offset = Self.offset, let base = Self.base(of: queue) else { return nil }
        word = base.advanced(by: offset).assumingMemoryBound(to: UInt32.self)
    }

    private static func base(of queue: DispatchQueue) -> UnsafeRawPointer? {
        let object = UnsafeRawPointer(Unmanaged.passUnretained(queue).toOpaque())
        var pointer: UInt = 0
        guard nj_read_own(UInt64(UInt(bitPattern: object)) &+ UInt64(wrapperOffset), &pointer, 8) == 1 else {
            return nil
        }
        return UnsafeRawPointer(bitPattern: pointer)
    }

    private static let offset: Int? = findOffset()

    private static func findOffset() -> Int? {
        let queue = DispatchQueue(label: "nightjar.calibration")
        guard let base = base(of: queue) else { return nil }
        let own = queue.sync { wordsEqual(to: UInt32(truncatingIfNeeded: currentThread()), at: base) }
        guard own.count == 1, let offset = own.first else { return nil }
        var word: UInt32 = 1
        guard nj_read_own(UInt64(UInt(bitPattern: base)) &+ UInt64(offset), &word, 4) == 1, word & threadMask == 0
        else {
            return nil
        }
        return offset
    }

    private static func wordsEqual(to tid: UInt32, at base: UnsafeRawPointer) -> [Int] {
        var words = [UInt32](repeating: 0, count: searched / 4)
        guard nj_read_own(UInt64(UInt(bitPattern: base)), &words, searched) == 1 else { return [] }
        return words.indices.filter { words[$0] & threadMask == tid }.map { $0 * 4 }
    }
}

/// The calling thread's id.
func currentThread() -> Int32 { nj_own_tid() }
