// The kernel can say by itself when tasks wait too long for memory: a line written to a pressure file makes its
// descriptor ready (POLLPRI). So nobody has to poll faster in order to see it coming.

import CNightjarLinux
import Glibc

/// A pressure trigger: the descriptor becomes ready for `POLLPRI` when tasks have waited `stall` within one `window`.
///
/// It costs nothing while all is well. Wait for it together with the loop's other descriptors; there is nothing to read,
/// and the kernel itself fires at most once a window. Closed when it is dropped.
public struct PressureTrigger: ~Copyable {
    /// To wait for, with `POLLPRI`.
    public let descriptor: Int32

    /// - Parameters:
    ///   - path: `/proc/pressure/memory`, or a cgroup's `memory.pressure`.
    ///   - stall: time some task has waited, 150 ms by default.
    ///   - window: 500 ms to 10 s; without CAP_SYS_RESOURCE the kernel takes only multiples of 2 s.
    /// - Returns: nil where the kernel refuses: then the averages in `HostSample` are what there is.
    public init?(
        path: String = "/proc/pressure/memory", stall: Duration = .milliseconds(150), window: Duration = .seconds(1)
    ) {
        let descriptor = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        let microseconds = [stall, window].map {
            $0.components.seconds * 1_000_000 + $0.components.attoseconds / 1_000_000_000_000
        }
        // The kernel wants the terminating zero.
        let line = Array("some \(microseconds[0]) \(microseconds[1])".utf8) + [0]
        guard write(descriptor, line, line.count) == line.count else {
            close(descriptor)
            return nil
        }
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    /// The quickest that the kernel allows us: one-second windows, or the two-second ones that an agent without
    /// CAP_SYS_RESOURCE may have. Nil where it allows none.
    public static func quickest(path: String = "/proc/pressure/memory") -> PressureTrigger? {
        if let quick = PressureTrigger(path: path) { return quick }
        return PressureTrigger(path: path, stall: .milliseconds(300), window: .seconds(2))
    }
}
