// Reading /proc/PID/cmdline takes the target's memory lock, and a process that holds it (a fork of 100 GB, a fault on a
// dead mount) holds the reader too. So a thread of its own reads them; when one answer takes too long, the thread is
// left where it is and another takes over. Threads left behind end themselves when the kernel lets them go. Their number
// is bounded: beyond it no command lines are read, and that is counted.

import CNightjarLinux
import Glibc
internal import NightjarModel
import Synchronization

final class CommandLineReader: Sendable {
    struct Request: Sendable {
        var slot: Int
        var key: ProcessKey
        /// Lives in a container, whose own host name is wanted too.
        var isContained: Bool
    }

    struct Line: Sendable {
        var slot: Int
        var key: ProcessKey
        var text: String
        /// File name of the executable, or of the first argument where the link cannot be read.
        var executable: String
        /// What its container calls itself.
        var hostName: String?

        /// `comm` is cut at 15 bytes; where it was, the file name of the executable says the rest.
        func fullName(of name: ProcName) -> String {
            let short = name.text
            return name.bytes.count == 15 && executable.hasPrefix(short) ? executable : short
        }
    }

    /// Threads that may hang at the same time.
    static let mostLeftBehind = 4
    /// Requests that may wait.
    static let mostWaiting = 32_768

    private struct State {
        var waiting: [Request] = []
        /// How many of `waiting` have been taken.
        var taken = 0
        var done: [Line] = []
        /// The thread that works just now; others are left behind.
        var worker = 0
        var isIdle = false
        var beganAt: Int64 = 0
        var leftBehind = 0
        var isStopped = false
    }

    private let state = Mutex(State())
    private let bell = Bell()
    private let root: String
    private let timeLimit: Int64
    private let length: Int

    init(root: String, timeLimit: Duration, length: Int) {
        self.root = root
        self.timeLimit = timeLimit.nanosecondCount
        self.length = length
    }

    /// False where too many wait already.
    func request(slot: Int, key: ProcessKey, isContained: Bool) -> Bool {
        let (taken, needsThread) = state.withLock { state -> (Bool, Int?) in
            guard state.waiting.count < Self.mostWaiting else { return (false, nil) }
            state.waiting.append(Request(slot: slot, key: key, isContained: isContained))
            guard state.worker == 0 else { return (true, nil) }
            state.worker = 1
            return (true, 1)
        }
        if let number = needsThread { start(number) }
        bell.ring()
        return taken
    }

    /// What was found since the last call, and how many answers came too late. Also where a thread that hangs is left.
    func take() -> (lines: [Line], late: Int) {
        let (lines, replacement) = state.withLock { state -> ([Line], Int?) in
            let done = state.done
            state.done.removeAll(keepingCapacity: false)
            let hangs = state.beganAt != 0 && monotonicNanoseconds() - state.beganAt > timeLimit
            guard hangs, state.leftBehind < Self.mostLeftBehind else { return (done, nil) }
            state.leftBehind += 1
            state.worker += 1
            state.beganAt = 0
            return (done, state.worker)
        }
        if let replacement { start(replacement) }
        return (lines, replacement == nil ? 0 : 1)
    }

    func stop() {
        state.withLock { $0.isStopped = true }
        bell.ring()
    }

    // MARK: the thread

    private final class Start {
        let reader: CommandLineReader
        let number: Int
        init(_ reader: CommandLineReader, _ number: Int) { (self.reader, self.number) = (reader, number) }
    }

    private func start(_ number: Int) {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        pthread_attr_setstacksize(&attributes, 256 << 10)
        // Signals belong to the agent's loop.
        var all = sigset_t()
        var before = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_SETMASK, &all, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        var thread = pthread_t()
        let start = Unmanaged.passRetained(Start(self, number))
        let failed = pthread_create(
            &thread, &attributes,
            { argument in
                let start = Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue()
                start.reader.work(start.number)
                return nil
            }, start.toOpaque())
        if failed != 0 {
            start.release()
            state.withLock { $0.worker = 0 }
        }
    }

    private enum Next { case request(Request), wait, end }

