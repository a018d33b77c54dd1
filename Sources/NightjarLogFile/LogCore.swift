// The meeting point of producers and the writer of one log.
//
//     handler ─▶ sampler ─▶ encoder ─▶ lane (log) ───┐
//                                  └─▶ lane (errors) ─┴─▶ writer thread ─▶ streams ─▶ files ─▶ packer
//
// Producers never wait for the disk and make no system call per line. The writer thread begins with the first line.

internal import CNightjarLogFile
import Glibc
internal import Logging
import Synchronization

final class LogCore: @unchecked Sendable {
    let settings: LogFileConfiguration
    let encoder: RecordEncoder
    let sampler: Sampler
    let counters = Counters()
    let teller: NoticeTeller
    /// Distinguishes logs of one process.
    let identity: UInt64
    let lane: Lane
    let errorLane: Lane?
    /// The writer's, as all below; made anew in the child of a fork.
    private(set) var stream: LogStream
    private(set) var errorStream: LogStream?
    private(set) var packer: Packer
    let override = LevelOverride()

    let bell = UnsafeMutablePointer<nj_log_bell>.allocate(capacity: 1)
    let doneBell = UnsafeMutablePointer<nj_log_bell>.allocate(capacity: 1)
    /// The writer sleeps without a deadline: the first line has to wake it.
    let writerSleeps = Atomic(true)
    let isStarted = Atomic(false)
    let isClosing = Atomic(false)
    let isClosed = Atomic(false)
    let wantsFlush = Atomic(false)
    /// The writer must not wait for more lines.
    let isUrgent = Atomic(false)
    /// Set while the log lane cannot be written, so that producers count under the right reason.
    let isBlocked = Atomic(false)
    let errorsAreBlocked = Atomic(false)
    let forkGeneration: Atomic<UInt32>
    private let starting = Guarded(())
    private let beginning = Guarded(())
    /// The writer's own state; touched by its thread only.
    var writer = WriterState()
    let health = Guarded(LogHealth())
    let limits: [Int]

    private static let identities = Atomic<UInt64>(0)

    init(path: String, _ configuration: LogFileConfiguration) {
        let settings = configuration.inOrder(path: path)
        self.settings = settings
        encoder = RecordEncoder(
            format: settings.format, locationFrom: settings.locationFrom, redacts: settings.redacts)
        sampler = Sampler(settings.sampling)
        teller = NoticeTeller(settings.notices)
        identity = Self.identities.wrappingAdd(1, ordering: .relaxed).newValue
        (stream, errorStream) = LogCore.streams(path: path, settings)
        guard let lane = Lane(capacity: settings.bufferBytes, path: path, mode: settings.mode) else {
            fatalError("no memory for the lines of \(path)")
        }
        self.lane = lane
        errorLane = settings.errorFile.flatMap { Lane(capacity: $0.memoryBytes, path: $0.path!, mode: settings.mode) }
        limits = LogCore.limits(capacity: settings.bufferBytes)
        nj_log_bell_init(bell)
        nj_log_bell_init(doneBell)
        nj_log_fork_watch()
        forkGeneration = Atomic(nj_log_fork_generation())
        rescanFlag = RescanFlag()
        packer = LogCore.packer(path: path, settings, BellAddress(pointer: bell), rescanFlag)
    }

    let rescanFlag: RescanFlag

    private static func streams(path: String, _ settings: LogFileConfiguration) -> (LogStream, LogStream?) {
        let stream = LogStream(
            path: path, rotation: settings.rotation, retention: settings.retention, compression: settings.compression,
            floor: settings.freeSpaceFloor, reserveBytes: 0, keepsFloor: true, mode: settings.mode)
        let errors = settings.errorFile.map {
            LogStream(
                path: $0.path!, rotation: $0.rotation, retention: $0.retention, compression: settings.compression,
                floor: .none, reserveBytes: $0.reserveBytes, keepsFloor: false, mode: settings.mode)
        }
        return (stream, errors)
    }

    private static func packer(
        path: String, _ settings: LogFileConfiguration, _ bell: BellAddress, _ rescan: RescanFlag
    ) -> Packer {
        let paths = [path] + (settings.errorFile.map { [$0.path!] } ?? [])
        return Packer(tasks: paths.map { Packer.Task(path: $0, compression: settings.compression) }) {
            rescan.isSet.store(true, ordering: .relaxed)
            nj_log_bell_ring(bell.pointer)
        }
    }

