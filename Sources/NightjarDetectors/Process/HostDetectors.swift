// What is watched for the host and its cgroups rather than for one process.

public import NightjarModel

/// The detectors of the host and of all cgroups: one value for the agent.
///
/// Order in a round: `observe` each cgroup and the host, `vanished` each process that ended, then `decide` once.
public struct HostDetectors: Sendable {
    private var kills = OutOfMemoryKill()

    public init() {}

    /// Takes one reading of a cgroup.
    public mutating func observe(_ sample: borrowing CgroupSample) { kills.observe(sample) }
    /// Takes one reading of the host.
    public mutating func observe(_ sample: borrowing HostSample) { kills.observe(sample) }
    /// A process is gone.
    public mutating func vanished(_ process: VanishedProcess) { kills.vanished(process) }

    /// Once a round. `settings` gives those of a subject; `report` gets what is found (again each minute while it
    /// lasts) and what is over.
    public mutating func decide(
        at now: Moment, settings: (Subject) -> DetectorSettings,
        report: (_ detector: String, Subject, Answer) -> Void
    ) {
        let name = OutOfMemoryKill.card.name
        kills.decide(at: now, settings(.host).outOfMemoryKill) { subject, answer in
            let own = settings(subject)
            guard own.isOn(name) else { return }
            if case .found(let finding) = answer {
                report(name, subject, .found(own.capped(finding)))
            } else {
                report(name, subject, answer)
            }
        }
    }

    /// Appends the state of all, versioned.
    public func encode(into bytes: inout [UInt8]) { kills.encode(into: &bytes) }

    /// Nil for another version or corrupt bytes: then start with `init()`.
    public init?(decoding bytes: [UInt8]) {
        var reader = ByteReader(bytes)
        guard let kills = OutOfMemoryKill(decoding: &reader), reader.isAtEnd else { return nil }
        self.kills = kills
    }
}
