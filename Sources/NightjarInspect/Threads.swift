// The target's threads: where their stacks are, and how they are stopped for a moment.
//
// How they are stopped stands in StoppedProcess.swift.

import Glibc

/// What a stopped thread held.
struct ThreadState: Hashable {
    var id: Int32
    var registers: [UInt64] = []
    var stackPointer: UInt64 = 0
    var programCounter: UInt64 = 0
    var framePointer: UInt64 = 0
}

enum Threads {
    /// Threads of one process that are looked at.
    static let limit = 32_768

    /// Ids of all threads, from /proc/PID/task.
    static func list(_ pid: Int32, _ procRoot: String) -> [Int32] {
        guard let directory = opendir("\(procRoot)/\(pid)/task") else { return [] }
        defer { closedir(directory) }
        var found: [Int32] = []
        while let entry = readdir(directory), found.count < limit {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if let id = Int32(name) { found.append(id) }
        }
        return found
    }

    /// Child processes that a thread made, from /proc/PID/task/TID/children (empty where the kernel does not have it).
    static func children(_ pid: Int32, thread: Int32, _ procRoot: String) -> [Int32] {
        let (text, _) = readFile("\(procRoot)/\(pid)/task/\(thread)/children", limit: 1 << 20)
        return text.split(separator: UInt8(ascii: " ")).compactMap { Int32(String(decoding: $0, as: UTF8.self)) }
    }

    /// Stack pointers of the threads that wait in a system call, without stopping any.
    static func stackPointers(_ pid: Int32, _ procRoot: String) -> [Int32: UInt64] {
        var known: [Int32: UInt64] = [:]
        for id in list(pid, procRoot) {
            let (text, _) = readFile("\(procRoot)/\(pid)/task/\(id)/syscall", limit: 512)
            let fields = String(decoding: text, as: UTF8.self).split { $0 == " " || $0 == "\n" }
            if fields.count >= 3, fields[fields.count - 2].hasPrefix("0x"),
                let pointer = UInt64(fields[fields.count - 2].dropFirst(2), radix: 16), pointer != 0
            {
                known[id] = pointer
            }
        }
        return known
    }

    /// The name that a thread gave itself.
    static func name(_ pid: Int32, thread: Int32, _ procRoot: String) -> String {
        let (text, _) = readFile("\(procRoot)/\(pid)/task/\(thread)/comm", limit: 64)
        return String(decoding: text.prefix { $0 != 10 }.filter { $0 >= 0x20 && $0 < 0x7f }, as: UTF8.self)
    }
}
