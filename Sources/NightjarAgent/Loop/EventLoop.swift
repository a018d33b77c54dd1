import CNightjarLinux
import Glibc
import NightjarModel
import Synchronization

// The agent's one thread of control: epoll over a timer, signals, a mailbox and whatever else sources wait for.
// Everything the agent knows belongs to this thread; other threads reach it only through the mailbox, so there are no
// locks around samples, detectors or alerts.

/// Why the loop woke up.
public enum Wake: Hashable, Sendable {
    /// The timer: how many periods have gone by since the last one (2 or more: this round is late).
    case timer(missed: Int)
    case signal(Int32)
    /// Something lies in the mailbox.
    case mail
    /// A descriptor that was added with this tag can be read.
    case readable(tag: Int32)
}

/// A system call that the loop cannot do without was refused.
public struct LoopError: Error, Hashable, Sendable, CustomStringConvertible {
    public var call: String
    public var reason: String

    init(_ call: String) {
        self.call = call
        reason = String(cString: strerror(errno))
    }

    public var description: String { "\(call): \(reason)" }
}

/// epoll, a timer, signals as data, and a mailbox.
public final class EventLoop {
    private let epoll: Int32
    private let timer: Int32
    private let signals: Int32
    private let bell: Int32
    private static let timerTag: Int32 = -1
    private static let signalTag: Int32 = -2
    private static let bellTag: Int32 = -3

    /// Rings the loop from any thread; see `Mailbox`.
    public var doorbell: Doorbell { Doorbell(descriptor: bell) }

    /// Blocks `handled` for the whole process, so that they arrive here; call it before any thread is started.
    public init(handling handled: [Int32]) throws(LoopError) {
        var set = sigset_t()
        sigemptyset(&set)
        for signal in handled { sigaddset(&set, signal) }
        guard pthread_sigmask(SIG_BLOCK, &set, nil) == 0 else { throw LoopError("pthread_sigmask") }
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard epoll >= 0 else { throw LoopError("epoll_create1") }
        timer = timerfd_create(CLOCK_BOOTTIME, Int32(TFD_CLOEXEC | TFD_NONBLOCK))
        guard timer >= 0 else { throw LoopError("timerfd_create") }
        signals = signalfd(-1, &set, Int32(SFD_CLOEXEC | SFD_NONBLOCK))
        guard signals >= 0 else { throw LoopError("signalfd") }
        bell = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        guard bell >= 0 else { throw LoopError("eventfd") }
        try add(timer, tag: Self.timerTag)
        try add(signals, tag: Self.signalTag)
        try add(bell, tag: Self.bellTag)
    }

    deinit {
        for descriptor in [epoll, timer, signals, bell] { close(descriptor) }
    }

    /// Waits for `descriptor` too; `urgent` for priority events, as PSI triggers give them.
    public func add(_ descriptor: Int32, tag: Int32, urgent: Bool = false) throws(LoopError) {
        var event = epoll_event()
        event.events = urgent ? EPOLLPRI.rawValue : EPOLLIN.rawValue
        event.data.fd = tag
        guard epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) == 0 else { throw LoopError("epoll_ctl") }
    }

    /// Waits for it no longer; a descriptor that was never added changes nothing.
    public func remove(_ descriptor: Int32) { epoll_ctl(epoll, EPOLL_CTL_DEL, descriptor, nil) }

    /// A round every `interval` from now on.
    public func setTimer(every interval: Duration) {
        let nanoseconds = max(1_000_000, interval.nanosecondCount)
        let period = timespec(tv_sec: Int(nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
        var setting = itimerspec(it_interval: period, it_value: period)
        timerfd_settime(timer, 0, &setting, nil)
    }

    /// Sleeps until there is something to do, and says what. At most 64 reasons a call.
    public func wait(_ body: (Wake) -> Void) {
        withUnsafeTemporaryAllocation(of: epoll_event.self, capacity: 64) { events in
            let count = epoll_wait(epoll, events.baseAddress, 64, -1)
            guard count > 0 else { return }
            for index in 0..<Int(count) {
                switch events[index].data.fd {
                case Self.timerTag: if let periods = readCounter(timer) { body(.timer(missed: Int(periods) - 1)) }
                case Self.bellTag: if readCounter(bell) != nil { body(.mail) }
                case Self.signalTag: readSignals(body)
                case let tag: body(.readable(tag: tag))
                }
            }
        }
    }

    private func readCounter(_ descriptor: Int32) -> UInt64? {
        var value: UInt64 = 0
        return read(descriptor, &value, 8) == 8 ? value : nil
    }

    private func readSignals(_ body: (Wake) -> Void) {
        var info = signalfd_siginfo()
        while read(signals, &info, MemoryLayout<signalfd_siginfo>.size) == MemoryLayout<signalfd_siginfo>.size {
            body(.signal(Int32(info.ssi_signo)))
        }
    }
}

/// Wakes the loop from another thread.
public struct Doorbell: Sendable {
    let descriptor: Int32

    /// Callable from any thread and from a signal handler; rings that come before the loop wakes are one.
    public func ring() {
        var one: UInt64 = 1
        _ = write(descriptor, &one, 8)
    }
}

/// Work that other threads hand to the loop's thread. Bounded: what does not fit is refused, and the caller says so.
public final class Mailbox<Owner>: Sendable {
    /// What is to be done on the loop's thread, with what that thread owns.
    public typealias Work = @Sendable (Owner) -> Void

    /// Enough for every client that a local socket serves at once.
    public static var capacity: Int { 256 }

    private let waiting = Mutex<[Work]>([])
    private let doorbell: Doorbell

    public init(doorbell: Doorbell) { self.doorbell = doorbell }

    /// False where the box is full.
    public func post(_ work: @escaping Work) -> Bool {
        let isAccepted = waiting.withLock { box in
            guard box.count < Self.capacity else { return false }
            box.append(work)
            return true
        }
        if isAccepted { doorbell.ring() }
        return isAccepted
    }

    /// Does all that waits; called on the loop's thread.
    public func work(for owner: Owner) {
        let all = waiting.withLock { box in
            let all = box
            box = []
            return all
        }
        for work in all { work(owner) }
    }
}
