// Counters and open alerts over a restart of the agent: a kill while it was away is seen at the first reading after.

import NightjarModel

extension OutOfMemoryKill {
    private static let version: UInt8 = 1

    /// Appends counters and open alerts. Deaths and waiting kills are of the moment and are left out.
    public func encode(into bytes: inout [UInt8]) {
        bytes.append(Self.version)
        bytes.append(integer: host.kills ?? -1)
        let counted = cgroups.filter { $0.value.kills != nil }.sorted { $0.key < $1.key }
        bytes.append(integer: UInt16(counted.count))
        for (path, cgroup) in counted {
            bytes.append(text: path)
            bytes.append(moment: cgroup.time)
            bytes.append(integer: cgroup.kills ?? 0)
        }
        bytes.append(integer: UInt16(open.count))
        for (_, kill) in open.sorted(by: { $0.key < $1.key }) { kill.encode(into: &bytes) }
    }

    /// Nil for another version or corrupt bytes: then start with `init()`.
    public init?(decoding reader: inout ByteReader) {
        guard reader.integer(UInt8.self) == Self.version, let hostKills: Int64 = reader.integer(),
            let count: UInt16 = reader.integer(), count <= Self.cgroupLimit
        else { return nil }
        var cgroups: [String: CgroupMemory] = [:]
        for _ in 0..<count {
            guard let path = reader.text(), let time = reader.moment(), let kills: Int64 = reader.integer(),
                kills >= 0
            else { return nil }
            cgroups[path] = CgroupMemory(time: time, kills: kills)
        }
        guard let openCount: UInt16 = reader.integer(), openCount <= Self.openLimit else { return nil }
        var open: [String: OpenKill] = [:]
        for _ in 0..<openCount {
            guard let kill = OpenKill(decoding: &reader) else { return nil }
            open[kill.subject.identity] = kill
        }
        self.init()
        restore(cgroups: cgroups, host: HostMemory(kills: hostKills < 0 ? nil : hostKills), open: open)
    }
}

extension HostMemory {
    init(kills: Int64?) { self.kills = kills }
}

extension OpenKill {
    func encode(into bytes: inout [UInt8]) {
        bytes.append(text: subject.kind.rawValue)
        bytes.append(text: subject.name)
        bytes.append(text: subject.unit ?? "")
        bytes.append(integer: subject.process?.pid ?? 0)
        bytes.append(integer: subject.process?.startTime ?? 0)
        bytes.append(UInt8(kills.count))
        for kill in kills { bytes.append(moment: kill) }
        for size in [size, anonymous, limit, available] { bytes.append(integer: size?.count ?? -1) }
        bytes.append(text: limitedBy ?? "")
    }

    init?(decoding reader: inout ByteReader) {
        guard let kind = reader.text().flatMap(Subject.Kind.init(rawValue:)), let name = reader.text(),
            let unit = reader.text(), let pid: Int32 = reader.integer(), let start: UInt64 = reader.integer(),
            let count: UInt8 = reader.integer(), (1...8).contains(count)
        else { return nil }
        var kills: [Moment] = []
        for _ in 0..<count {
            guard let kill = reader.moment() else { return nil }
            kills.append(kill)
        }
        var sizes: [Bytes?] = []
        for _ in 0..<4 {
            guard let size: Int64 = reader.integer() else { return nil }
            sizes.append(size < 0 ? nil : Bytes(size))
        }
        guard let limitedBy = reader.text() else { return nil }
        let process = pid > 0 ? ProcessKey(pid: pid, startTime: start) : nil
        self.init(
            subject: Subject(kind, name: name, unit: unit.isEmpty ? nil : unit, process: process), kills: kills,
            size: sizes[0], anonymous: sizes[1], limit: sizes[2], limitedBy: limitedBy.isEmpty ? nil : limitedBy,
            available: sizes[3] ?? .zero)
    }
}
