import Glibc

/// Processes to be measured: the program `idle` that lies beside the benchmark, which starts the others and is their
/// group. Killed when it is dropped.
public final class Herd {
    private let leader: pid_t

    /// - Parameters:
    ///   - count: processes that only wait.
    ///   - forksPerSecond: beside them, processes that come and go at once.
    public init(_ count: Int, forksPerSecond: Int = 0) {
        let own = CommandLine.arguments[0]
        let folder = own.lastIndex(of: "/").map { String(own[..<$0]) } ?? "."
        let words = ["\(folder)/idle", "\(count)", "\(forksPerSecond)"]
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { word in strdup(word) }
        arguments.append(nil)
        defer { for argument in arguments { free(argument) } }
        var ends: [Int32] = [0, 0]
        precondition(pipe(&ends) == 0, "cannot make a pipe")
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
        posix_spawn_file_actions_addclose(&actions, ends[0])
        defer { posix_spawn_file_actions_destroy(&actions) }
        var leader: pid_t = 0
        let failed = posix_spawn(&leader, arguments[0]!, &actions, nil, arguments, environ)
        precondition(failed == 0, "cannot start \(folder)/idle: \(String(cString: strerror(failed)))")
        self.leader = leader
        close(ends[1])
        var byte: UInt8 = 0
        precondition(read(ends[0], &byte, 1) == 1, "idle could not start its processes")
        close(ends[0])
    }

    /// Kills them all and waits until they are gone.
    public func end() {
        kill(leader, SIGTERM)
        var status: Int32 = 0
        waitpid(leader, &status, 0)
    }

    deinit { end() }
}
