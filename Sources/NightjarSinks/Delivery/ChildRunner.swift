// Runs commands for the sinks: no shell, a process group of their own, bounded in number, time and output.
//
// One thread serves all children with `poll`: their input and output pipes, a pidfd for each end, and a pipe of its own
// that wakes it. A command that is late is killed with its whole group. When a command has ended by itself, whatever it
// left behind in its group is killed too, while its process still holds the number, so that a pid used anew is never
// hit. Every child is reaped; one that cannot die (blocked in the kernel) keeps its place and is reaped when it can.

import CNightjarLinux
import Glibc
import NightjarModel

/// One command to run.
struct Job: Sendable {
    var arguments: [String]
    /// `KEY=value`; nothing of the agent's own environment is handed on.
    var environment: [String]
    var input: [UInt8] = []
    var timeLimit: Duration
    var done: @Sendable (Outcome) -> Void
}

/// How a command ended, with the first bytes of what it printed.
enum Outcome: Hashable, Sendable {
    case exited(Int32, output: String)
    case killed(signal: Int32, output: String)
    case late(output: String)
    case cannotStart(String)
}

/// A bounded queue of commands, at most `atOnce` of them running. Safe to call from any thread.
final class ChildRunner: @unchecked Sendable {
    private let core: RunnerCore
    private let thread: Worker

    init(name: String, atOnce: Int, queue: Int, output: Int = 4096) {
        core = RunnerCore(atOnce: max(atOnce, 1), queue: queue, output: output)
        thread = Worker(name: name, limit: 1)
    }

    deinit { core.stop() }

    /// False where the queue is full.
    func submit(_ job: Job) -> Bool {
        guard core.add(job) else { return false }
        if core.claimThread() { _ = thread.submit { [core] in core.serve() } }
        return true
    }

    var waiting: Int { core.waiting }

    /// Lets what runs and waits end, at most `limit`; then kills what is left. True where nothing was left.
    func finish(within limit: Duration) -> Bool {
        let end = steadyNow() + limit
        while core.waiting > 0, steadyNow() < end { usleep(5000) }
        let isDone = core.waiting == 0
        core.stop()
        return isDone && thread.finish(within: .seconds(1))
    }
}

/// The steady clock: time limits must not move with the wall clock.
func steadyNow() -> Moment {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return Moment(nanoseconds: Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec))
}
