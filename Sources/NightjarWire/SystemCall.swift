// Names of the system calls that a loop is found in, by the number that the kernel shows.

/// A system call of this architecture.
public enum SystemCall {
    #if arch(arm64)
        public static let futex: Int32 = 98
        /// Calls in which an event loop waits for events.
        public static let eventWaits: Set<Int32> = [22, 441]
        public static let poll: Int32 = 73
        private static let names: [Int32: String] = [
            22: "epoll_pwait", 29: "ioctl", 35: "unlinkat", 45: "truncate", 46: "ftruncate", 47: "fallocate",
            56: "openat",
            62: "lseek", 63: "read", 64: "write", 65: "readv", 66: "writev", 67: "pread64", 68: "pwrite64",
            72: "pselect6",
            73: "ppoll", 78: "readlinkat", 79: "newfstatat", 80: "fstat", 81: "sync", 82: "fsync", 83: "fdatasync",
            95: "waitid", 98: "futex", 101: "nanosleep", 115: "clock_nanosleep", 129: "kill", 133: "rt_sigsuspend",
            137: "rt_sigtimedwait", 202: "accept", 203: "connect", 206: "sendto", 207: "recvfrom", 211: "sendmsg",
            212: "recvmsg", 215: "munmap", 222: "mmap", 226: "mprotect", 233: "madvise", 242: "accept4", 260: "wait4",
            441: "epoll_pwait2", 449: "futex_waitv",
        ]
        private static let descriptorCalls: Set<Int32> = [
            22, 29, 46, 47, 62, 63, 64, 65, 66, 67, 68, 80, 82, 83, 202, 203, 206, 207, 211, 212, 242, 441,
        ]
        private static let sleeps: Set<Int32> = [101, 115]
    #else
        public static let futex: Int32 = 202
        /// Calls in which an event loop waits for events.
        public static let eventWaits: Set<Int32> = [232, 281, 441]
        public static let poll: Int32 = 271
        private static let names: [Int32: String] = [
            0: "read", 1: "write", 2: "open", 3: "close", 4: "stat", 5: "fstat", 7: "poll", 8: "lseek", 9: "mmap",
            10: "mprotect", 11: "munmap", 16: "ioctl", 17: "pread64", 18: "pwrite64", 19: "readv", 20: "writev",
            23: "select", 28: "madvise", 34: "pause", 35: "nanosleep", 42: "connect", 43: "accept", 44: "sendto",
            45: "recvfrom", 46: "sendmsg", 47: "recvmsg", 61: "wait4", 73: "flock", 74: "fsync", 75: "fdatasync",
            76: "truncate", 77: "ftruncate", 82: "rename", 87: "unlink", 128: "rt_sigtimedwait", 130: "rt_sigsuspend",
            162: "sync", 202: "futex", 217: "getdents64", 230: "clock_nanosleep", 232: "epoll_wait", 247: "waitid",
            257: "openat", 262: "newfstatat", 270: "pselect6", 271: "ppoll", 281: "epoll_pwait", 285: "fallocate",
            288: "accept4", 295: "preadv", 296: "pwritev", 299: "recvmmsg", 306: "syncfs", 307: "sendmmsg",
            319: "memfd_create", 326: "copy_file_range", 441: "epoll_pwait2", 449: "futex_waitv",
        ]
        private static let descriptorCalls: Set<Int32> = [
            0, 1, 3, 5, 8, 16, 17, 18, 19, 20, 42, 43, 44, 45, 46, 47, 73, 74, 75, 77, 217, 232, 281, 285, 288, 295,
            296,
            299, 306, 307, 441,
        ]
        private static let sleeps: Set<Int32> = [35, 230]
    #endif

    /// `read`, or `system call 300`.
    public static func name(_ number: Int32) -> String { names[number] ?? "system call \(number)" }

    /// Whether the first argument is a descriptor.
    public static func takesDescriptor(_ number: Int32) -> Bool { descriptorCalls.contains(number) }

    /// Whether the call does nothing but wait for time to pass.
    public static func isSleep(_ number: Int32) -> Bool { sleeps.contains(number) }
}

extension StallCause {
    /// What it did, as the end of "… stalled 312 ms, ".
    public func phrase(call: Int32, target: String) -> String {
        switch self {
        case .unknown: return "cause not known"
        case .computing: return "computing"
        case .systemCall:
            if SystemCall.isSleep(call) { return "sleeping (\(SystemCall.name(call)))" }
            return "blocked in \(SystemCall.name(call))" + (target.isEmpty ? "" : " of \(target)")
        case .lock: return "waiting for a lock" + (target.isEmpty ? "" : " held by \(target)")
        case .deadlock: return "deadlocked" + (target.isEmpty ? "" : " with \(target)")
        case .wait: return "waiting for a queue, semaphore or condition"
        case .paging: return "waiting for pages to be read in"
        case .starvedByHost: return "ready to run, but the host gave it no processor"
        case .starvedByQuota: return "ready to run, but its CPU quota was used up"
        case .poolExhausted: return "every thread of the cooperative pool is taken"
        }
    }

    /// One word for metrics and JSON: `computing`, `system_call`.
    public var word: String {
        switch self {
        case .unknown: "unknown"
        case .computing: "computing"
        case .systemCall: "system_call"
        case .lock: "lock"
        case .deadlock: "deadlock"
        case .wait: "wait"
        case .paging: "paging"
        case .starvedByHost: "starved_by_host"
        case .starvedByQuota: "starved_by_quota"
        case .poolExhausted: "pool_exhausted"
        }
    }
}
