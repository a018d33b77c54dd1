// What the kernel shows of one of our own threads, through descriptors that stay open (1 µs a reading instead of 5):
//
//     syscall     "202 0x7f… 0x80 … sp pc"  blocked in that call      "running"  on a processor or ready for one
//                 "-1 sp pc"                blocked outside any call: a page fault
//     schedstat   nanoseconds on a processor, nanoseconds ready but waiting for one
//     sched       se.exec_start: when it last left the processor, on the scheduler's clock
//
// A descriptor of a thread that ended answers ESRCH, so a reused thread id cannot lie.

import CNightjarProbe
import Glibc
import NightjarWire

/// What a thread was found doing.
enum ThreadState: Equatable {
    case running
    /// Blocked in a system call, or outside any (`call` -1).
    case blocked(Blocked)
    case gone
    case unreadable

    struct Blocked: Equatable {
        var call: Int32
        var arguments: (UInt64, UInt64, UInt64, UInt64)
        var stackPointer: UInt64
        var programCounter: UInt64

        static func == (a: Blocked, b: Blocked) -> Bool {
            a.call == b.call && a.arguments == b.arguments && a.stackPointer == b.stackPointer
                && a.programCounter == b.programCounter
        }
    }

    var doing: ThreadDoing {
        switch self {
        case .running: .running
        case .blocked: .blocked
        case .gone, .unreadable: .unreadable
        }
    }

    var call: Int32 {
        if case .blocked(let blocked) = self { blocked.call } else { -1 }
    }
}

/// Time on a processor and time ready for one, since the thread began.
struct RunTimes: Equatable {
    var ran: UInt64 = 0
    var waited: UInt64 = 0

    static func - (a: RunTimes, b: RunTimes) -> RunTimes {
        RunTimes(ran: a.ran >= b.ran ? a.ran - b.ran : 0, waited: a.waited >= b.waited ? a.waited - b.waited : 0)
    }
}

/// The open files of one thread.
struct ThreadFiles: ~Copyable {
    let tid: Int32
    private let callFile: nj_descriptor
    private let timesFile: nj_descriptor
    private let wasGone: Bool

    init(tid: Int32) {
        self.tid = tid
        callFile = nj_note(open("/proc/self/task/\(tid)/syscall", O_RDONLY | O_CLOEXEC))
        wasGone = callFile.number < 0 && errno == ENOENT
        timesFile = nj_note(open("/proc/self/task/\(tid)/schedstat", O_RDONLY | O_CLOEXEC))
    }

    deinit {
        nj_close_ours(callFile)
        nj_close_ours(timesFile)
    }

    /// What the thread is doing now.
    func state() -> ThreadState {
        guard callFile.number >= 0 else { return wasGone ? .gone : .unreadable }
        return reading(callFile.number) { text in
            guard let text else { return errno == ESRCH ? .gone : .unreadable }
            return parseCall(text)
        }
    }

    /// nil where the kernel keeps no such statistics.
    func times() -> RunTimes? {
        guard timesFile.number >= 0 else { return nil }
        return reading(timesFile.number) { text in
            guard let text else { return nil }
            var words = Words(text)
            guard let ran = words.decimal(), let waited = words.decimal() else { return nil }
            return RunTimes(ran: ran, waited: waited)
        }
    }

    /// Faults that had to read from a disk, since the thread began.
    func majorFaults() -> UInt64? {
        wholeReading("/proc/self/task/\(tid)/stat") { text in
            // comm may hold spaces and parentheses, so the fields start after the last one (proc(5)).
            guard let end = text.lastIndex(of: UInt8(ascii: ")")) else { return nil }
            var words = Words(UnsafeRawBufferPointer(rebasing: text[(end + 1)...]))
            for _ in 0..<9 { words.skip() }
            return words.decimal()
        }
    }

    /// A debugger or another tracer holds it.
    func isTraced() -> Bool {
        wholeReading("/proc/self/task/\(tid)/status") { text in
            let mark = Array("\nTracerPid:".utf8)
            for start in text.indices where text[start...].starts(with: mark) {
                var words = Words(UnsafeRawBufferPointer(rebasing: text[(start + mark.count)...]))
                return words.decimal().map { $0 != 0 }
            }
            return nil
        } ?? false
    }

    /// The processor that it runs on or last ran on.
    func processor() -> Int32? {
        wholeReading("/proc/self/task/\(tid)/stat") { text in
            guard let end = text.lastIndex(of: UInt8(ascii: ")")) else { return nil }
            var words = Words(UnsafeRawBufferPointer(rebasing: text[(end + 1)...]))
            for _ in 0..<36 { words.skip() }
            return words.decimal().map { Int32(clamping: $0) }
        }
    }

