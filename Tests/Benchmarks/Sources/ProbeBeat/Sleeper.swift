import Glibc
import Synchronization

/// The floor: a thread that wakes fifty times a second and reads a clock.
final class Sleeper: Sendable {
    private let isEnough = Atomic(false)
    private let sum = Atomic<UInt64>(0)

    init() {
        var thread = pthread_t()
        let own = Unmanaged.passRetained(self)
        let failed = pthread_create(
            &thread, nil,
            { pointer in
                guard let pointer else { return nil }
                Unmanaged<Sleeper>.fromOpaque(pointer).takeRetainedValue().run()
                return nil
            }, own.toOpaque())
        precondition(failed == 0, "no thread")
        pthread_detach(thread)
    }

    func stop() {
        isEnough.store(true, ordering: .relaxed)
        usleep(50_000)
    }

    private func run() {
        while !isEnough.load(ordering: .relaxed) {
            usleep(20_000)
            var time = timespec()
            clock_gettime(CLOCK_MONOTONIC, &time)
            sum.add(UInt64(time.tv_nsec), ordering: .relaxed)
        }
    }
}
