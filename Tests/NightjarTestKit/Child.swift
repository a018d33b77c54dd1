internal import CNightjarTestKit
internal import Glibc
public import NightjarModel

/// A real child process that does what a test wishes and then waits. Killed and collected when it is dropped.
public final class Child {
    /// Its pid.
    public let pid: Int32
    /// User and system time that it had used when it was ready, by its own `getrusage`.
    public let cpuTime: Duration
    /// The largest it had been resident by then, by its own `getrusage`.
    public let largestResident: Bytes
    private let wakeDescriptor: Int32
    private var hasEnded = false

    /// Could not do what was wished: an errno.
    public struct Refused: Error {
        /// What the kernel said.
        public var code: Int32
    }

    /// Starts it and waits until it is ready.
    ///
    /// - Parameters:
    ///   - memory: anonymous memory that it touches.
    ///   - descriptors: how many it opens beyond those that it inherits.
    ///   - threads: how many wait beside its first.
    ///   - burn: CPU time that it uses up in its first thread.
    ///   - burnInThread: CPU time that it uses up in a thread that then ends.
    ///   - user: whom it becomes; needs root.
    ///   - endsAtOnce: it ends, and stays a zombie until `end()`.
    ///   - executes: a program and an argument, executed when the test calls `proceed()`.
    public init(
        memory: Bytes = .zero, descriptors: Int = 0, threads: Int = 0, burn: Duration = .zero,
        burnInThread: Duration = .zero, user: UInt32 = 0, endsAtOnce: Bool = false,
        executes: (program: String, argument: String)? = nil
    ) throws {
        var wish = njt_wish()
        wish.memory = memory.count
        wish.descriptors = Int64(descriptors)
        wish.threads = Int64(threads)
        wish.burn_ms = burn.nanosecondCount / 1_000_000
        wish.burn_in_thread_ms = burnInThread.nanosecondCount / 1_000_000
        wish.uid = user
        wish.ends = endsAtOnce ? 1 : 0
        let program = executes.map { strdup($0.program) } ?? nil
        let argument = executes.map { strdup($0.argument) } ?? nil
        defer {
            free(program)
            free(argument)
        }
        wish.program = program.map { UnsafePointer($0) }
        wish.argument = argument.map { UnsafePointer($0) }
        var usage = rusage()
        var wake: Int32 = -1
        var pid = njt_start(&wish, &usage, &wake)
        // A child forked out of a crowd of threads may die before it answers (EPIPE); another one is born.
        for _ in 0..<3 where pid == -EPIPE { pid = njt_start(&wish, &usage, &wake) }
        guard pid > 0 else { throw Refused(code: -pid) }
        self.pid = pid
        wakeDescriptor = wake
        let times = [usage.ru_utime, usage.ru_stime]
        cpuTime = .microseconds(times.reduce(0) { $0 + $1.tv_sec * 1_000_000 + Int(exactly: $1.tv_usec)! })
        largestResident = .kibi(Int64(usage.ru_maxrss))
    }

    deinit {
        end()
        if wakeDescriptor >= 0 { close(wakeDescriptor) }
    }

    /// Lets it execute its program.
    public func proceed() { njt_wake(wakeDescriptor) }

    /// Kills it and waits until it is gone.
    public func end() {
        guard !hasEnded else { return }
        hasEnded = true
        njt_end(pid)
    }
}
