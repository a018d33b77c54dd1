// What a service says in code, and what its operator may say over it in the environment.
//
//     NIGHTJAR_PROBE=off                 no thread, no socket, no signal handler
//     NIGHTJAR_SERVICE=checkout          the name in alerts
//     NIGHTJAR_SOCKET=/run/…/probe.sock  where the agent listens; empty = alone
//     NIGHTJAR_STALL_THRESHOLD=100ms     what counts as a stall (ms where no unit is given)
//
// What cannot be understood is said once, in the service's own log, and changes nothing.

import Glibc
public import NightjarWire

/// How the probe watches. Every value has a default that suits a server.
public struct ProbeSettings: Sendable {
    /// A loop that does not come back for this long has stalled. 5 ms and more.
    public var stallThreshold: Duration = .milliseconds(50)
    /// The cooperative pool is exhausted when a task of high priority has not begun after this long.
    public var poolThreshold: Duration = .milliseconds(100)
    /// Stalls told to the service's own log in any minute, while no agent listens; the rest is counted.
    public var reportsPerMinute = 6
    /// Where the agent listens. Empty = work alone.
    public var socket = "/run/nightjar/probe.sock"
    /// Watch the main dispatch queue, which is also the main actor and RunLoop.main.
    public var watchesMain = true
    /// Watch the cooperative pool of Swift concurrency.
    public var watchesPool = true
    /// Takes the reports while no agent listens, one line each. nil = standard error.
    public var report: (@Sendable (String) -> Void)?
    /// Sees every report as it is, with bare addresses, whoever is told: for the service's own metrics. Called on the probe's
    /// thread, which waits for it.
    public var observe: (@Sendable (StallReport) -> Void)?

    public init() {}

    /// One line to the service's own log: to `report`, or to standard error where there is none.
    func say(_ line: String) {
        if let report { return report(line) }
        let bytes = Array((line + "\n").utf8)
        _ = write(2, bytes, bytes.count)
    }

    static let shortestThreshold: Duration = .milliseconds(5)
    static let longestThreshold: Duration = .seconds(3600)
}

/// What the environment says; nil where it says nothing.
struct ProbeEnvironment: Equatable {
    var isOff = false
    var service: String?
    var socket: String?
    var stallThreshold: Duration?
    /// Values that could not be understood, one sentence each.
    var complaints: [String] = []

    init(_ value: (String) -> String? = { name in getenv(name).map { String(cString: $0) } }) {
        if let word = value("NIGHTJAR_PROBE")?.lowercased() {
            isOff = ["off", "0", "no", "false"].contains(word)
            if !isOff, !["", "on", "1", "yes", "true"].contains(word) {
                complaints.append("NIGHTJAR_PROBE=\(word) is neither on nor off; the probe is on")
            }
        }
        service = value("NIGHTJAR_SERVICE").flatMap { $0.isEmpty ? nil : $0 }
        if let path = value("NIGHTJAR_SOCKET") { takeSocket(path) }
        if let text = value("NIGHTJAR_STALL_THRESHOLD") { takeThreshold(text) }
    }

    private mutating func takeSocket(_ path: String) {
        if !path.isEmpty, !path.hasPrefix("/") {
            complaints.append(
                "NIGHTJAR_SOCKET=\(path) is no absolute path; looking for the agent where the service says")
        } else if path.utf8.count > Self.longestSocketPath {
            complaints.append(
                "NIGHTJAR_SOCKET is longer than the \(Self.longestSocketPath) bytes that a socket's path may have; "
                    + "looking for the agent where the service says")
        } else {
            socket = path
        }
    }

    private mutating func takeThreshold(_ text: String) {
        guard let threshold = Self.duration(text) else {
            complaints.append(
                "NIGHTJAR_STALL_THRESHOLD=\(text) is no duration, such as 100ms or 2s; the service's own stays")
            return
        }
        stallThreshold = threshold
        let allowed = ProbeSettings.shortestThreshold...ProbeSettings.longestThreshold
        if !allowed.contains(threshold) {
            let taken = threshold < allowed.lowerBound ? "5ms" : "3600s"
            complaints.append("NIGHTJAR_STALL_THRESHOLD=\(text) is not between 5ms and 3600s; \(taken) it is")
        }
    }

    /// sockaddr_un holds 108 bytes, the last of them a zero.
    private static let longestSocketPath = 107

    /// `100ms`, `2s`, `0.5s`, `100` (milliseconds).
    static func duration(_ text: String) -> Duration? {
        let number = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        guard let value = Double(number), value > 0, value < 1e9 else { return nil }
        switch text.dropFirst(number.count) {
        case "", "ms": return .microseconds(Int64(value * 1000))
        case "s": return .microseconds(Int64(value * 1_000_000))
        case "us": return .microseconds(Int64(value))
        default: return nil
        }
    }

    /// The settings with the environment's word over them.
    func applied(to settings: ProbeSettings) -> ProbeSettings {
        var out = settings
        if let socket { out.socket = socket }
        if let stallThreshold { out.stallThreshold = stallThreshold }
        out.stallThreshold = min(
            max(out.stallThreshold, ProbeSettings.shortestThreshold), ProbeSettings.longestThreshold)
        return out
    }
}

extension Duration {
    /// In nanoseconds, never negative.
    var nanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, seconds < 1 << 33 else { return seconds < 0 ? 0 : UInt64(1) << 62 }
        return UInt64(seconds) &* 1_000_000_000 &+ UInt64(max(0, attoseconds) / 1_000_000_000)
    }
}
