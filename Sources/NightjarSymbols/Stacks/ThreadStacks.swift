// The stacks of all threads of any process, from outside: no probe in it, nothing stopped, no debugger.
//
//     /proc/PID/task/TID/syscall   where a blocked thread is: call, stack pointer, program counter
//     process_vm_readv             a copy of its stack
//     the process's own files      unwind tables and names
//
// A thread that is running shows no registers, and nothing short of stopping it would; it is listed as running. Another
// user's process wants CAP_SYS_PTRACE.

import CNightjarLinux
import Glibc

/// One thread, as it was found.
public struct ThreadStack: Hashable, Sendable {
    /// What the kernel said of it (`/proc/PID/task/TID/syscall`).
    public enum State: Hashable, Sendable {
        case running
        /// In this system call, or outside any (-1).
        case blocked(call: Int32)
        case unreadable
    }

    public var tid: Int32
    /// `comm`, at most 15 bytes.
    public var name: String
    public var state: State
    /// Innermost first; empty where it was running.
    public var frames: [SymbolizedFrame]

    public init(tid: Int32, name: String, state: State, frames: [SymbolizedFrame]) {
        self.tid = tid
        self.name = name
        self.state = state
        self.frames = frames
    }
}

/// Why stacks could not be read, as one line for people.
public struct StacksError: Error, Hashable, Sendable, CustomStringConvertible {
    /// There is no such process any more, or the kernel does not let us look.
    public enum Code: String, Hashable, Sendable { case noProcess, notPermitted }

    public var code: Code
    public var pid: Int32

    public var description: String {
        switch code {
        case .noProcess: "no process \(pid)"
        case .notPermitted:
            "not permitted to read the stacks of process \(pid); run as its user or root (CAP_SYS_PTRACE)"
        }
    }
}

/// Reads the stacks of other processes.
public enum ThreadStacks {
    public static let mostThreads = 512
    private static let stackBytes = 65_536

    /// The stacks of all threads of `pid` now. Some ms for the first names of a process, 0.1 ms a thread.
    public static func read(pid: Int32, procRoot: String = "/proc") -> Result<[ThreadStack], StacksError> {
        let tids = threads(of: pid, procRoot)
        guard !tids.isEmpty else { return .failure(StacksError(code: .noProcess, pid: pid)) }
        guard let modules = UnwindModules.of(pid: pid, procRoot: procRoot) else {
            return .failure(StacksError(code: .notPermitted, pid: pid))
        }
        let symbolizer = Symbolizer(pid: pid, procRoot: procRoot)
        let reader = StackReader(pid: pid, procRoot: procRoot, modules: modules, symbolizer: symbolizer)
        // A thread that ended meanwhile has nothing to say.
        let stacks = tids.map(reader.stack).filter {
            $0.state != .unreadable || access("\(procRoot)/\(pid)/task/\($0.tid)", F_OK) == 0
        }
        guard stacks.contains(where: { $0.state != .unreadable }) else {
            return .failure(StacksError(code: .notPermitted, pid: pid))
        }
        return .success(stacks)
    }

    private static func threads(of pid: Int32, _ procRoot: String) -> [Int32] {
        guard let folder = opendir("\(procRoot)/\(pid)/task") else { return [] }
        defer { closedir(folder) }
        var tids: [Int32] = []
        while tids.count < mostThreads, let entry = readdir(folder) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { raw in
                String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
            }
            if let tid = Int32(name) { tids.append(tid) }
        }
        return tids.sorted()
    }

    private struct StackReader {
        let pid: Int32
        let procRoot: String
        let modules: UnwindModules
        let symbolizer: Symbolizer

        func stack(_ tid: Int32) -> ThreadStack {
            let name = text("comm", tid).map { String($0.prefix { $0 != "\n" }) } ?? ""
            // The thread may move on between the two readings; then the copy is of nothing, and we look again.
            for _ in 0..<3 {
                guard let line = text("syscall", tid) else { break }
                if line.hasPrefix("running") { return ThreadStack(tid: tid, name: name, state: .running, frames: []) }
                guard let place = Place(line) else { break }
                let frames = unwind(place)
                if text("syscall", tid) == line {
                    return ThreadStack(tid: tid, name: name, state: .blocked(call: place.call), frames: frames)
                }
            }
            return ThreadStack(tid: tid, name: name, state: .unreadable, frames: [])
        }

        private func text(_ file: String, _ tid: Int32) -> String? {
            wholeFile("\(procRoot)/\(pid)/task/\(tid)/\(file)", limit: 4096).map { String(decoding: $0, as: UTF8.self) }
        }

        private func unwind(_ place: Place) -> [SymbolizedFrame] {
            var copy = [UInt8](repeating: 0, count: ThreadStacks.stackBytes)
            let got = nj_read_memory(pid, place.stackPointer, &copy, copy.count)
            guard got > 0 else { return [] }
            let addresses = copy.withUnsafeBytes { raw in
                let stack = StackCopy(UnsafeRawBufferPointer(rebasing: raw[..<got]), at: place.stackPointer)
                return Unwinder(modules).walk(
                    UnwindRegisters(stackPointer: place.stackPointer, programCounter: place.programCounter), stack)
            }
            return symbolizer.stack(of: addresses)
        }
    }

    /// A line of the `syscall` file.
    private struct Place {
        var call: Int32
        var stackPointer: UInt64
        var programCounter: UInt64

        init?(_ line: String) {
            let words = line.split { $0 == " " || $0 == "\n" }
            guard words.count == 9 || words.count == 3, let call = Int32(words[0]),
                let stack = UInt64(words[words.count - 2].dropFirst(2), radix: 16),
                let counter = UInt64(words[words.count - 1].dropFirst(2), radix: 16), stack != 0
            else { return nil }
            self.call = call
            stackPointer = stack
            programCounter = counter
        }
    }
}
