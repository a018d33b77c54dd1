public import NightjarModel

/// A folder that looks like `/sys` with its cgroup trees.
public final class FakeCgroups {
    /// How the trees are mounted.
    public enum Layout: String, Sendable, CaseIterable { case v1, v2, hybrid }

    private let folder = TemporaryFolder()
    private let layout: Layout
    /// To be given to a reader.
    public var root: String { folder.path }

    /// With the files of its root.
    public init(_ layout: Layout) {
        self.layout = layout
        switch layout {
        case .v2:
            folder.write("fs/cgroup/cgroup.controllers", "cpuset cpu io memory hugetlb pids\n")
        case .v1, .hybrid:
            folder.makeFolder("fs/cgroup/cpu")
            folder.makeFolder("fs/cgroup/pids")
            write("memory", "", "memory.limit_in_bytes", "9223372036854771712\n")
            if layout == .hybrid {
                folder.write("fs/cgroup/unified/cgroup.controllers", "\n")
                folder.write("fs/cgroup/unified/cgroup.procs", "1\n")
            }
        }
    }

    /// Makes a group, or rewrites it. Nil limits are written as the kernel writes none.
    public func set(
        _ path: String, limit: Bytes? = nil, current: Bytes = .zero, anonymous: Bytes = .zero, oomKills: Int = 0,
        throttled: Duration = .zero, tasksLimit: Int? = nil, tasks: Int = 1
    ) {
        let nanoseconds = throttled.nanosecondCount
        let tasksMaximum = tasksLimit.map(String.init) ?? "max"
        if layout == .v2 {
            write("", path, "memory.max", limit.map { "\($0.count)\n" } ?? "max\n")
            write("", path, "memory.current", "\(current.count)\n")
            write("", path, "memory.stat", "anon \(anonymous.count)\nfile 4096\nkernel 0\n")
            write("", path, "memory.events", "low 0\nhigh 0\nmax 12\noom 3\noom_kill \(oomKills)\noom_group_kill 0\n")
            write("", path, "cpu.stat", "usage_usec 1\nnr_throttled 2\nthrottled_usec \(nanoseconds / 1000)\n")
            write("", path, "pids.max", "\(tasksMaximum)\n")
            write("", path, "pids.current", "\(tasks)\n")
            return
        }
        write("memory", path, "memory.limit_in_bytes", "\(limit?.count ?? 9_223_372_036_854_771_712)\n")
        write("memory", path, "memory.usage_in_bytes", "\(current.count)\n")
        write("memory", path, "memory.stat", "cache 4096\nrss 1\ntotal_cache 4096\ntotal_rss \(anonymous.count)\n")
        write("memory", path, "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill \(oomKills)\n")
        write("cpu", path, "cpu.stat", "nr_periods 0\nnr_throttled 0\nthrottled_time \(nanoseconds)\n")
        write("pids", path, "pids.max", "\(tasksMaximum)\n")
        write("pids", path, "pids.current", "\(tasks)\n")
    }

    /// Any other file of a group.
    public func write(_ controller: String, _ path: String, _ file: String, _ text: String) {
        let parts = ["fs/cgroup", controller, String(path.drop { $0 == "/" }), file].filter { !$0.isEmpty }
        folder.write(parts.joined(separator: "/"), text)
    }

    /// Removes a group.
    public func remove(_ path: String) {
        for controller in layout == .v2 ? [""] : ["memory", "cpu", "pids"] {
            folder.remove(
                ["fs/cgroup", controller, String(path.drop { $0 == "/" })].filter { !$0.isEmpty }.joined(separator: "/")
            )
        }
    }
}
