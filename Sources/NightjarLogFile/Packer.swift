// Compression of rotated files, in a thread that exists only while there is something to compress, at the lowest
// priority. It never holds up the writer: when it cannot keep up, files stay plain and the budget deletes the oldest.
//
// A file is packed beside itself, flushed to the disk and renamed; only then the plain one goes. Killed at any point, the
// next round begins that file again: the plain file is always there until the packed one is whole.

internal import CNightjarLogFile
internal import CZlib
internal import CZstd
import Glibc
import Synchronization

final class Packer: Sendable {
    /// One log whose rotated files are packed.
    struct Task: Sendable {
        var path: String
        var compression: LogFileConfiguration.Compression
    }

    private struct State {
        var isRunning = false
        var isWanted = false
        /// Files that grow by compression, or that the engine refused: tried once.
        var refused: Set<UInt64> = []
        var packedFiles = 0
        var failures = 0
    }

    private let tasks: [Task]
    private let state = Guarded(State())
    private let isCancelled = Atomic(false)
    /// A file is whole under its packed name, or about to be, and the plain one is not gone yet.
    private let isFinishing = Atomic(false)
    private let engineIsMissing = Atomic(false)
    private let onProgress: @Sendable () -> Void

    static let chunk = 128 << 10
    /// How long an end waits for a file that is being finished: two calls, of a thread that yields to everyone.
    private static let patience: UInt64 = 500_000_000

    init(tasks: [Task], onProgress: @escaping @Sendable () -> Void) {
        self.tasks = tasks.filter { $0.compression != .none }
        self.onProgress = onProgress
    }

    var packedFiles: Int { state.withLock { $0.packedFiles } }
    var failures: Int { state.withLock { $0.failures } }
    var isRunning: Bool { state.withLock { $0.isRunning } }
    var lacksEngine: Bool { engineIsMissing.load(ordering: .relaxed) }

    /// Looks for plain files, in the background.
    func kick() {
        guard !tasks.isEmpty, !lacksEngine else { return }
        let mustStart = state.withLock { state in
            state.isWanted = true
            defer { state.isRunning = true }
            return !state.isRunning
        }
        guard mustStart else { return }
        let body: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { argument in
            Unmanaged<Packer>.fromOpaque(argument!).takeRetainedValue().run()
            return nil
        }
        let argument = Unmanaged.passRetained(self)
        // zlib and zstd keep their state on the heap; the stack is for our own few frames.
        if nj_log_thread_start("nightjar-pack", 128 << 10, body, argument.toOpaque()) != 0 {
            argument.release()
            state.withLock { $0.isRunning = false }
        }
    }

    /// No further file is finished. Afterwards no file lies there twice, plain and packed.
    func stop() {
        isCancelled.store(true, ordering: .sequentiallyConsistent)
        let until = Clock.monotonic() + Self.patience
        while isFinishing.load(ordering: .sequentiallyConsistent), Clock.monotonic() < until { usleep(200) }
    }

    /// Whether the last steps may be taken; those who may say when they are done.
    private func beginFinishing() -> Bool {
        isFinishing.store(true, ordering: .sequentiallyConsistent)
        if !isCancelled.load(ordering: .sequentiallyConsistent) { return true }
        endFinishing()
        return false
    }

    private func endFinishing() { isFinishing.store(false, ordering: .sequentiallyConsistent) }

    private func run() {
        nj_log_thread_be_humble()
        while true {
            let goOn = state.withLock { state in
                if !state.isWanted || isCancelled.load(ordering: .relaxed) { state.isRunning = false }
                state.isWanted = false
                return state.isRunning
            }
            guard goOn else { return }
            for task in tasks { packAll(task) }
            onProgress()
        }
    }

