internal import CNightjarTestKit
internal import FoundationEssentials
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
    /// Its parent, which collects it.
    private let keeper: Int32
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
        var wishes = [
            "memory=\(memory.count)", "descriptors=\(descriptors)", "threads=\(threads)",
            "burn=\(burn.nanosecondCount / 1_000_000)",
            "burn-in-thread=\(burnInThread.nanosecondCount / 1_000_000)", "user=\(user)",
        ].filter { !$0.hasSuffix("=0") }
        if endsAtOnce { wishes.append("ends=1") }
        if let executes { wishes += ["program=\(executes.program)", "argument=\(executes.argument)"] }
        let (answers, answersEnd) = try Self.makePipe()
        let (wakeEnd, wake) = try Self.makePipe()
        defer { close(answers) }
        keeper = try Self.spawn(wishes, [(answersEnd, 3), (wakeEnd, 4)])
        wakeDescriptor = wake
        var answer = Answer()
        let count = withUnsafeMutableBytes(of: &answer) { Glibc.read(answers, $0.baseAddress, $0.count) }
        pid = answer.pid
        cpuTime = .microseconds(answer.cpuMicroseconds)
        largestResident = .kibi(answer.largestKibibytes)
        guard count == MemoryLayout<Answer>.size, answer.failed == 0 else {
            end()
            throw Refused(code: count > 0 ? answer.failed : EPIPE)
        }
    }

    /// What the program writes on its descriptor 3.
    private struct Answer {
        var failed: Int32 = 0
        var pid: Int32 = 0
        var cpuMicroseconds: Int64 = 0
        var largestKibibytes: Int64 = 0
    }

    private static func makePipe() throws -> (read: Int32, write: Int32) {
        var ends: [Int32] = [0, 0]
        guard njt_pipe(&ends) == 0 else { throw Refused(code: errno) }
        return (ends[0], ends[1])
    }

    /// Starts the program with descriptors where it expects them; ours are closed.
    private static func spawn(_ wishes: [String], _ descriptors: [(ours: Int32, its: Int32)]) throws -> Int32 {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        // By way of numbers that neither is: 3 may be one of ours.
        for (ours, its) in descriptors { posix_spawn_file_actions_adddup2(&actions, ours, its + 500) }
        for (_, its) in descriptors {
            posix_spawn_file_actions_adddup2(&actions, its + 500, its)
            posix_spawn_file_actions_addclose(&actions, its + 500)
        }
        let program = Program("nightjar-test-child").path.path(percentEncoded: false)
        var words: [UnsafeMutablePointer<CChar>?] = ([program] + wishes).map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        var child: pid_t = 0
        let failed = posix_spawn(&child, program, &actions, nil, &words, environ)
        for (ours, _) in descriptors { close(ours) }
        guard failed == 0 else { throw Refused(code: failed) }
        return child
    }

    deinit { end() }

    /// Lets it execute its program.
    public func proceed() {
        var byte: UInt8 = 1
        _ = write(wakeDescriptor, &byte, 1)
    }

    /// Kills it and waits until it is gone.
    public func end() {
        guard !hasEnded else { return }
        hasEnded = true
        if pid > 0 { kill(pid, SIGKILL) }
        close(wakeDescriptor)
        // It ends when its child has and nobody can wake that any more.
        while waitpid(keeper, nil, 0) < 0, errno == EINTR {}
    }
}
