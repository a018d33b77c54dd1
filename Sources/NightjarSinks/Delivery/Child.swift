import CNightjarLinux
import Glibc
import NightjarModel

/// One running command. Belongs to the runner's thread.
final class Child {
    struct Refusal: Error {
        var text: String
    }

    private let pid: pid_t
    private let job: Job
    private let deadline: Moment
    private let outputLimit: Int
    private var input: Int32
    private var outputEnd: Int32
    private var pidfd: Int32
    private var unsent: ArraySlice<UInt8>
    private var collected: [UInt8] = []
    private var isTold = false
    private(set) var isReaped = false

    private init(pid: pid_t, job: Job, input: Int32, output: Int32, outputLimit: Int) {
        self.pid = pid
        self.job = job
        self.input = input
        outputEnd = output
        self.outputLimit = outputLimit
        deadline = steadyNow() + job.timeLimit
        pidfd = nj_pidfd_open(pid)
        unsent = job.input[...]
    }

    /// The command started, or in words why not.
    static func start(_ job: Job, outputLimit: Int) -> Result<Child, Refusal> {
        guard let toChild = PipePair() else { return .failure(.systemError) }
        guard let fromChild = PipePair() else {
            toChild.close()
            return .failure(.systemError)
        }
        // The child's own ends may block, as its programs expect.
        setBlocking(toChild.reading)
        setBlocking(fromChild.writing)
        let (failed, pid) = spawn(job, input: toChild.reading, output: fromChild.writing)
        Glibc.close(toChild.reading)
        Glibc.close(fromChild.writing)
        guard failed == 0 else {
            Glibc.close(toChild.writing)
            Glibc.close(fromChild.reading)
            return .failure(Refusal(text: String(cString: strerror(failed))))
        }
        return .success(
            Child(
                pid: pid, job: job, input: toChild.writing, output: fromChild.reading, outputLimit: outputLimit))
    }

    /// A program that is being written just now is busy: it is given a moment.
    private static func spawn(_ job: Job, input: Int32, output: Int32) -> (failed: Int32, pid: pid_t) {
        var pid: pid_t = 0
        var failed = ETXTBSY
        for attempt in 0..<5 where failed == ETXTBSY {
            if attempt > 0 { usleep(20_000) }
            failed = withCStrings(job.arguments) { arguments in
                withCStrings(job.environment) { nj_spawn_child(arguments, $0, input, output, &pid) }
            }
        }
        return (failed, pid)
    }

    var output: String { Clean.line(String(decoding: collected, as: UTF8.self), limit: outputLimit) }

    var polled: [pollfd] {
        var polled: [pollfd] = []
        if !unsent.isEmpty, input >= 0 { polled.append(pollfd(fd: input, events: Int16(POLLOUT), revents: 0)) }
        if outputEnd >= 0 { polled.append(pollfd(fd: outputEnd, events: Int16(POLLIN), revents: 0)) }
        if pidfd >= 0 { polled.append(pollfd(fd: pidfd, events: Int16(POLLIN), revents: 0)) }
        return polled
    }

    /// How long nobody need look at it. Without a pidfd its end is looked for by the clock.
    func millisecondsLeft(at now: Moment) -> Int32 {
        let left = isTold ? Int64(1000) : max(0, (deadline - now).nanosecondCount / 1_000_000 + 1)
        return Int32(min(left, pidfd < 0 ? 50 : 60_000))
    }

    /// Whatever can be done without waiting.
    func step(at now: Moment) {
        feed()
        collect()
        var information = siginfo_t()
        let answer = waitid(P_PID, id_t(pid), &information, WEXITED | WNOHANG | WNOWAIT)
        if answer != 0 {
            // Somebody waits for all children of this process, and was first.
            isReaped = true
            tell(.exited(-1, output: output))
        } else if information.si_signo == SIGCHLD {
            reap()
        } else if now >= deadline, !isTold {
            kill(andSay: .late(output: output))
        }
    }

    func kill(andSay outcome: Outcome) {
        Glibc.kill(-pid, SIGKILL)
        tell(outcome)
    }

    func close() {
        for descriptor in [input, outputEnd, pidfd] where descriptor >= 0 { Glibc.close(descriptor) }
        (input, outputEnd, pidfd) = (-1, -1, -1)
        // Only when the runner is stopped: the kernel needs a moment to end what was killed.
        var status: Int32 = 0
        for _ in 0..<200 where !isReaped {
            isReaped = waitpid(pid, &status, WNOHANG) != 0
            if !isReaped { usleep(1000) }
        }
    }

    private func reap() {
        // Still a zombie, so the group's number is still its own.
        Glibc.kill(-pid, SIGKILL)
        var status: Int32 = 0
        waitpid(pid, &status, 0)
        isReaped = true
        collect()
        let signal = status & 0x7F
        tell(signal == 0 ? .exited((status >> 8) & 0xFF, output: output) : .killed(signal: signal, output: output))
    }

    private func tell(_ outcome: Outcome) {
        guard !isTold else { return }
        isTold = true
        job.done(outcome)
    }

    private func feed() {
        guard input >= 0 else { return }
        while !unsent.isEmpty {
            let sent = unsent.withUnsafeBytes { write(input, $0.baseAddress, $0.count) }
            if sent < 0, errno == EAGAIN { return }
            // A command that does not want its input has closed it.
            unsent = sent > 0 ? unsent.dropFirst(sent) : []
        }
        Glibc.close(input)
        input = -1
    }

    /// Takes what is there; beyond the bound it is read and dropped, so that the command is not held up.
    private func collect() {
        guard outputEnd >= 0 else { return }
        var buffer = [UInt8](repeating: 0, count: 4096)
        // A command that prints without end gets its turn like the others.
        for _ in 0..<64 {
            let count = read(outputEnd, &buffer, buffer.count)
            if count > 0 {
                collected += buffer[..<min(count, max(0, outputLimit - collected.count))]
            } else {
                if count < 0, errno == EAGAIN || errno == EINTR { return }
                Glibc.close(outputEnd)
                outputEnd = -1
                return
            }
        }
    }
}

extension Child.Refusal {
    fileprivate static var systemError: Self { Self(text: String(cString: strerror(errno))) }
}

func makePipe(_ ends: inout [Int32]) -> Int32 { ends.withUnsafeMutableBufferPointer { nj_pipe($0.baseAddress!) } }

func setNonBlocking(_ descriptor: Int32) { _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK) }
func setBlocking(_ descriptor: Int32) { _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) & ~O_NONBLOCK) }

/// A null-terminated array of C strings, for the length of `body`.
private func withCStrings<T>(_ texts: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> T) -> T {
    var copies = texts.map { strdup($0) }
    copies.append(nil)
    defer { for copy in copies { free(copy) } }
    return body(copies)
}
