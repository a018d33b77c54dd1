// What speaks against a copy of the target. A copy is a system call that the target did not make itself, one more process
// of its user and its cgroup, and, while it lives, up to as much memory again as the target writes meanwhile. None of
// that may ever end or hinder it: where it could, we stop it instead, for longer.

import CNightjarLinux
import Glibc

enum SnapshotObstacles {
    /// Beside what the copy may take at worst, this much must stay free.
    static let reserve: UInt64 = 64 << 20
    /// Attempts while a child of vfork(2) runs in the target's memory, 20 ms apart.
    static let attempts = 10

    /// Why there should be no copy, in words that follow "no copy:"; nil where nothing speaks against one.
    static func find(_ target: Target) -> String? {
        guard nj_can_inject() != 0 else { return "not on this processor" }
        let status = StatusFile("\(target.procRoot)/\(target.pid)/status")
        if status.isEmpty { return "its status cannot be read" }
        if status.number("Seccomp") ?? 2 != 0 { return "a filter of system calls watches it (seccomp)" }
        if let features = status["x86_Thread_features"], features.contains("shstk") { return "it uses shadow stacks" }
        if overcommitIsStrict(target.procRoot) {
            return "the host forbids memory that may not be there (vm.overcommit_memory 2)"
        }
        let wanted = (status.bytes("RssAnon") ?? status.bytes("VmRSS") ?? .max >> 1) + (status.bytes("VmSwap") ?? 0)
        return MemoryHeadroom.shortage(for: target.pid, wanted &+ reserve, target.procRoot)
    }

    private static func overcommitIsStrict(_ procRoot: String) -> Bool {
        readFile("\(procRoot)/sys/vm/overcommit_memory", limit: 16).0.first == UInt8(ascii: "2")
    }

    /// A process that shares its memory with another one cannot be held: the other writes on. Mostly that is a child
    /// between vfork and exec, and over in a moment.
    static func checkAlone(_ target: Target) throws {
        for attempt in 0..<attempts {
            guard let other = sharer(target) else { return }
            if attempt == attempts - 1 { throw sharedMemory(target.pid, other) }
            usleep(20_000)
        }
    }

    static func sharedMemory(_ pid: Int32, _ other: Int32) -> InspectError {
        InspectError(
            .sharedMemory,
            "process \(pid) shares its memory with process \(other), which would go on writing to it: try again")
    }

    /// A child that runs in the target's memory.
    static func sharer(_ target: Target) -> Int32? {
        Threads.list(target.pid, target.procRoot).lazy
            .flatMap { Threads.children(target.pid, thread: $0, target.procRoot) }
            .first { nj_same_memory(target.pid, $0) == 1 }
    }
}

/// How much memory is left for a process: in each of its cgroups that has a limit, and on the host.
enum MemoryHeadroom {
    /// What is short, as a reason; nil where `wanted` bytes are there everywhere.
    static func shortage(for pid: Int32, _ wanted: UInt64, _ procRoot: String) -> String? {
        let host = StatusFile("\(procRoot)/meminfo")
        guard let available = host.bytes("MemAvailable") else { return "how much memory is free cannot be read" }
        if available < wanted { return "the host has too little memory left (\(available >> 20) MiB)" }
        for folder in folders(pid, procRoot) {
            guard let (limit, used) = figures(folder), limit < 1 << 60 else { continue }
            let left = limit > used ? limit - used : 0
            if left < wanted { return "its cgroup has too little memory left (\(left >> 20) MiB)" }
        }
        return nil
    }

    /// The process's memory cgroup and all above it, in either hierarchy.
    private static func folders(_ pid: Int32, _ procRoot: String) -> [String] {
        var found: [String] = []
        for line in lines("\(procRoot)/\(pid)/cgroup") {
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3 else { continue }
            let isUnified = fields[0] == "0" && fields[1].isEmpty
            guard isUnified || fields[1].split(separator: ",").contains("memory") else { continue }
            for mount in mounts(unified: isUnified, procRoot) {
                var path = fields[2]
                while true {
                    found.append(mount + path)
                    guard let slash = path.lastIndex(of: "/"), path != "/" else { break }
                    path = slash == path.startIndex ? "/" : path[..<slash]
                }
            }
        }
        return found
    }

    private static func mounts(unified: Bool, _ procRoot: String) -> [String] {
        lines("\(procRoot)/self/mounts").compactMap { line in
            let fields = line.split(separator: " ")
            guard fields.count > 3, fields[2] == (unified ? "cgroup2" : "cgroup") else { return nil }
            return unified || fields[3].split(separator: ",").contains("memory") ? String(fields[1]) : nil
        }
    }

    private static func figures(_ folder: String) -> (limit: UInt64, used: UInt64)? {
        for (limit, used) in [("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")] {
            if let limit = number("\(folder)/\(limit)"), let used = number("\(folder)/\(used)") {
                return (limit, used &- min(used, reclaimable(folder)))
            }
        }
        return nil
    }

    /// Cached file pages count as used but give way.
    private static func reclaimable(_ folder: String) -> UInt64 {
        for line in lines("\(folder)/memory.stat") where line.hasPrefix("inactive_file ") {
            return UInt64(line.dropFirst("inactive_file ".count)) ?? 0
        }
        return 0
    }

    private static func number(_ path: String) -> UInt64? {
        lines(path).first.flatMap { UInt64($0) }
    }

    private static func lines(_ path: String) -> [Substring] {
        String(decoding: readFile(path, limit: 1 << 20).0, as: UTF8.self).split(separator: "\n")
    }
}
