// The target's threads: where their stacks are, and how they are stopped for a moment.
//
// Threads are stopped with ptrace (SEIZE, INTERRUPT), not with SIGSTOP: no signal reaches the program, its parent is
// told nothing, and should this process die in between, the kernel lets every thread go on by itself.

import CNightjarLinux
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

/// Holds all threads of a process stopped. Let go by `resume()`, or by the end of this process.
final class StoppedProcess {
    private var held: [Int32] = []
    private(set) var states: [ThreadState] = []
    private var signals: [Int32: Int32] = [:]
    private let began: Double

    /// Stops every thread. Threads that appear meanwhile are stopped as well; ones that end are forgotten.
    init(pid: Int32, procRoot: String) throws {
        began = monotonicSeconds()
        for _ in 0..<10 {
            let new = Threads.list(pid, procRoot).filter { !held.contains($0) }
            if new.isEmpty { break }
            var seized: [Int32] = []
            for id in new {
                let result = nj_seize(id)
                if result == 0 {
                    seized.append(id)
                } else if result == -EPERM {
                    resume()
                    throw InspectError(
                        .notPermitted,
                        "may not stop process \(pid): another debugger or tracer holds it, or the right to trace is missing"
                    )
                }
            }
            for id in seized { hold(id) }
        }
        if held.isEmpty { throw InspectError(.gone, "process \(pid) ended before it could be stopped") }
    }

    deinit { resume() }

    private func hold(_ id: Int32) {
        let result = nj_interrupt(id, 200)
        // Uninterruptible threads (waiting for a disk) stop late: let them be, they change nothing meanwhile.
        if result < 0 {
            if result == -ETIMEDOUT { held.append(id) }
            return
        }
        held.append(id)
        if result > 0 { signals[id] = result }
        var state = ThreadState(id: id, registers: [UInt64](repeating: 0, count: 64))
        var (sp, pc, fp): (Int32, Int32, Int32) = (0, 0, 0)
        let count = nj_registers(id, &state.registers, 64, &sp, &pc, &fp)
        guard count > 0 else { return }
        state.registers.removeLast(64 - Int(count))
        state.stackPointer = state.registers[Int(sp)]
        state.programCounter = state.registers[Int(pc)]
        state.framePointer = state.registers[Int(fp)]
        states.append(state)
    }

    /// Lets every thread go on; answers for how long the process stood still.
    @discardableResult func resume() -> Double {
        for id in held { _ = nj_detach(id, signals[id] ?? 0) }
        held = []
        return monotonicSeconds() - began
    }
}
