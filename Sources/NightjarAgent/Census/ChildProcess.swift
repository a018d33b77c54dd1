import CNightjarLinux
import Glibc
import NightjarModel

/// A child whose two outputs are collected, with a deadline after which it is killed.
struct ChildProcess {
    struct Answer {
        var output = ""
        var errors = ""
        /// 128 + signal where it was killed.
        var exitCode: Int32 = -1
    }

    let pid: pid_t
    private let output: Int32
    private let errors: Int32

    /// Starts it with our environment; nil and errno where it cannot be started.
    init?(_ path: String, _ arguments: [String]) {
        var ends = [Int32](repeating: -1, count: 4)
        guard Self.makePipe(&ends, 0), Self.makePipe(&ends, 2) else {
            let reason = errno
            for end in ends where end >= 0 { close(end) }
            errno = reason
            return nil
        }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
        posix_spawn_file_actions_adddup2(&actions, ends[3], 2)
        var words = ([path] + arguments).map { strdup($0) }
        words.append(nil)
        defer { for word in words { free(word) } }
        var child: pid_t = 0
        let result = posix_spawn(&child, path, &actions, nil, words, environ)
        close(ends[1])
        close(ends[3])
        guard result == 0 else {
            close(ends[0])
            close(ends[2])
            errno = result
            return nil
        }
        (pid, output, errors) = (child, ends[0], ends[2])
    }

    /// Our ends must not reach other children, or their end of file would never come.
    private static func makePipe(_ ends: inout [Int32], _ at: Int) -> Bool {
        var pair: [Int32] = [-1, -1]
        guard pipe(&pair) == 0 else { return false }
        for end in pair { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        (ends[at], ends[at + 1]) = (pair[0], pair[1])
        return true
    }

    /// Reads until both outputs end, then takes the exit code. `beforeReaping` is called while the pid is still ours.
    func collect(atMost patience: Duration, limit: Int, beforeReaping: () -> Void) -> Answer {
        let deadline = Self.now() + patience.inSeconds
        var texts: [[UInt8]] = [[], []]
        var open = [output, errors]
        while open.contains(where: { $0 >= 0 }) {
            let left = deadline - Self.now()
            if left <= 0 || texts[0].count + texts[1].count > limit {
                kill(pid, SIGKILL)
                break
            }
            var wanted = open.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            _ = poll(&wanted, 2, Int32(min(left, 5) * 1000) + 1)
            for index in 0..<2 where open[index] >= 0 && wanted[index].revents != 0 {
                if !Self.readSome(open[index], &texts[index]) { open[index] = -1 }
            }
        }
        close(output)
        close(errors)
        beforeReaping()
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        let code = status & 0x7f == 0 ? (status >> 8) & 0xff : 128 + (status & 0x7f)
        return Answer(
            output: String(decoding: texts[0], as: UTF8.self), errors: String(decoding: texts[1], as: UTF8.self),
            exitCode: code)
    }

    private static func readSome(_ descriptor: Int32, _ text: inout [UInt8]) -> Bool {
        var piece = [UInt8](repeating: 0, count: 16_384)
        let got = read(descriptor, &piece, piece.count)
        if got <= 0 { return got < 0 && errno == EINTR }
        text += piece[..<got]
        return true
    }

    private static func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
