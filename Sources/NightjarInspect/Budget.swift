import CNightjarLinux
import Glibc

/// What an inspection may cost us and the target.
public struct Budget: Hashable, Sendable {
    /// Our own memory beyond what the program needs to run.
    public var memory: UInt64
    /// Wall clock time.
    public var seconds: Double
    /// Bytes copied out of the target.
    public var bytesRead: UInt64
    /// Longest stop of the target in seconds.
    public var pause = 2.0

    public init(memory: UInt64 = 1 << 30, seconds: Double = 120, bytesRead: UInt64 = 1 << 40) {
        self.memory = memory
        self.seconds = seconds
        self.bytesRead = bytesRead
    }

    func check(_ read: UInt64, since began: Double) throws {
        if read > bytesRead {
            throw InspectError(.overBudget, "gave up after \(read >> 20) MiB read: raise --bytes-limit to go on")
        }
        if monotonicSeconds() - began > seconds {
            throw InspectError(.overBudget, "gave up after \(Int(seconds)) s: raise --time-limit to go on")
        }
    }

    func check(memory wanted: UInt64, for purpose: String) throws {
        if wanted > memory {
            throw InspectError(
                .overBudget,
                "\(purpose) needs \(wanted >> 20) MiB of our own memory, allowed are \(memory >> 20): raise --memory-limit"
            )
        }
    }
}

func monotonicSeconds() -> Double {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return Double(now.tv_sec) + Double(now.tv_nsec) / 1e9
}
