// The probe's public face: two lines in a service's main.
//
//     let probe = Probe.start(service: "checkout")     // main queue = main actor = RunLoop.main, and the cooperative pool
//     probe.watch(eventLoopGroup)                      // product NightjarProbeNIO

import CNightjarProbe
public import Dispatch
import Glibc
import NightjarSymbols
public import NightjarWire
import Synchronization

/// Watches the loops of the process that it is started in.
///
/// Costs one thread that wakes 25 times a second at rest and 40 under load, for some ten µs each time, 260 KiB of shared memory of which a page is touched
/// for each loop, and no allocation on the loops. It never throws, blocks or ends its host. In a forked child it is
/// silent until it is started again there.
public final class Probe: Sendable {
    /// A probe that is off: everything can be called, nothing happens.
    private let watchdog: Watchdog?

    private static let current = Mutex<Probe?>(nil)

    private init(_ watchdog: Watchdog?) { self.watchdog = watchdog }

    /// Starts the probe, or returns the one that runs already.
    ///
    /// The environment has the last word: `NIGHTJAR_PROBE=off` starts nothing, and `NIGHTJAR_SERVICE`, `NIGHTJAR_SOCKET` and
    /// `NIGHTJAR_STALL_THRESHOLD` go over the arguments. Without a name the executable's is taken.
    @discardableResult
    public static func start(service: String? = nil, settings: ProbeSettings = ProbeSettings()) -> Probe {
        current.withLock { running in
            if let running, nj_is_forked() == 0 { return running }
            let probe = make(service, settings, ProbeEnvironment())
            running = probe
            return probe
        }
    }

    /// False where it was switched off, or the kernel gave it no thread or memory.
    public var isRunning: Bool { watchdog != nil && nj_is_forked() == 0 }

    private static func make(_ service: String?, _ settings: ProbeSettings, _ environment: ProbeEnvironment) -> Probe {
        guard !environment.isOff else { return Probe(nil) }
        let settings = environment.applied(to: settings)
        let name = environment.service ?? service ?? executableName
        for complaint in environment.complaints { settings.say("nightjar: \(name): \(complaint)") }
        guard let page = Page(service: name) else {
            settings.say("nightjar: \(name): no memory for the probe (memfd_create); going on without it")
            return Probe(nil)
        }
        nj_fork_guard(page.base, PageLayout.length, page.descriptor, nj_note(-1))
        if let lacks = Lacks.found(isSignalled: nj_capture_install() == 0) {
            settings.say("nightjar: \(name): \(lacks)")
        }
        let watchdog = Watchdog(page: page, service: name, settings: settings)
        let probe = Probe(watchdog)
        if settings.watchesMain { probe.watch(DispatchQueue.main, name: "main queue", kind: .mainQueue) }
        guard watchdog.start() else {
            settings.say("nightjar: \(name): no thread for the probe; going on without it")
            return Probe(nil)
        }
        return probe
    }

    private static var executableName: String {
        var buffer = [CChar](repeating: 0, count: 512)
        let length = readlink("/proc/self/exe", &buffer, buffer.count)
        guard length > 0 else { return "process \(getpid())" }
        let path = String(decoding: buffer.prefix(length).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return String(path.split(separator: "/").last ?? "")
    }

    /// Watches a serial queue. A concurrent one has no single thread that could stall, and is not watched.
    public func watch(_ queue: DispatchQueue, name: String? = nil) {
        watch(queue, name: name ?? (queue.label.isEmpty ? "queue" : queue.label), kind: .queue)
    }

    private func watch(_ queue: DispatchQueue, name: String, kind: LoopKind) {
        let gate = QueueOwner(queue).map(Gate.queue) ?? .none
        watch(name, kind, gate) { beat in queue.async { beat.strike() } }
    }

    /// Watches a serial executor, such as an actor's own. Pings reach it by way of the cooperative pool.
    public func watch(_ executor: any SerialExecutor, name: String) {
        let beater = Beater(executor)
        watch(name, .executor, .none) { beat in Task.detached(priority: .high) { await beater.strike(beat) } }
    }

    /// Watches anything that runs jobs one after the other: `enqueue` puts the job that it is given on it.
    ///
    /// `enqueue` is called on the probe's own thread, must not wait, and must run each job once. `waitsForEvents`: the loop
    /// sits in `epoll_wait` when it has nothing to do, and need not be woken to prove that it lives.
    public func watch(
        name: String, waitsForEvents: Bool = false,
        enqueue: @escaping @Sendable (_ job: @escaping @Sendable () -> Void) -> Void
    ) {
        watch(name, waitsForEvents ? .eventLoop : .other, waitsForEvents ? .eventLoop : .none) { beat in
            enqueue { beat.strike() }
        }
    }

    private func watch(_ name: String, _ kind: LoopKind, _ gate: Gate, _ ping: @escaping @Sendable (Beat) -> Void) {
        guard let watchdog, nj_is_forked() == 0 else { return }
        watchdog.shared.withLock { handover in
            guard let index = watchdog.page.claim(name, kind) else { return }
            let slot = watchdog.page.slot(index)
            handover.inbox.newcomers.append(
                Loop(
                    index: index, name: name, kind: kind, slot: slot, gate: gate,
                    ping: { number in ping(Beat(slot: slot, number: number)) }, now: nj_now()))
        }
    }

    /// Runs work that is known to hold up the loop it is called on, such as a warm-up: no stall is reported for at most
    /// `limit`.
    public func withKnownLongWork<T, E: Error>(limit: Duration = .seconds(60), _ body: () throws(E) -> T) throws(E) -> T
    {
        guard let watchdog, nj_is_forked() == 0 else { return try body() }
        let tid = watchdog.knownWork.enter(until: nj_now() &+ limit.nanoseconds)
        defer { watchdog.knownWork.leave(tid) }
        return try body()
    }

    /// What is known of every loop just now: names, lags, stalls. About 0.2 ms.
    public var loops: [SlotReading] { watchdog?.page.reading()?.slots ?? [] }

    /// Ends the watching; a later `start` begins anew. The signal handler stays and passes on what is not the probe's: a
    /// signal of ours that is still on its way to a thread must not meet the default action.
    public func stop() {
        guard let watchdog, nj_is_forked() == 0 else { return }
        watchdog.shared.withLock { $0.inbox.isStopping = true }
        Self.current.withLock { if $0 === self { $0 = nil } }
    }
}

/// Runs beats on an executor that was handed over.
private actor Beater {
    private nonisolated let executor: any SerialExecutor

    init(_ executor: any SerialExecutor) { self.executor = executor }

    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    func strike(_ beat: Beat) { beat.strike() }
}
