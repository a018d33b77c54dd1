// Threads are stopped with ptrace (SEIZE, INTERRUPT), not with SIGSTOP: no signal reaches the program, its parent is
// told nothing, and should this process die in between, the kernel lets every thread go on by itself.
//
// The kernel restarts most system calls that were interrupted so, with what is left of their time. A few it gives up with
// EINTR (signal(7) lists them; epoll_wait is the one that every server sits in). We have them begin again: an event
// loop's timeout is shortened by what it slept already. /proc/PID/task/TID/sched tells when a thread was last on its
// processor, by that processor's clock, so we go there to ask what time it is. Where the kernel does not have that file,
// the loop sleeps longer, never shorter. A call that a signal of the program's own ends is left alone.

import CNightjarLinux
import Glibc

/// Holds all threads of a process stopped. Let go by `resume()`, or by the end of this process.
final class StoppedProcess {
    /// How long all threads together may take to stop. One that waits for a disk, or for a child of its own between
    /// vfork and exec, may take longer.
    static let patience = 0.2
    /// Seconds for which a thread that did not stop in time is waited for, once all others go on: only a thread that
    /// stands can be let go before this process ends.
    static let patienceForTheLast = 5.0

    let pid: Int32
    private let procRoot: String
    private(set) var states: [ThreadState] = []
    /// A thread that did not stop in time: what its registers and its stack hold is not known.
    private(set) var unstopped: Int32?
    private var held: Set<Int32> = []
    private var signals: [Int32: Int32] = [:]
    private var naps: [Int32: Nap] = [:]
    /// When the timeouts of event loops began.
    private var sleepsSince: [Int32: Double] = [:]
    private var began = 0.0

    /// Stops every thread, or only one that is named. Threads that appear meanwhile are stopped as well; ones that end
    /// are forgotten.
    init(pid: Int32, procRoot: String, only: Int32? = nil) throws {
        self.pid = pid
        self.procRoot = procRoot
        var known = only.map { [$0] } ?? Threads.list(pid, procRoot)
        naps = Nap.all(of: pid, threads: known, procRoot)
        for _ in 0..<10 where !known.isEmpty {
            stop(try known.filter(seize))
            known = only == nil ? Threads.list(pid, procRoot).filter { !held.contains($0) } : []
        }
        if held.isEmpty { throw InspectError(.gone, "process \(pid) ended before it could be stopped") }
    }

    deinit { resume() }

    private func seize(_ id: Int32) throws -> Bool {
        let result = nj_seize(id)
        if result == -EPERM {
            resume()
            throw Self.refusal(pid)
        }
        if result == 0 { held.insert(id) }
        return result == 0
    }

    static func refusal(_ pid: Int32) -> InspectError {
        InspectError(
            .notPermitted,
            "may not stop process \(pid): another debugger or tracer holds it, or the right to trace is missing")
    }

    /// All are asked before any is waited for: the process stands still for as short as can be.
    private func stop(_ seized: [Int32]) {
        if began == 0 { began = monotonicSeconds() }
        let asked = seized.filter { nj_ask_to_stop($0) == 0 }
        let deadline = monotonicSeconds() + Self.patience
        for id in asked {
            let left = max(0, deadline - monotonicSeconds())
            let result = nj_await_stop(id, Int64(left * 1e6))
            if result == -ETIMEDOUT {
                unstopped = id
                continue
            }
            if result < 0 {
                held.remove(id)
                continue
            }
            if result > 0 { signals[id] = result }
            note(id)
        }
    }

    private func note(_ id: Int32) {
        var state = ThreadState(id: id, registers: [UInt64](repeating: 0, count: 64))
        var (sp, pc, fp): (Int32, Int32, Int32) = (0, 0, 0)
        let count = nj_registers(id, &state.registers, 64, &sp, &pc, &fp)
        guard count > 0 else { return }
        state.registers.removeLast(64 - Int(count))
        state.stackPointer = state.registers[Int(sp)]
        state.programCounter = state.registers[Int(pc)]
        state.framePointer = state.registers[Int(fp)]
        states.append(state)
        var timeout: Int32 = -1
        if nj_given_up_call(id, &timeout) >= 0, timeout > 0 {
            let slept = naps[id]?.slept(pid, thread: id, of: Double(timeout) / 1000, procRoot) ?? 0
            sleepsSince[id] = monotonicSeconds() - slept
        }
    }

    /// Threads that can be made to carry out a call: those that are not on the way into a signal handler.
    func fit(first: Int32) -> [ThreadState] {
        let fit = states.filter { signals[$0.id] == nil }
        return fit.filter { $0.id == first } + fit.filter { $0.id != first }
    }

    /// Lets every thread go on; answers for how long the process stood still.
    @discardableResult func resume() -> Double {
        for state in states { restartCall(of: state.id) }
        if let unstopped { held.remove(unstopped) }
        for id in held { _ = nj_detach(id, signals[id] ?? 0) }
        (held, states) = ([], [])
        let length = began > 0 ? monotonicSeconds() - began : 0
        if let last = unstopped {
            unstopped = nil
            let signal = nj_await_stop(last, Int64(Self.patienceForTheLast * 1e6))
            if signal >= 0 { _ = nj_detach(last, signal) }
        }
        return length
    }

    private func restartCall(of id: Int32) {
        var timeout: Int32 = -1
        guard signals[id] == nil, nj_given_up_call(id, &timeout) >= 0, !Self.awaitsSignal(pid, id, procRoot) else {
            return
        }
        let slept = sleepsSince[id].map { monotonicSeconds() - $0 } ?? 0
        _ = nj_restart_call(id, Int32(min(slept * 1000, Double(Int32.max / 2))))
    }

