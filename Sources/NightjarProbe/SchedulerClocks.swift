// When did a thread that is blocked now begin to wait? The kernel shows the moment at which it left its processor, but on the
// scheduler's clock of that processor, which leaves out what the host of a virtual machine took away. So every processor
// has a clock of its own, they drift apart by jumps (120 ms and 10 ms at a time have been seen), and all only fall back:
//
//     our clock - scheduler's clock of processor n     never shrinks, but for the slewing of ours
//
// It is measured in passing, whenever the watchdog itself or a loop that just answered was on that processor:
//
//     the watchdog has just woken on it       the difference now
//     a loop beat on it and went to sleep     at least the difference between its beat and its leaving

import CNightjarProbe
import Glibc

/// What is known of each processor's scheduler clock.
struct SchedulerClocks {
    /// Own readings need a file of 20 µs: not more often.
    private static let ownEvery: UInt64 = 500_000_000
    /// Older readings are no longer a lower bound: our clock is slewed.
    private static let lasts: UInt64 = 10_000_000_000
    private static let mostProcessors = 1024
    /// A loop that is busy answers a hundred times a second, and each comparison reads two files.
    private static let comparedEvery: UInt64 = 500_000_000

    private struct Difference {
        var nanoseconds: Int64
        var takenAt: UInt64
    }

    private var differences: [Int32: Difference] = [:]
    private var comparedAt: UInt64 = 0

    /// The calling thread has just been woken, at `now`.
    mutating func compareOwn(_ now: UInt64) {
        let processor = nj_processor()
        if let known = differences[processor], now &- known.takenAt < Self.ownEvery { return }
        guard let left = ThreadFiles.ownLastRan() else { return }
        keep(Difference(nanoseconds: Int64(bitPattern: now &- left), takenAt: now), of: processor)
    }

    func isDue(_ now: UInt64) -> Bool { now &- comparedAt >= Self.comparedEvery }

    /// A thread that beat at `beat` is asleep at `now`.
    mutating func compare(_ files: borrowing ThreadFiles, withBeat beat: UInt64, _ now: UInt64) {
        guard isDue(now) else { return }
        comparedAt = now
        guard let processor = files.processor(), let left = files.lastRan() else { return }
        let difference = Difference(nanoseconds: Int64(bitPattern: beat &- left), takenAt: now)
        if let known = differences[processor], now &- known.takenAt < Self.lasts,
            known.nanoseconds >= difference.nanoseconds
        {
            return
        }
        keep(difference, of: processor)
    }

    private mutating func keep(_ difference: Difference, of processor: Int32) {
        guard differences.count < Self.mostProcessors || differences[processor] != nil else { return }
        differences[processor] = difference
    }

    /// When the thread left its processor, on our clock.
    func leftProcessor(_ files: borrowing ThreadFiles) -> UInt64? {
        guard let processor = files.processor(), let difference = differences[processor], let left = files.lastRan()
        else { return nil }
        return left &+ UInt64(bitPattern: difference.nanoseconds)
    }
}