    private func work(_ number: Int) {
        while true {
            switch next(number) {
            case .end: return
            case .wait: bell.wait()
            case .request(let request):
                let line = read(request)
                guard finish(line, number) else { return }
            }
        }
    }

    private func next(_ number: Int) -> Next {
        state.withLock { state in
            guard !state.isStopped, state.worker == number else { return .end }
            guard state.taken < state.waiting.count else {
                // All done: the memory of a long queue goes back.
                (state.waiting, state.taken) = ([], 0)
                return .wait
            }
            state.beganAt = monotonicNanoseconds()
            state.taken += 1
            return .request(state.waiting[state.taken - 1])
        }
    }

    /// False where this thread was left behind.
    private func finish(_ line: Line?, _ number: Int) -> Bool {
        state.withLock { state in
            guard state.worker == number else {
                state.leftBehind -= 1
                return false
            }
            state.beganAt = 0
            if let line { state.done.append(line) }
            return true
        }
    }

    private func read(_ request: Request) -> Line? {
        let folder = "\(root)/\(request.key.pid)"
        let file = open("\(folder)/cmdline", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        // The first argument is a path, at most PATH_MAX; what is kept is much less.
        let bytes = [UInt8](unsafeUninitializedCapacity: max(length, 4096)) { buffer, count in
            count = max(0, Glibc.read(file, buffer.baseAddress, buffer.count))
        }
        guard startTime(folder) == request.key.startTime else { return nil }
        let arguments = bytes.split(separator: 0, omittingEmptySubsequences: true)
        let text = printable(arguments.joined(separator: [blank]).prefix(length))
        let executable = link("\(folder)/exe") ?? arguments.first.map { printable($0) } ?? ""
        let name = executable.split(separator: "/").last.map(String.init) ?? ""
        let host = request.isContained ? hostName(folder) : nil
        return Line(slot: request.slot, key: request.key, text: text, executable: name, hostName: host)
    }

    /// The first line of the container's own `/etc/hostname`: for a pod that is its name. The path is resolved inside the
    /// container, so that a link in it cannot make us read the host's files; and only what can be a host name is taken.
    private func hostName(_ folder: String) -> String? {
        var bytes = [UInt8](repeating: 0, count: 256)
        let count = nj_read_in_root("\(folder)/root", "etc/hostname", &bytes, bytes.count)
        guard count > 0 else { return nil }
        let line = bytes.prefix(count).prefix { $0 != newline }
        let isName =
            !line.isEmpty && line.count <= 253
            && line.allSatisfy { byte in
                byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".") || (48...57).contains(byte)
                    || (97...122).contains(byte | 0x20)
            }
        return isName ? String(decoding: line, as: UTF8.self) : nil
    }

    /// After the reading, so that a pid that changed hands meanwhile gives no stranger's words.
    private func startTime(_ folder: String) -> UInt64? {
        let file = open("\(folder)/stat", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        let bytes = [UInt8](unsafeUninitializedCapacity: 1024) { buffer, count in
            count = max(0, Glibc.read(file, buffer.baseAddress, buffer.count))
        }
        return ProcStat(bytes.span)?.startTime
    }

    private func link(_ path: String) -> String? {
        let bytes = [UInt8](unsafeUninitializedCapacity: 4096) { buffer, count in
            count = buffer.withMemoryRebound(to: CChar.self) { max(0, readlink(path, $0.baseAddress!, $0.count)) }
        }
        guard !bytes.isEmpty else { return nil }
        let text = printable(bytes)
        return text.hasSuffix(" (deleted)") ? String(text.dropLast(10)) : text
    }
}

/// A bell that one thread waits for. Ringing before the wait is not lost.
private final class Bell: @unchecked Sendable {
    private let semaphore: UnsafeMutablePointer<sem_t>

    init() {
        semaphore = .allocate(capacity: 1)
        sem_init(semaphore, 0, 0)
    }

    deinit {
        sem_destroy(semaphore)
        semaphore.deallocate()
    }

    func ring() { sem_post(semaphore) }
    func wait() { while sem_wait(semaphore) != 0 {} }
}
