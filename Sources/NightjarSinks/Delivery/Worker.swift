// One thread, one bounded queue. A raw pthread: it must go on waiting for a hanging daemon without taking a thread of
// anybody's pool with it, and it costs nothing before its first job.

import CNightjarLinux
import Glibc
import NightjarModel

/// Runs jobs one after the other on a thread of its own. Safe to call from any thread.
public final class Worker: @unchecked Sendable {
    private let core: Core

    /// `name` is the thread's, at most 15 bytes; `limit` is how many jobs may wait.
    public init(name: String, limit: Int = 64) {
        core = Core(name: name, limit: limit)
    }

    deinit { core.stop() }

    /// False where the queue is full, or the worker was finished: the job is dropped.
    public func submit(_ job: @escaping @Sendable () -> Void) -> Bool { core.submit(job) }

    /// Jobs that wait or run.
    public var waiting: Int { core.waiting }

    /// Waits until all jobs ran, at most `limit`; then takes no more. False where some are left: the thread is left to
    /// them, for nothing ends a thread that hangs.
    public func finish(within limit: Duration) -> Bool { core.finish(within: limit) }
}

/// Shared by the worker and its thread, so that a thread that hangs does not keep the worker alive.
private final class Core: @unchecked Sendable {
    private let name: String
    private let limit: Int
    private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var jobs: [@Sendable () -> Void] = []
    private var isRunning = false
    private var hasThread = false
    private var isStopped = false

    init(name: String, limit: Int) {
        self.name = name
        self.limit = limit
        pthread_mutex_init(lock, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(changed, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(changed)
        pthread_mutex_destroy(lock)
        changed.deallocate()
        lock.deallocate()
    }

    var waiting: Int { locked { jobs.count + (isRunning ? 1 : 0) } }

    func submit(_ job: @escaping @Sendable () -> Void) -> Bool {
        locked {
            guard !isStopped, jobs.count < limit, hasThread || startThread() else { return false }
            jobs.append(job)
            pthread_cond_broadcast(changed)
            return true
        }
    }

    func stop() {
        locked {
            isStopped = true
            pthread_cond_broadcast(changed)
        }
    }

    func finish(within span: Duration) -> Bool {
        locked {
            var until = timespec()
            clock_gettime(CLOCK_MONOTONIC, &until)
            let end = Int64(until.tv_sec) * 1_000_000_000 + Int64(until.tv_nsec) + span.nanosecondCount
            until = timespec(tv_sec: Int(end / 1_000_000_000), tv_nsec: Int(end % 1_000_000_000))
            isStopped = true
            pthread_cond_broadcast(changed)
            while !jobs.isEmpty || isRunning {
                if pthread_cond_timedwait(changed, lock, &until) == ETIMEDOUT { break }
            }
            let isDone = jobs.isEmpty && !isRunning
            jobs.removeAll()
            return isDone
        }
    }

    /// 256 KiB of stack, of which the kernel gives what is touched.
    private func startThread() -> Bool {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        pthread_attr_setstacksize(&attributes, 256 << 10)
        defer { pthread_attr_destroy(&attributes) }
        var thread = pthread_t()
        let box = Unmanaged.passRetained(self)
        let failed = pthread_create(
            &thread, &attributes,
            { box in
                Unmanaged<Core>.fromOpaque(box!).takeRetainedValue().run()
                return nil
            }, box.toOpaque())
        if failed != 0 { box.release() }
        hasThread = failed == 0
        return hasThread
    }

    /// Signals are for the main thread.
    private func run() {
        var all = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_BLOCK, &all, nil)
        nj_name_thread(name)
        while let job = next() {
            job()
            locked {
                isRunning = false
                pthread_cond_broadcast(changed)
            }
        }
    }

    /// Waits for a job; nil when there is none and none will come.
    private func next() -> (@Sendable () -> Void)? {
        locked {
            while jobs.isEmpty, !isStopped { pthread_cond_wait(changed, lock) }
            guard !jobs.isEmpty else { return nil }
            isRunning = true
            return jobs.removeFirst()
        }
    }

    private func locked<T>(_ body: () -> T) -> T {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        return body()
    }
}
