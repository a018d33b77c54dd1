/// Which life of which process: pids are reused, so the start time belongs to the key.
public struct ProcessKey: Hashable, Sendable, CustomStringConvertible {
    public var pid: Int32
    /// Clock ticks after boot, field 22 of `/proc/PID/stat`.
    public var startTime: UInt64

    @inlinable public init(pid: Int32, startTime: UInt64) {
        self.pid = pid
        self.startTime = startTime
    }

    public var description: String { "pid \(pid)" }
}

/// What a sample, a finding or an alert is about.
///
/// `identity` leaves pids and addresses out on purpose: a restarted service is the same subject and continues its alert.
public struct Subject: Hashable, Sendable {
    /// What kind of thing it is.
    public enum Kind: String, Hashable, Sendable, CaseIterable {
        case host, process, unit, mount, log, loop
    }

    public var kind: Kind
    /// Process name, mount point, log path, loop name; empty for the host.
    public var name: String
    /// The systemd unit, container or pod that it belongs to, where known: `checkout.service`.
    public var unit: String?
    /// The life of the process that this is about just now, where there is one.
    public var process: ProcessKey?

    public init(_ kind: Kind, name: String, unit: String? = nil, process: ProcessKey? = nil) {
        self.kind = kind
        self.name = name
        self.unit = unit
        self.process = process
    }

    public static let host = Subject(.host, name: "")

    /// Stable over restarts: `process:checkout.service/checkout`, `mount:/data`, `host`.
    public var identity: String {
        switch kind {
        case .host: "host"
        case .unit: "unit:\(name)"
        default: unit.map { "\(kind.rawValue):\($0)/\(name)" } ?? "\(kind.rawValue):\(name)"
        }
    }

    /// For people: `checkout (checkout.service, pid 4242)`.
    public var label: String {
        if kind == .host { return "this host" }
        let inside = [unit == name ? nil : unit, process.map(\.description)].compactMap(\.self)
        return inside.isEmpty ? name : "\(name) (\(inside.joined(separator: ", ")))"
    }
}