    /// When it last left (or entered) a processor, in nanoseconds of the scheduler's clock.
    func lastRan() -> UInt64? { schedulerTime("/proc/self/task/\(tid)/sched") }

    /// The same of the calling thread, so that the two clocks can be compared.
    static func ownLastRan() -> UInt64? { schedulerTime("/proc/thread-self/sched") }

    /// `comm` of a thread, at most 15 bytes.
    static func name(of tid: Int32) -> String {
        wholeReading("/proc/self/task/\(tid)/comm") { text in
            String(decoding: text.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
        } ?? ""
    }

    static func isAlive(_ tid: Int32) -> Bool { access("/proc/self/task/\(tid)", F_OK) == 0 }
}

/// Reads up to 512 bytes of an open file from its start.
private func reading<T>(_ file: Int32, _ body: (UnsafeRawBufferPointer?) -> T) -> T {
    withUnsafeTemporaryAllocation(byteCount: 512, alignment: 8) { buffer in
        let got = pread(file, buffer.baseAddress, buffer.count, 0)
        return body(got > 0 ? UnsafeRawBufferPointer(rebasing: buffer[..<got]) : nil)
    }
}

/// Opens, reads and closes; nil where any of it fails.
func wholeReading<T>(_ path: String, _ body: (UnsafeRawBufferPointer) -> T?) -> T? {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { close(file) }
    return reading(file) { $0.flatMap(body) }
}

private func schedulerTime(_ path: String) -> UInt64? {
    wholeReading(path) { text in
        guard let colon = text.dropFirst(40).firstIndex(of: UInt8(ascii: ":")) else { return nil }
        var words = Words(UnsafeRawBufferPointer(rebasing: text[(colon + 1)...]))
        guard let milliseconds = words.decimal() else { return nil }
        words.skipOne(UInt8(ascii: "."))
        guard let nanoseconds = words.decimal(), nanoseconds < 1_000_000 else { return nil }
        return milliseconds &* 1_000_000 &+ nanoseconds
    }
}

func parseCall(_ text: UnsafeRawBufferPointer) -> ThreadState {
    if text.starts(with: "running".utf8) { return .running }
    var words = Words(text)
    guard let call = words.signed() else { return .unreadable }
    var blocked = ThreadState.Blocked(
        call: Int32(truncatingIfNeeded: call), arguments: (0, 0, 0, 0), stackPointer: 0, programCounter: 0)
    if call >= 0 {
        guard let a = words.hex(), let b = words.hex(), let c = words.hex(), let d = words.hex(), words.hex() != nil,
            words.hex() != nil
        else { return .unreadable }
        blocked.arguments = (a, b, c, d)
    }
    guard let stackPointer = words.hex(), let programCounter = words.hex() else { return .unreadable }
    // A zombie shows zeros.
    if call < 0, stackPointer == 0 { return .gone }
    blocked.stackPointer = stackPointer
    blocked.programCounter = programCounter
    return .blocked(blocked)
}

/// Numbers between blanks.
struct Words {
    private let text: UnsafeRawBufferPointer
    private var at = 0

    init(_ text: UnsafeRawBufferPointer) { self.text = text }

    private mutating func blanks() {
        while at < text.count, text[at] <= 0x20 { at += 1 }
    }

    mutating func skip() {
        blanks()
        while at < text.count, text[at] > 0x20 { at += 1 }
    }

    mutating func skipOne(_ byte: UInt8) {
        if at < text.count, text[at] == byte { at += 1 }
    }

    mutating func decimal() -> UInt64? {
        blanks()
        return digits(10)
    }

    mutating func signed() -> Int64? {
        blanks()
        guard at < text.count else { return nil }
        let isNegative = text[at] == UInt8(ascii: "-")
        if isNegative { at += 1 }
        return digits(10).map { isNegative ? 0 &- Int64(truncatingIfNeeded: $0) : Int64(truncatingIfNeeded: $0) }
    }

    mutating func hex() -> UInt64? {
        blanks()
        guard at + 1 < text.count, text[at] == UInt8(ascii: "0"), text[at + 1] == UInt8(ascii: "x") else { return nil }
        at += 2
        return digits(16)
    }

    private mutating func digits(_ radix: UInt64) -> UInt64? {
        let first = at
        var value: UInt64 = 0
        while at < text.count {
            let byte = text[at]
            let digit: UInt64
            switch byte {
            case 0x30...0x39: digit = UInt64(byte - 0x30)
            case 0x61...0x66 where radix == 16: digit = UInt64(byte - 0x61 + 10)
            default: return at > first ? value : nil
            }
            value = value &* radix &+ digit
            at += 1
        }
        return at > first ? value : nil
    }
}