    private func packAll(_ task: Task) {
        var files = RotatedFiles(path: task.path)
        // One packer a directory, over all processes: at most one half-packed file has to be paid for.
        let directory = open(files.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { return }
        defer { close(directory) }
        guard flock(directory, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK else { return }
        while !isCancelled.load(ordering: .relaxed) {
            files.scan(currentInode: inode(of: task.path))
            for leftover in files.leftovers { unlink(files.directory + "/" + leftover.name) }
            let refused = state.withLock { $0.refused }
            guard let file = files.files.first(where: { $0.packing == .plain && !refused.contains($0.inode) }) else {
                return
            }
            guard pack(file, of: files, task.compression) else {
                if isCancelled.load(ordering: .relaxed) { return }
                state.withLock { state in
                    state.refused.insert(file.inode)
                    state.failures += 1
                }
                continue
            }
            state.withLock { $0.packedFiles += 1 }
            onProgress()
        }
    }

    /// Everything that was given up may be tried again: there is room on the disk.
    func forgetFailures() { state.withLock { $0.refused = [] } }

    private func inode(of path: String) -> UInt64 {
        var status = stat()
        return stat(path, &status) == 0 ? UInt64(status.st_ino) : 0
    }

    private func pack(_ file: RotatedFile, of files: RotatedFiles, _ compression: LogFileConfiguration.Compression)
        -> Bool
    {
        let plainPath = files.path(of: file)
        // Killed between the last two steps: the packed file is whole.
        if files.isPacked(file.number) { return unlink(plainPath) == 0 }
        guard let engine = Engine(compression) else {
            engineIsMissing.store(true, ordering: .relaxed)
            return false
        }
        let packedPath = files.path(number: file.number, packing: engine.packing)
        let plain = open(plainPath, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard plain >= 0 else { return false }
        defer { close(plain) }
        // A process that still holds it as its log has the lock while it writes.
        guard flock(plain, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK else { return false }
        var status = stat()
        guard fstat(plain, &status) == 0 else { return false }
        let halfPath = files.packingPath(number: file.number)
        let half = nj_log_open_fresh(halfPath, UInt32(status.st_mode & 0o777))
        guard half >= 0 else { return false }
        defer { close(half) }
        _ = flock(half, LOCK_EX | LOCK_NB)
        guard stream(plain, half, limit: Int(status.st_size), engine), finish(plain, half, status), beginFinishing()
        else {
            unlink(halfPath)
            return false
        }
        defer { endFinishing() }
        guard rename(halfPath, packedPath) == 0 else {
            unlink(halfPath)
            return false
        }
        unlink(plainPath)
        return true
    }

    private func finish(_ plain: Int32, _ half: Int32, _ before: stat) -> Bool {
        var times = (before.st_atim, before.st_mtim)
        let timed = withUnsafePointer(to: &times) {
            $0.withMemoryRebound(to: timespec.self, capacity: 2) { futimens(half, $0) }
        }
        var after = stat()
        // Deleted meanwhile by retention, or written meanwhile by somebody without manners.
        guard timed == 0, fstat(plain, &after) == 0, after.st_nlink > 0, after.st_size == before.st_size else {
            return false
        }
        return fdatasync(half) == 0
    }

    /// Never writes more than the plain file holds.
    private func stream(_ plain: Int32, _ half: Int32, limit: Int, _ engine: Engine) -> Bool {
        // On the heap by hand: a temporary allocation of constant size is put on the stack, however large.
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: Packer.chunk * 2, alignment: 16)
        defer { memory.deallocate() }
        let input = UnsafeMutableRawBufferPointer(rebasing: memory[..<Packer.chunk])
        let output = UnsafeMutableRawBufferPointer(rebasing: memory[Packer.chunk...])
        var written = 0
        while true {
            if isCancelled.load(ordering: .relaxed) { return false }
            let count = read(plain, input.baseAddress!, input.count)
            guard count >= 0 else { return false }
            let data = UnsafeRawBufferPointer(rebasing: input[..<count])
            let isDone = engine.feed(data, isLast: count == 0, output) { packed in
                written += packed.count
                return written < limit && Glibc.write(half, packed.baseAddress!, packed.count) == packed.count
            }
            guard let isDone else { return false }
            if isDone { return true }
        }
    }
}

/// gzip or zstd, one stream.
final class Engine {
    private enum Stream { case gzip(OpaquePointer), zstd(OpaquePointer) }
    private let stream: Stream

    init?(_ compression: LogFileConfiguration.Compression) {
        switch compression {
        case .none: return nil
        case .automatic:
            if let opened = nj_zstd_open(1) {
                stream = .zstd(opened)
            } else if let opened = nj_gzip_open(1) {
                stream = .gzip(opened)
            } else {
                return nil
            }
        case .gzip(let level):
            guard let opened = nj_gzip_open(Int32(min(max(level, 1), 9))) else { return nil }
            stream = .gzip(opened)
        case .zstd(let level):
            guard let opened = nj_zstd_open(Int32(min(max(level, 1), 19))) else { return nil }
            stream = .zstd(opened)
        }
    }

    /// What its files are called.
    var packing: RotatedFile.Packing {
        switch stream {
        case .gzip: .gzip
        case .zstd: .zstd
        }
    }

    deinit {
        switch stream {
        case .gzip(let opened): nj_gzip_close(opened)
        case .zstd(let opened): nj_zstd_close(opened)
        }
    }

    /// True when the stream is complete, false to go on, nil where engine or `take` refuse.
    func feed(
        _ data: UnsafeRawBufferPointer, isLast: Bool, _ output: UnsafeMutableRawBufferPointer,
        take: (UnsafeRawBufferPointer) -> Bool
    ) -> Bool? {
        var position = 0
        while true {
            var used = data.count - position
            var made = output.count
            let from = UnsafeRawBufferPointer(rebasing: data[position...]).baseAddress
            let code: Int32 =
                switch stream {
                case .gzip(let opened): nj_gzip_step(opened, from, &used, output.baseAddress!, &made, isLast ? 1 : 0)
                case .zstd(let opened): nj_zstd_step(opened, from, &used, output.baseAddress!, &made, isLast ? 1 : 0)
                }
            guard code >= 0 else { return nil }
            position += used
            if made > 0, !take(UnsafeRawBufferPointer(rebasing: output[..<made])) { return nil }
            if code == 1 { return true }
            if !isLast, position == data.count, made < output.count { return false }
        }
    }

    /// Whether the library for it is installed.
    static func isInstalled(_ compression: LogFileConfiguration.Compression) -> Bool {
        Engine(compression) != nil
    }
}
