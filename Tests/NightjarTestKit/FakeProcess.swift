public import NightjarModel

/// One process of a `FakeProc`: all of its files, from a few figures.
public struct FakeProcess: FakeProcEntry, Sendable {
    /// The files that a reader of processes looks at, in the order in which they vanish.
    public enum File: String, CaseIterable, Sendable {
        case stat, statm, schedstat, status, io, cmdline, cgroup, limits, smapsRollup = "smaps_rollup"
    }

    /// The figures of its files, as proc(5) has them.
    public var pid: Int32
    public var comm = "sleep"
    public var rss: Bytes = .mebi(4)
    public var anonymous: Bytes = .mebi(1)
    public var swap: Bytes = .zero
    public var threads = 1
    /// User and system time in ticks of 10 ms.
    public var ticks: UInt64 = 10
    public var nice = 0
    /// Ticks after boot.
    public var startTime: UInt64 = 5000
    public var state: Character = "S"
    public var flags: UInt32 = 0x0040_0000
    /// An entry of a thread that is not its process's first.
    public var isThread = false
    public var runTime: UInt64 = 1_000_000
    public var runDelay: UInt64 = 500_000
    public var descriptors = 3
    public var descriptorLimit = "1024"
    public var bytesRead: UInt64 = 4096
    public var bytesWritten: UInt64 = 8192
    public var commandLine = ["/bin/sleep", "1000"]
    public var commandLineNeverAnswers = false
    public var uid: UInt32 = 1000
    public var cgroup = "0::/system.slice/sleep.service\n"
    /// Its pids from our namespace inwards.
    public var namespacePIDs: [Int32] = []
    /// It ends while it is read: only the files up to this one are there.
    public var vanishesAfter: File?
    /// What a file holds instead.
    public var replaced: [File: [UInt8]] = [:]
    /// A file that is cut after so many bytes.
    public var truncated: [File: Int] = [:]

    /// Writes all of its files.
    public func write(to proc: FakeProc) { proc.set(self) }

    var missing: [String] {
        guard let vanishesAfter, let last = File.allCases.firstIndex(of: vanishesAfter) else { return [] }
        return File.allCases[(last + 1)...].map(\.rawValue)
    }

    var files: [(String, [UInt8])] {
        File.allCases.filter { !missing.contains($0.rawValue) && !($0 == .cmdline && commandLineNeverAnswers) }.map {
            let bytes = replaced[$0] ?? Array(text($0).utf8)
            return ($0.rawValue, truncated[$0].map { Array(bytes.prefix($0)) } ?? bytes)
        }
    }

    private func text(_ file: File) -> String {
        switch file {
        case .stat: stat
        case .statm: "9000 \(rss.count / 4096) \((rss - anonymous).count / 4096) 5 0 100 0\n"
        case .schedstat: "\(runTime) \(runDelay) 12\n"
        case .status: status
        case .io:
            "rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: \(bytesRead)\nwrite_bytes: \(bytesWritten)\n"
                + "cancelled_write_bytes: 0\n"
        case .cmdline: commandLine.map { $0 + "\0" }.joined()
        case .cgroup: cgroup
        case .limits: limits
        case .smapsRollup:
            "0-f ---p 00000000 00:00 0 [rollup]\nRss:   \(rss.count / 1024) kB\nPss:   \(rss.count / 2048) kB\n"
        }
    }

    private var stat: String {
        let middle = "0 0 0 \(ticks) 0 0 0 20 \(nice) \(threads) 0 \(startTime) 3133440 396"
        let tail = "18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 \(isThread ? -1 : 17) 0 0 0 0 0 0 0 0 0 0 0 0 0 0"
        return "\(pid) (\(comm)) \(state) 1 \(pid) \(pid) 0 -1 \(flags) 101 \(middle) \(tail)\n"
    }

    private var status: String {
        let inner = ([pid] + namespacePIDs).map(String.init).joined(separator: "\t")
        return "Name:\t\(comm)\nUmask:\t0022\nTgid:\t\(pid)\nUid:\t\(uid)\t\(uid)\t\(uid)\t\(uid)\nNSpid:\t\(inner)\n"
            + "VmSwap:\t     \(swap.count / 1024) kB\nThreads:\t\(threads)\n"
    }

    private var limits: String {
        "Limit                     Soft Limit           Hard Limit           Units     \n"
            + "Max cpu time              unlimited            unlimited            seconds   \n"
            + "Max open files            \(descriptorLimit)                 524288               files     \n"
    }
}

/// A process in a `FakeProc`; everything else is changed by `change`.
public func process(
    _ pid: Int32, comm: String = "sleep", rss: Bytes = .mebi(4), anonymous: Bytes = .mebi(1), threads: Int = 1,
    descriptors: Int = 3, startTime: UInt64 = 5000, cgroup: String = "0::/system.slice/sleep.service\n",
    limit: String = "1024", vanishesAfter: FakeProcess.File? = nil, truncated: [FakeProcess.File: Int] = [:],
    change: (inout FakeProcess) -> Void = { _ in }
) -> FakeProcess {
    var process = FakeProcess(pid: pid)
    process.comm = comm
    process.rss = rss
    process.anonymous = anonymous
    process.threads = threads
    process.descriptors = descriptors
    process.startTime = startTime
    process.cgroup = cgroup
    process.descriptorLimit = limit
    process.vanishesAfter = vanishesAfter
    process.truncated = truncated
    change(&process)
    return process
}