    deinit {
        nj_log_crash_forget(lane.raw)
        if let errorLane { nj_log_crash_forget(errorLane.raw) }
    }

    /// How full the lane may be for each level: when lines come faster than they go, debug makes way first and errors last.
    private static func limits(capacity: Int) -> [Int] {
        [0.6, 0.6, 0.75, 0.75, 0.85, 1, 1].map { Int(Double(capacity) * $0) }
    }

    // The producers' side.

    @inline(__always) func log(_ event: LogEvent, _ handler: LogFileHandler) {
        let rank = event.level.rank
        var weight: UInt64 = 1
        if let metadata = event.metadata, let carried = metadata[SampleWeight.key]?.sampleWeight {
            weight = carried.weight
            counters.drop(.sampledAtCallSite, rank, weight &- 1)
        }
        if rank < 5, !sampler.isIdle {
            switch sampler.decide(
                rank: rank, bytes: estimate(event, handler), weight: weight, key: key(event, handler),
                name: name(event, handler))
            {
            case .keep(let kept): weight = kept
            case .drop(let reason): return counters.drop(reason, rank)
            }
        }
        write(event, rank, weight, handler)
    }

    private func estimate(_ event: LogEvent, _ handler: LogFileHandler) -> Int {
        let fixed = 56 + handler.prefix.label.count + handler.prefix.joined.count
        return fixed + event.message.description.utf8.count + (event.metadata?.count ?? 0) * 24
    }

    /// On the stack for ordinary lines; a longer one is encoded again on the heap.
    private static let shortLine = 1_024

    private func write(_ event: LogEvent, _ rank: Int, _ weight: UInt64, _ handler: LogFileHandler) {
        noticeFork()
        let provided = handler.metadataProvider?.get()
        let isShort = withUnsafeTemporaryAllocation(byteCount: LogCore.shortLine, alignment: 8) { memory in
            var line = LineBuilder(memory)
            encoder.encode(event, weight: weight, prefix: handler.prefix, provided: provided, into: &line)
            guard !line.isCut else { return false }
            append(line.bytes, event, rank, weight, handler)
            return true
        }
        if !isShort { writeLong(event, rank, weight, provided, handler) }
    }

    @inline(never) private func writeLong(
        _ event: LogEvent, _ rank: Int, _ weight: UInt64, _ provided: Logger.Metadata?,
        _ handler: LogFileHandler
    ) {
        withUnsafeTemporaryAllocation(byteCount: settings.maximumLineBytes, alignment: 8) { memory in
            var line = LineBuilder(memory)
            encoder.encode(event, weight: weight, prefix: handler.prefix, provided: provided, into: &line)
            if append(line.bytes, event, rank, weight, handler), line.isCut {
                counters.cut.wrappingAdd(1, ordering: .relaxed)
            }
        }
    }

    @discardableResult private func append(
        _ line: UnsafeRawBufferPointer, _ event: LogEvent, _ rank: Int, _ weight: UInt64,
        _ handler: LogFileHandler
    ) -> Bool {
        guard !isClosing.load(ordering: .relaxed) else {
            counters.drop(.closed, rank)
            return false
        }
        if rank >= 5, let errorLane {
            let outcome = errorLane.append(line, limit: errorLane.capacity, isCopy: false)
            if outcome == .refused {
                counters.drop(errorsAreBlocked.load(ordering: .relaxed) ? .unwritable : .bufferFull, rank)
            }
            if settings.errorFile!.copiesToLog { _ = lane.append(line, limit: limits[4], isCopy: true) }
            wakeNow()
            return outcome != .refused
        }
        switch lane.append(line, limit: limits[rank], isCopy: false) {
        case .done: if rank >= 5 { wakeNow() }
        case .first: if rank >= 5 { wakeNow() } else if writerSleeps.load(ordering: .sequentiallyConsistent) { wake() }
        case .crossed: wake()
        case .refused:
            let reason: DropReason = isBlocked.load(ordering: .relaxed) ? .unwritable : .bufferFull
            counters.drop(reason, rank)
            if rank < 5, !sampler.isIdle {
                sampler.returnWeight(weight, key: key(event, handler)) { name(event, handler) }
            }
            return false
        }
        return true
    }

    /// Without waiting for more lines.
    func wakeNow() {
        isUrgent.store(true, ordering: .relaxed)
        wake()
    }

    func wake() {
        if !isStarted.load(ordering: .acquiring) { start() }
        nj_log_bell_ring(bell)
    }

