// How much may this group still take? The limit that matters is the lowest on the way up to the root: a service without
// one may live in a slice that has. Version 1 and version 2 say the same things in other words:
//
//                      version 2                       version 1
//     limit            memory.max                      memory/…/memory.limit_in_bytes (a huge number: none)
//     current          memory.current                  memory/…/memory.usage_in_bytes
//     anonymous        memory.stat `anon`              memory/…/memory.stat `total_rss`
//     kills            memory.events `oom_kill`        memory/…/memory.oom_control `oom_kill`
//     throttled        cpu.stat `throttled_usec`       cpu/…/cpu.stat `throttled_time` (ns)
//     tasks            pids.max, pids.current          pids/…/pids.max, pids.current
//
// Many hosts are hybrid: an empty version 2 tree for systemd, while memory is still counted in version 1. What is found
// is decided by looking for the memory controller, not by version numbers.

import Glibc
public import NightjarModel

/// Which tree counts memory.
public enum CgroupVersion: String, Hashable, Sendable {
    case v1, v2
    /// Both trees exist; memory is counted in version 1.
    case hybrid
    /// No memory controller anywhere.
    case none
}

/// Reads groups' limits, use and events. Not thread-safe; 6 to 20 files a sample, opened each time: meant for the groups
/// of watched processes every few seconds.
public final class CgroupReader {
    /// Which tree counts memory on this host.
    public let version: CgroupVersion
    /// What was swallowed: files that are there and cannot be read or understood.
    public private(set) var errors = ErrorCounts()

    private let memory: Directory?
    private let cpu: Directory?
    private let tasks: Directory?
    private let isUnified: Bool

    /// - Parameter sys: `/sys`, or a folder that looks like it.
    public init(sys: String = "/sys") {
        let root = "\(sys)/fs/cgroup"
        let unified = Self.controllers("\(root)/cgroup.controllers")
        if unified.contains("memory") {
            (version, isUnified) = (.v2, true)
            memory = try? Directory(root, capacity: 16 << 10)
            cpu = memory
            tasks = memory
            return
        }
        isUnified = false
        memory = try? Directory("\(root)/memory", capacity: 16 << 10)
        cpu = (try? Directory("\(root)/cpu", capacity: 4096)) ?? (try? Directory("\(root)/cpu,cpuacct", capacity: 4096))
        tasks = try? Directory("\(root)/pids", capacity: 4096)
        let hasUnified = access("\(root)/unified/cgroup.procs", F_OK) == 0
        version = memory == nil ? .none : hasUnified ? .hybrid : .v1
    }

    private static func controllers(_ path: String) -> [Substring] {
        guard let slash = path.lastIndex(of: "/"), let folder = try? Directory(String(path[..<slash]), capacity: 4096)
        else { return [] }
        let count = folder.readWhole(String(path[slash...].dropFirst()))
        guard count > 0 else { return [] }
        return printable(folder.bytes(count).dropLast()).split(separator: " ")
    }

    /// One reading of one group.
    ///
    /// - Parameters:
    ///   - path: below the tree's root, as `ProcessIdentity.cgroup` has it.
    ///   - unit: handed through into the sample.
    /// - Returns: nil where there is no such group (any more), or no memory controller at all.
    public func sample(path: String, unit: String? = nil, at time: Moment) -> CgroupSample? {
        guard let memory, path.hasPrefix("/") else { return nil }
        // A group outside our own namespace is shown as `/../x`: not ours to read.
        let parts = path.split(separator: "/")
        guard !parts.contains("..") else { return nil }
        guard parts.isEmpty || access("\(memory.path)/\(parts.joined(separator: "/"))", F_OK) == 0 else { return nil }
        var sample = CgroupSample(time: time, path: path, unit: unit)
        let limit = lowestLimit(parts, memory)
        sample.memoryLimit = limit?.bytes
        sample.limitedBy = limit?.path
        let counted = limit?.path ?? path
        sample.memoryCurrent = number(
            in: memory, counted, isUnified ? "memory.current" : "memory.usage_in_bytes"
        ).map { Bytes($0) }
        sample.memoryAnonymous = number(
            of: isUnified ? "anon" : "total_rss", in: memory, counted, "memory.stat"
        ).map { Bytes($0) }
        sample.oomKills = number(
            of: "oom_kill", in: memory, path, isUnified ? "memory.events" : "memory.oom_control")
        sample.throttled = throttled(path)
        let fewest = fewestTasksLeft(parts)
        sample.tasksLimit = fewest?.limit
        sample.tasksCurrent = fewest?.current ?? tasks.flatMap { number(in: $0, path, "pids.current") }
        return sample
    }

    /// The limit on tasks that will be met first.
    private func fewestTasksLeft(_ parts: [Substring]) -> (limit: Int64, current: Int64)? {
        guard let tasks else { return nil }
        var fewest: (limit: Int64, current: Int64)?
        for depth in stride(from: parts.count, through: 0, by: -1) {
            let path = parts.prefix(depth).joined(separator: "/")
            guard let limit = number(in: tasks, path, "pids.max"),
                let current = number(in: tasks, path, "pids.current"),
                fewest.map({ limit - current < $0.limit - $0.current }) ?? true
            else { continue }
            fewest = (limit, current)
        }
        return fewest
    }

    /// The lowest limit between the group and the root; the nearest of equals.
    private func lowestLimit(_ parts: [Substring], _ memory: Directory) -> (bytes: Bytes, path: String)? {
        var lowest: (bytes: Bytes, path: String)?
        // The root of a container's own view has limits too; the real root has no such file.
        for depth in stride(from: parts.count, through: 0, by: -1) {
            let path = "/" + parts.prefix(depth).joined(separator: "/")
            guard let limit = number(in: memory, path, isUnified ? "memory.max" : "memory.limit_in_bytes"),
                limit < Self.noLimit, lowest.map({ limit < $0.bytes.count }) ?? true
            else { continue }
            lowest = (Bytes(limit), path)
        }
        return lowest
    }

    /// Version 1 says 2⁶³ - 1 rounded down to a page where there is no limit. Nobody has an exbibyte.
    private static let noLimit: Int64 = 1 << 60

    private func throttled(_ path: String) -> Duration? {
        guard let cpu else { return nil }
        if isUnified {
            return number(of: "throttled_usec", in: cpu, path, "cpu.stat").map { .microseconds($0) }
        }
        return number(of: "throttled_time", in: cpu, path, "cpu.stat").map { .nanoseconds($0) }
    }

    /// The first number of a file; nil for `max` and where the kernel has no such file.
    private func number(in tree: Directory, _ path: String, _ file: String) -> Int64? {
        guard let count = read(tree, path, file) else { return nil }
        let buffer = tree.bytes(count)
        if has("max", at: 0, of: buffer.span) { return nil }
        var position = 0
        guard let found = NightjarSources.number(buffer.span, &position) else {
            errors[.malformed] += 1
            return nil
        }
        return Int64(clamping: found)
    }

    private func number(of key: StaticString, in tree: Directory, _ path: String, _ file: String) -> Int64? {
        guard let count = read(tree, path, file) else { return nil }
        return value(of: key, in: tree.bytes(count).span).map { Int64(clamping: $0) }
    }

    private func read(_ tree: Directory, _ path: String, _ file: String) -> Int? {
        let folder = path.drop { $0 == "/" }
        let count = tree.readWhole(folder.isEmpty ? file : "\(folder)/\(file)")
        if count > 0 { return count }
        if count != -Int(ENOENT), count != -Int(ENODEV), count != 0 { errors[.unreadable] += 1 }
        return nil
    }
}
