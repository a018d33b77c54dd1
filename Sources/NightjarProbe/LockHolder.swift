// Who holds the lock that a thread waits for.
//
//     futex operation            lock                         holder's thread id
//     WAIT                       pthread mutex, NSLock        the word 8 bytes behind the futex (glibc's __owner)
//     LOCK_PI, LOCK_PI2          Swift's Mutex                the futex word itself, low 30 bits
//     WAIT_BITSET, others        semaphore, condition         nobody
//
// Dispatch waits with WAIT too, and what lies behind its word is unrelated memory; so a holder counts only where it is a
// living thread of this process, not the waiter itself, and the same at a second look.

import CNightjarProbe
import Glibc
import NightjarWire

enum LockHolder {
    /// The thread that holds what `blocked` waits for; nil where nobody does or it cannot be known.
    static func holder(of blocked: ThreadState.Blocked, waiter: Int32) -> Int32? {
        guard blocked.call == SystemCall.futex, let first = owner(blocked), first != waiter, first > 0,
            ThreadFiles.isAlive(first), owner(blocked) == first
        else { return nil }
        return first
    }

    private static func owner(_ blocked: ThreadState.Blocked) -> Int32? {
        let address = blocked.arguments.0
        switch blocked.arguments.1 & 0x7F {
        case 0:
            var words = (UInt32(0), UInt32(0), UInt32(0))
            guard nj_read_own(address, &words, 12) == 1, words.0 != 0 else { return nil }
            return Int32(truncatingIfNeeded: words.2)
        case 6, 13:
            var word: UInt32 = 0
            guard nj_read_own(address, &word, 4) == 1 else { return nil }
            return Int32(truncatingIfNeeded: word & 0x3FFF_FFFF)
        default: return nil
        }
    }
}
