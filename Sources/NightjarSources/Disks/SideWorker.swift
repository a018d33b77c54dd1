// File system calls may never return: `statvfs` of a dead NFS server waits for ever, and cannot be interrupted. So they
// run on a side thread, and nobody waits for one longer than a given patience.
//
//     submit(key, work) ──▶ queue ──▶ worker thread ──▶ results ──▶ collect(patience)
//                                        │ hangs in one key longer than the deadline
//                                        ╰─▶ it is parked with that key; a new worker takes the queue
//
// A key that is parked is not asked again until its thread comes back. At most `maximumParked` threads are given up like
// this; beyond that new work is refused and counted. A thread has a stack of 256 KiB of address space, little of it used.

import CNightjarLinux
import Glibc
import NightjarModel
import Synchronization

/// Runs work that may hang, by key, on threads of its own. Its threads end with it; one that hangs is left to the kernel.
public final class SideWorker<Output: Sendable>: Sendable {
    /// One piece of work; may block for as long as the kernel likes.
    public typealias Work = @Sendable () -> Output

    public static var maximumParked: Int { 16 }

    private let core: SideWorkerCore<Output>

    /// - Parameter deadline: after this long in one piece of work a thread counts as parked.
    public init(deadline: Duration) { core = SideWorkerCore(deadline: deadline, maximumParked: Self.maximumParked) }

    deinit { core.close() }

    /// Queues work. False where that key is still queued or running, or too many threads are parked: nothing is queued.
    @discardableResult
    public func submit(_ key: String, _ work: @escaping Work) -> Bool { core.submit(key, work) }

    /// What is done, waiting for the rest no longer than `patience`.
    public func collect(patience: Duration) -> [(key: String, output: Output)] { core.collect(patience: patience) }

    /// Keys whose work has run longer than the deadline, with how long.
    public var overdue: [(key: String, span: Duration)] { core.overdue }

    /// Work that was refused because too many threads hang.
    public var refused: Int { core.refused }
}

/// What the threads share; they hold it, and not the worker, so that the worker can go away.
private final class SideWorkerCore<Output: Sendable>: Sendable {
    private struct Job {
        var key: String
        var since: UInt64
        var isParked = false
    }

    private struct State {
        var queue: [(key: String, work: @Sendable () -> Output)] = []
        var results: [(key: String, output: Output)] = []
        /// What each thread does now, by thread number.
        var running: [Int: Job] = [:]
        /// Threads that take work: neither parked nor ended.
        var workers = 0
        var threadsBegun = 0
        var refused = 0
        var isClosed = false
    }

    private let state = Mutex(State())
    private let bell = Bell()
    private let done = Bell()
    private let deadline: UInt64
    private let maximumParked: Int

    init(deadline: Duration, maximumParked: Int) {
        self.deadline = UInt64(max(0, deadline.nanosecondCount))
        self.maximumParked = maximumParked
    }

    func submit(_ key: String, _ work: @escaping @Sendable () -> Output) -> Bool {
        let accepted = state.withLock { state in
            let isBusy = state.queue.contains { $0.key == key } || state.running.values.contains { $0.key == key }
            if state.isClosed || isBusy { return false }
            if parkOverdue(&state) >= maximumParked {
                state.refused += 1
                return false
            }
            state.queue.append((key, work))
            return true
        }
        if accepted { startIfNeeded() }
        return accepted
    }

    func collect(patience: Duration) -> [(key: String, output: Output)] {
        let end = SideClock.now &+ UInt64(max(0, patience.nanosecondCount))
        while true {
            startIfNeeded()
            let isIdle = state.withLock { state in
                state.queue.isEmpty && !state.running.values.contains { !$0.isParked }
            }
            let time = SideClock.now
            if isIdle || time >= end { break }
            done.wait(nanoseconds: min(end - time, max(deadline, 1_000_000)))
        }
        return state.withLock { state in
            defer { state.results = [] }
            return state.results
        }
    }