    /// Whether a signal that the thread will handle is on its way: then the call must end.
    private static func awaitsSignal(_ pid: Int32, _ id: Int32, _ procRoot: String) -> Bool {
        let status = StatusFile("\(procRoot)/\(pid)/task/\(id)/status")
        guard let own = status.hex("SigPnd"), let shared = status.hex("ShdPnd"), let blocked = status.hex("SigBlk")
        else { return true }
        return (own | shared) & ~blocked != 0
    }
}

/// Since when a thread sleeps in a call with a timeout.
struct Nap {
    /// A processor's clock may be a tick old.
    private static let margin = 0.005
    /// Seconds on a processor within which a thread that sleeps is woken and stopped; what took longer did more.
    private static let mostToStop = 0.0001
    private var noted: Double
    /// Seconds that it had been on a processor in all.
    private var worked: Double
    /// Seconds between its last time on a processor and `noted`.
    private var before: Double
    private var switches: UInt64

    /// The naps of threads that take one, as far as the kernel tells since when.
    static func all(of pid: Int32, threads: [Int32], _ procRoot: String) -> [Int32: Nap] {
        let sleepers = threads.filter { sleepsForATime("\(procRoot)/\(pid)/task/\($0)/syscall") }
        guard !sleepers.isEmpty else { return [:] }
        var found: [Int32: Nap] = [:]
        var home = nj_processors()
        nj_allowed_processors(&home)
        for id in sleepers { found[id] = Nap("\(procRoot)/\(pid)/task/\(id)", procRoot) }
        nj_allow_processors(&home)
        return found
    }

    /// The fourth argument of epoll_wait (232) and epoll_pwait (281) on x86-64 is their timeout, −1 for none.
    private static func sleepsForATime(_ path: String) -> Bool {
        let fields = String(decoding: readFile(path, limit: 512).0, as: UTF8.self).split(separator: " ")
        guard fields.count > 5, fields[0] == "232" || fields[0] == "281", fields[4].hasPrefix("0x"),
            let timeout = UInt64(fields[4].dropFirst(2), radix: 16)
        else { return false }
        return Int32(truncatingIfNeeded: timeout) > 0
    }

    private init?(_ folder: String, _ procRoot: String) {
        guard let processor = Self.processor("\(folder)/stat"), nj_go_to_processor(processor) == 0,
            let own = Self.figures("\(procRoot)/thread-self/sched"), let its = Self.figures("\(folder)/sched"),
            Self.processor("\(folder)/stat") == processor
        else { return nil }
        noted = monotonicSeconds()
        before = max(0, own.last - its.last)
        (switches, worked) = (its.switches, its.worked)
    }

    /// Seconds that it slept until now, too few rather than too many; 0 where it may have woken up in between: then what
    /// was interrupted may be the next call, and that one had not slept at all.
    func slept(_ pid: Int32, thread: Int32, of timeout: Double, _ procRoot: String) -> Double {
        guard let now = Self.figures("\(procRoot)/\(pid)/task/\(thread)/sched"), now.switches == switches + 1,
            now.worked - worked < Self.mostToStop
        else { return 0 }
        let most = before + monotonicSeconds() - noted
        return most + 2 * Self.margin < timeout ? max(0, most - Self.margin) : 0
    }

    /// The processor that a thread ran on last: field 39 of stat.
    private static func processor(_ path: String) -> Int32? {
        let (text, _) = readFile(path, limit: 4096)
        guard let close = text.lastIndex(of: UInt8(ascii: ")")) else { return nil }
        let fields = text[(close + 1)...].split(separator: UInt8(ascii: " "))
        return fields.count > 36 ? Int32(String(decoding: fields[36], as: UTF8.self)) : nil
    }

    /// When it was last on a processor, in seconds of that processor's clock, for how long in all, and how often it went
    /// to sleep.
    private static func figures(_ path: String) -> (last: Double, worked: Double, switches: UInt64)? {
        let (text, _) = readFile(path, limit: 16_384)
        var (last, worked, switches): (Double?, Double?, UInt64?)
        for line in String(decoding: text, as: UTF8.self).split(separator: "\n") {
            guard let colon = line.lastIndex(of: ":") else { continue }
            let value = line[line.index(after: colon)...].drop { $0 == " " }
            if line.hasPrefix("se.exec_start") { last = Double(value).map { $0 / 1000 } }
            if line.hasPrefix("se.sum_exec_runtime") { worked = Double(value).map { $0 / 1000 } }
            if line.hasPrefix("nr_voluntary_switches") { switches = UInt64(value) }
        }
        guard let last, let worked, let switches else { return nil }
        return (last, worked, switches)
    }
}

/// The `Name: value` lines of a status file.
struct StatusFile {
    private var values: [Substring: Substring] = [:]

    init(_ path: String) {
        let (text, _) = readFile(path, limit: 65_536)
        for line in String(decoding: text, as: UTF8.self).split(separator: "\n") {
            guard let colon = line.firstIndex(of: ":") else { continue }
            values[line[..<colon]] = line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
        }
    }

    var isEmpty: Bool { values.isEmpty }
    subscript(_ name: String) -> Substring? { values[name[...]] }
    func number(_ name: String) -> UInt64? { self[name].flatMap { UInt64($0.prefix { $0 != " " }) } }
    func hex(_ name: String) -> UInt64? { self[name].flatMap { UInt64($0, radix: 16) } }
    /// A figure in kB, in bytes.
    func bytes(_ name: String) -> UInt64? { number(name).map { $0 << 10 } }
}
