import NightjarModel
import NightjarSources

// Control groups that processes live in, read every few seconds: limits, use and kills. A group is known as long as a
// process of it is, and bounded in number; the paths come from /proc/PID/cgroup.

struct GroupWatch {
    /// More groups than this are not read; a host with that many has other tools for its limits.
    static let limit = 2_048

    private struct Group {
        var unit: String?
        var members = 0
        var sample: CgroupSample?
    }

    private let reader: CgroupReader
    private var groups: [String: Group] = [:]
    private var readAt: Moment?

    init(sys: String) { reader = CgroupReader(sys: sys) }

    mutating func join(_ path: String, unit: String?) {
        guard groups[path] != nil || groups.count < Self.limit else { return }
        groups[path, default: Group(unit: unit)].members += 1
    }

    mutating func leave(_ path: String) {
        guard var group = groups[path] else { return }
        group.members -= 1
        // The group itself is kept for one more reading: its count of kills says how the process ended.
        groups[path] = group
    }

    /// Reads every group when `interval` has gone by; true where it did.
    mutating func round(at now: Moment, every interval: Duration, _ visit: (CgroupSample) -> Void) -> Bool {
        if let readAt, now - readAt < interval { return false }
        readAt = now
        for (path, group) in groups {
            guard let sample = reader.sample(path: path, unit: group.unit, at: now) else {
                groups[path] = nil
                continue
            }
            groups[path]?.sample = sample
            visit(sample)
            if group.members <= 0 { groups[path] = nil }
        }
        return true
    }

    /// Whether the kernel has killed in this group since its last reading.
    func hasNewKill(in path: String, at now: Moment) -> Bool {
        guard let group = groups[path], let before = group.sample?.oomKills,
            let after = reader.sample(path: path, unit: group.unit, at: now)?.oomKills
        else { return false }
        return after > before
    }

    /// The last reading of each.
    var samples: [CgroupSample] { groups.values.compactMap(\.sample) }

    var errors: ErrorCounts { reader.errors }

    func sample(_ path: String) -> CgroupSample? { groups[path]?.sample }
}
