internal import Logging
import Synchronization

/// A level for all loggers of a log, for a while: "debug for ten minutes". It ends by itself, also when nobody remembers.
final class LevelOverride: Sendable {
    /// Deadline on the coarse clock in milliseconds, and the level's rank in the lowest three bits; 0: none.
    private let word = Atomic<UInt64>(0)
    private let changes = Guarded<[String]>([])

    /// Changes that wait for the writer to say them; beyond it the oldest are forgotten.
    static let remembered = 8

    /// The level that counts for a logger whose own is `level`.
    @inline(__always) func effective(_ level: Logger.Level) -> Logger.Level {
        let word = word.load(ordering: .relaxed)
        return word == 0 ? level : decide(word, level)
    }

    @inline(never) private func decide(_ word: UInt64, _ level: Logger.Level) -> Logger.Level {
        guard Clock.coarse() / 1_000_000 < word >> 3 else {
            if self.word.compareExchange(expected: word, desired: 0, ordering: .relaxed).exchanged {
                note("level override ended, loggers are back at their own levels")
            }
            return level
        }
        return min(level, Logger.Level.allCases[Int(word & 7)])
    }

    func begin(_ level: Logger.Level, for duration: Duration) {
        let until = Clock.coarse() / 1_000_000 + duration.nanoseconds / 1_000_000
        word.store(until << 3 | UInt64(level.rank), ordering: .relaxed)
        note("level override: \(level.rawValue) for \(duration)")
    }

    func end() {
        if word.exchange(0, ordering: .relaxed) != 0 {
            note("level override ended, loggers are back at their own levels")
        }
    }

    /// When the writer has to look: on the monotonic clock, in nanoseconds; `.max` without an override.
    var endsAt: UInt64 {
        let word = word.load(ordering: .relaxed)
        return word == 0 ? .max : (word >> 3) &* 1_000_000 &+ 5_000_000
    }

    private func note(_ text: String) {
        changes.withLock { changes in
            changes.append(text)
            if changes.count > LevelOverride.remembered { changes.removeFirst() }
        }
    }

    /// What changed since the last call, for the writer to say. Ends an override that is over.
    func takeChanges() -> [String] {
        _ = effective(.critical)
        return changes.withLock { changes in
            defer { changes = [] }
            return changes
        }
    }
}