    var overdue: [(key: String, span: Duration)] {
        let time = SideClock.now
        return state.withLock { state in
            _ = parkOverdue(&state)
            return state.running.values.filter(\.isParked).map { ($0.key, .nanoseconds(Int64(time - $0.since))) }
        }
    }

    var refused: Int { state.withLock { $0.refused } }

    func close() {
        state.withLock { state in
            state.isClosed = true
            state.queue = []
        }
        bell.ring()
    }

    // MARK: Threads

    /// Marks threads that are over the deadline; returns how many are parked.
    private func parkOverdue(_ state: inout State) -> Int {
        let time = SideClock.now
        for (thread, job) in state.running where !job.isParked && time - job.since > deadline {
            state.running[thread]?.isParked = true
            state.workers -= 1
        }
        return state.running.values.count(where: \.isParked)
    }

    /// One thread takes the queue, unless it is parked; then another one does.
    private func startIfNeeded() {
        let thread = state.withLock { state -> Int? in
            _ = parkOverdue(&state)
            guard state.workers == 0, !state.queue.isEmpty, !state.isClosed else { return nil }
            state.workers = 1
            state.threadsBegun += 1
            return state.threadsBegun
        }
        guard let thread else {
            bell.ring()
            return
        }
        let isBegun = startThread { [self] in run(thread) }
        if !isBegun {
            state.withLock { state in
                state.workers -= 1
                state.refused += 1
            }
        }
    }

    private func run(_ thread: Int) {
        while true {
            let (job, isClosed) = state.withLock { state -> ((key: String, work: @Sendable () -> Output)?, Bool) in
                guard !state.isClosed, !state.queue.isEmpty else { return (nil, state.isClosed) }
                let job = state.queue.removeFirst()
                state.running[thread] = Job(key: job.key, since: SideClock.now)
                return (job, false)
            }
            if isClosed {
                bell.ring()
                return
            }
            guard let job else {
                bell.wait(nanoseconds: .max)
                continue
            }
            let output = job.work()
            let mayStay = state.withLock { state in
                let wasParked = state.running.removeValue(forKey: thread)?.isParked ?? false
                state.results.append((job.key, output))
                // Another thread took the queue over meanwhile: this one is one too many.
                if wasParked, state.workers > 0 { return false }
                if wasParked { state.workers += 1 }
                return true
            }
            done.ring()
            if !mayStay { return }
        }
    }
}

enum SideClock {
    /// Nanoseconds of CLOCK_MONOTONIC.
    static var now: UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}

/// An eventfd to wait on.
private final class Bell: Sendable {
    private let descriptor = eventfd(0, 0x80800)  // EFD_CLOEXEC | EFD_NONBLOCK

    deinit { close(descriptor) }

    func ring() {
        var one: UInt64 = 1
        _ = withUnsafeBytes(of: &one) { write(descriptor, $0.baseAddress, 8) }
    }

    func wait(nanoseconds: UInt64) {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        let milliseconds = nanoseconds == .max ? -1 : Int32(min(60_000, nanoseconds / 1_000_000 + 1))
        guard poll(&entry, 1, milliseconds) > 0 else { return }
        var value: UInt64 = 0
        _ = withUnsafeMutableBytes(of: &value) { read(descriptor, $0.baseAddress, 8) }
    }
}

private final class ThreadBody: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
}

/// A detached thread with a small stack and low priority. False where the system has none left.
private func startThread(_ body: @escaping @Sendable () -> Void) -> Bool {
    let box = Unmanaged.passRetained(ThreadBody(body))
    let code = nj_start_thread(
        { pointer in
            guard let pointer else { return nil }
            _ = nj_be_patient()
            Unmanaged<ThreadBody>.fromOpaque(pointer).takeRetainedValue().body()
            return nil
        }, box.toOpaque())
    if code != 0 { box.release() }
    return code == 0
}
