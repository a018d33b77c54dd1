import Glibc
import NightjarModel
import Synchronization

/// What a runner and its thread share.
final class RunnerCore: Sendable {
    private struct State {
        var jobs: [Job] = []
        var running = 0
        var isServed = false
        var isStopped = false
    }

    private let atOnce: Int
    private let queue: Int
    private let output: Int
    private let state = Mutex(State())
    private let wake: PipePair

    init(atOnce: Int, queue: Int, output: Int) {
        self.atOnce = atOnce
        self.queue = queue
        self.output = output
        // Without a pipe nothing could be run anyway; `serve` then looks for jobs by the clock.
        wake = PipePair() ?? .none
    }

    deinit { wake.close() }

    func add(_ job: Job) -> Bool {
        let isAdded = state.withLock { state in
            guard !state.isStopped, state.jobs.count < queue else { return false }
            state.jobs.append(job)
            return true
        }
        if isAdded { ring() }
        return isAdded
    }

    /// True for the one caller who is to start the thread.
    func claimThread() -> Bool {
        state.withLock { state in
            defer { state.isServed = true }
            return !state.isServed
        }
    }

    var waiting: Int { state.withLock { $0.jobs.count + $0.running } }

    func stop() {
        state.withLock { state in
            state.isStopped = true
            state.jobs.removeAll()
        }
        ring()
    }

    /// The thread: until stopped.
    func serve() {
        var children: [Child] = []
        while !state.withLock({ $0.isStopped }) {
            start(into: &children)
            wait(for: children)
            let now = steadyNow()
            for child in children { child.step(at: now) }
            settle(&children)
        }
        for child in children { child.kill(andSay: .late(output: child.output)) }
        settle(&children, evenAlive: true)
    }

    private func start(into children: inout [Child]) {
        let room = atOnce - children.count
        guard room > 0 else { return }
        let jobs = state.withLock { state in
            let jobs = Array(state.jobs.prefix(room))
            state.jobs.removeFirst(jobs.count)
            state.running += jobs.count
            return jobs
        }
        for job in jobs {
            switch Child.start(job, outputLimit: output) {
            case .success(let child): children.append(child)
            case .failure(let refusal):
                state.withLock { $0.running -= 1 }
                job.done(.cannotStart(refusal.text))
            }
        }
    }

    /// Children that are reaped leave; their outcome was told before.
    private func settle(_ children: inout [Child], evenAlive: Bool = false) {
        children.removeAll { child in
            guard child.isReaped || evenAlive else { return false }
            child.close()
            state.withLock { $0.running -= 1 }
            return true
        }
    }

    private func wait(for children: [Child]) {
        var polled = [pollfd(fd: wake.reading, events: Int16(POLLIN), revents: 0)]
        var patience: Int32 = wake.reading < 0 ? 50 : -1
        let now = steadyNow()
        for child in children {
            polled += child.polled
            let left = child.millisecondsLeft(at: now)
            patience = patience < 0 ? left : min(patience, left)
        }
        poll(&polled, nfds_t(polled.count), patience)
        if polled[0].revents != 0 { wake.drain() }
    }

    private func ring() { wake.ring() }
}

/// Both ends of a pipe, neither inherited nor ever waited for.
struct PipePair: Sendable {
    var reading: Int32
    var writing: Int32

    static let none = PipePair(reading: -1, writing: -1)

    private init(reading: Int32, writing: Int32) {
        self.reading = reading
        self.writing = writing
    }

    init?() {
        var ends: [Int32] = [-1, -1]
        guard makePipe(&ends) == 0 else { return nil }
        self.init(reading: ends[0], writing: ends[1])
        for end in ends { setNonBlocking(end) }
    }

    func ring() {
        var byte: UInt8 = 1
        write(writing, &byte, 1)
    }

    func drain() {
        var bytes = [UInt8](repeating: 0, count: 64)
        while read(reading, &bytes, bytes.count) > 0 {}
    }

    func close() {
        for end in [reading, writing] where end >= 0 { Glibc.close(end) }
    }
}
