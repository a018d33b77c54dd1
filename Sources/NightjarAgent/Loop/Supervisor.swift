import CNightjarSystemd
import Glibc
import NightjarModel

/// What systemd wants to hear: sd_notify(3). Without systemd every call is a no-op.
public struct Supervisor {
    /// Half of `WatchdogSec=`, as sd_watchdog_enabled(3) advises; nil where there is no watchdog.
    public let watchdogPeriod: Duration?

    public init() {
        var microseconds: UInt64 = 0
        watchdogPeriod =
            sd_watchdog_enabled(0, &microseconds) > 0 ? .microseconds(Int64(microseconds / 2)) : nil
    }

    /// What systemd is told (sd_notify(3)): started, busy with, still alive, about to end. Without systemd nothing happens.
    public func ready(_ status: String) { sd_notify(0, "READY=1\nSTATUS=\(status)") }
    public func status(_ text: String) { sd_notify(0, "STATUS=\(text)") }
    public func alive() { sd_notify(0, "WATCHDOG=1") }
    public func stopping() { sd_notify(0, "STOPPING=1\nSTATUS=writing state") }

    /// `Type=notify-reload` wants the monotonic time stamp beside RELOADING=1 (systemd ≥ 253; older ones ignore it).
    public func reloading() {
        sd_notify(0, "RELOADING=1\nMONOTONIC_USEC=\(SteadyClock.read(CLOCK_MONOTONIC) / 1000)")
    }
}
