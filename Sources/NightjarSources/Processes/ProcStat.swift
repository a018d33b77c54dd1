// The four small files that a sample is made of. Formats: proc(5); sizes: stat ≤ 400 bytes, the others ≤ 128.

/// What we take from `/proc/PID/stat`.
struct ProcStat: Equatable {
    /// `comm`, zero-padded, as two words: cheap to keep and to compare.
    var name: ProcName
    var state: UInt8
    var flags: UInt32
    /// utime + stime in clock ticks; all threads, living and dead.
    var ticks: UInt64
    /// -20…19; of the first thread.
    var nice: Int8
    var threads: Int32
    /// Clock ticks after boot.
    var startTime: UInt64
    /// -1 in the entry of a thread that is not its process's first (`/proc/TID` opens, though it is not listed).
    var isThread: Bool

    /// PF_KTHREAD, include/linux/sched.h.
    var isKernelThread: Bool { flags & 0x0020_0000 != 0 }
    /// Ended, and nobody has asked for its exit status yet. A first thread that ended before the others is none.
    var isZombie: Bool { (state == UInt8(ascii: "Z") || state == UInt8(ascii: "X")) && threads <= 1 }

    /// Nil where the bytes are not a whole `stat` line.
    init?(_ bytes: borrowing ByteSpan) {
        guard let opening = Self.firstParenthesis(bytes), let closing = Self.lastParenthesis(bytes), opening < closing
        else { return nil }
        name = ProcName(bytes, opening + 1..<closing)
        var position = closing + 2
        guard position < bytes.count, bytes[closing + 1] == blank else { return nil }
        state = bytes[position]
        // Field 3 is at `position`; each blank is one field further.
        guard skip(6, blanksOf: bytes, &position), let flags = number(bytes, &position),
            skip(5, blanksOf: bytes, &position), let user = number(bytes, &position),
            skip(1, blanksOf: bytes, &position), let system = number(bytes, &position),
            skip(4, blanksOf: bytes, &position), let nice = signed(bytes, &position),
            skip(1, blanksOf: bytes, &position), let threads = number(bytes, &position),
            skip(2, blanksOf: bytes, &position), let start = number(bytes, &position),
            skip(16, blanksOf: bytes, &position), position < bytes.count
        else { return nil }
        self.flags = UInt32(truncatingIfNeeded: flags)
        ticks = user &+ system
        self.nice = Int8(clamping: nice)
        self.threads = Int32(clamping: threads)
        startTime = start
        isThread = bytes[position] == UInt8(ascii: "-")
    }

    private static func firstParenthesis(_ bytes: borrowing ByteSpan) -> Int? {
        var position = 0
        guard number(bytes, &position) != nil, has(" (", at: position, of: bytes) else { return nil }
        return position + 1
    }

    /// comm may hold spaces and parentheses, so the fields start after the *last* one (proc(5)).
    private static func lastParenthesis(_ bytes: borrowing ByteSpan) -> Int? {
        var position = bytes.count - 1
        while position >= 0 {
            if bytes[position] == UInt8(ascii: ")") { return position }
            position -= 1
        }
        return nil
    }
}

/// A process's `comm`: at most 15 bytes in the kernel (kernel workers show more, which is cut).
struct ProcName: Hashable {
    var low: UInt64 = 0
    var high: UInt64 = 0

    init() {}

    init(_ bytes: borrowing ByteSpan, _ range: Range<Int>) {
        for (index, position) in range.prefix(16).enumerated() {
            let byte = UInt64(bytes[position])
            if index < 8 { low |= byte << (8 * index) } else { high |= byte << (8 * (index - 8)) }
        }
    }

    var bytes: [UInt8] {
        (0..<16).map { UInt8(truncatingIfNeeded: ($0 < 8 ? low >> (8 * $0) : high >> (8 * ($0 - 8)))) }
            .prefix { $0 != 0 }.map(\.self)
    }

    var text: String { printable(bytes) }
}

/// `/proc/PID/statm`: exact on kernels that have commit 82241a83cd15, unlike field 24 of `stat`.
struct ProcStatm: Equatable {
    var residentPages: UInt64
    /// Resident minus shared: the same number as RssAnon.
    var anonymousPages: UInt64

    init?(_ bytes: borrowing ByteSpan) {
        var position = 0
        guard skip(1, blanksOf: bytes, &position), let resident = number(bytes, &position),
            skip(1, blanksOf: bytes, &position), let shared = number(bytes, &position),
            position < bytes.count, bytes[position] == blank
        else { return nil }
        residentPages = resident
        anonymousPages = resident > shared ? resident - shared : 0
    }
}

/// `/proc/PID/schedstat`, of the first thread alone: when none of it moved, a process of one thread has not run.
struct ProcSchedstat: Equatable {
    var runTime: UInt64
    var runDelay: UInt64

    init?(_ bytes: borrowing ByteSpan) {
        var position = 0
        guard let time = number(bytes, &position), skip(1, blanksOf: bytes, &position),
            let delay = number(bytes, &position), position < bytes.count, bytes[position] == blank
        else { return nil }
        runTime = time
        runDelay = delay
    }
}

/// `/proc/PID/io`: bytes that really went to or came from storage.
struct ProcIO: Equatable {
    var bytesRead: UInt64
    var bytesWritten: UInt64

    init?(_ bytes: borrowing ByteSpan) {
        guard let read = value(of: "read_bytes", in: bytes), let written = value(of: "write_bytes", in: bytes) else {
            return nil
        }
        bytesRead = read
        bytesWritten = written
    }
}