    private func key(_ event: LogEvent, _ handler: LogFileHandler) -> UInt64 {
        switch sampler.key {
        case .callSite:
            var file = event.file
            return file.withUTF8 { hashed($0, seed: UInt64(event.line)) }
        case .label: return handler.labelHash
        case .metadata(let name):
            guard let value = event.metadata?[name] ?? handler.metadata[name] else { return handler.labelHash }
            var text = value.description
            return text.withUTF8 { hashed($0, seed: 7) }
        }
    }

    private func name(_ event: LogEvent, _ handler: LogFileHandler) -> Sampler.KeyName {
        switch sampler.key {
        case .callSite: Sampler.KeyName(text: "\(event.file):\(event.line)", level: event.level)
        case .label: Sampler.KeyName(text: handler.label, level: event.level)
        case .metadata(let name):
            Sampler.KeyName(
                text: String((event.metadata?[name] ?? handler.metadata[name])?.description.prefix(80) ?? "none"),
                level: event.level)
        }
    }

    // Start and fork.

    func start() {
        starting.withLock { _ in
            guard !isStarted.load(ordering: .relaxed) else { return }
            OpenLogs.add(self)
            if settings.flushesOnCrash {
                nj_log_crash_register(lane.raw)
                if let errorLane { nj_log_crash_register(errorLane.raw) }
                nj_log_crash_install()
            }
            let body: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { argument in
                Unmanaged<LogCore>.fromOpaque(argument!).takeRetainedValue().runWriter()
                return nil
            }
            let argument = Unmanaged.passRetained(self)
            if nj_log_thread_start("nightjar-log", 128 << 10, body, argument.toOpaque()) != 0 { argument.release() }
            isStarted.store(true, ordering: .releasing)
        }
    }

    /// In the child of a fork there is no writer thread, and the parent writes what was pending. What the parent's writer
    /// was just changing is not touched any more, not even to release it: it may be half changed.
    func noticeFork() {
        guard forkGeneration.load(ordering: .acquiring) != nj_log_fork_generation() else { return }
        beginning.withLock { _ in
            guard forkGeneration.load(ordering: .relaxed) != nj_log_fork_generation() else { return }
            beginAnewInChild()
            forkGeneration.store(nj_log_fork_generation(), ordering: .releasing)
        }
    }

    private func beginAnewInChild() {
        for lane in [lane, errorLane] {
            guard let lane else { continue }
            nj_log_crash_forget(lane.raw)
            lane.resetAfterFork()
        }
        counters.reset()
        nj_log_bell_init(bell)
        nj_log_bell_init(doneBell)
        for old in [stream, errorStream] {
            guard let old else { continue }
            // Its descriptor shares the parent's lock on the file.
            if old.fd >= 0 { Glibc.close(old.fd) }
            _ = Unmanaged.passRetained(old)
        }
        _ = Unmanaged.passRetained(packer)
        (stream, errorStream) = LogCore.streams(path: stream.path, settings)
        packer = LogCore.packer(path: stream.path, settings, BellAddress(pointer: bell), rescanFlag)
        withUnsafeMutablePointer(to: &writer) { $0.initialize(to: WriterState()) }
        isUrgent.store(false, ordering: .relaxed)
        wantsFlush.store(false, ordering: .relaxed)
        isBlocked.store(false, ordering: .relaxed)
        errorsAreBlocked.store(false, ordering: .relaxed)
        writerSleeps.store(true, ordering: .relaxed)
        isStarted.store(false, ordering: .releasing)
    }
}

/// The bell's address, for closures that cross threads.
struct BellAddress: @unchecked Sendable { let pointer: UnsafeMutablePointer<nj_log_bell> }

/// Set by the packer when files changed.
final class RescanFlag: Sendable { let isSet = Atomic(false) }

/// The logs of this process that have a writer: they are flushed when it ends by `exit` or by returning from `main`.
enum OpenLogs {
    private struct Weak: @unchecked Sendable { weak var core: LogCore? }
    private static let logs = Guarded<[Weak]>([])
    private static let exitHook: Void = {
        atexit { OpenLogs.flushAll() }
    }()

    static func add(_ core: LogCore) {
        _ = exitHook
        let entry = Weak(core: core)
        logs.withLock { logs in
            logs.removeAll { $0.core == nil }
            logs.append(entry)
        }
    }

    private static func flushAll() {
        let cores = logs.withLock { $0.compactMap(\.core) }
        for core in cores { core.close(within: .seconds(2)) }
    }
}
