// What this kernel can do is found by trying, never by its version: features are backported, containers hide files.

import Glibc
internal import NightjarModel

struct KernelSupport {
    /// `st_size` of `/proc/PID/fd` is the number of descriptors (Linux 6.2).
    var descriptorsBySize = false
    var schedstat = false
    /// Ours is there and the first of all is not: the mount option hidepid.
    var hidesProcesses = false
    var statmVerdict = StatmVerdict.unknown
    /// Length of a tick in `stat`: USER_HZ, 100 on every Linux that Swift runs on.
    var nanosecondsPerTick: Int64 = 10_000_000

    init(_ directory: Directory) {
        let hertz = Int64(sysconf(Int32(_SC_CLK_TCK)))
        if hertz > 0 { nanosecondsPerTick = 1_000_000_000 / hertz }
        let size = Int(directory.size("self/fd"))
        let listed = directory.entries("self/fd", most: 4096)
        // The listing holds one more descriptor while it counts, and other threads may open and close some.
        descriptorsBySize = size > 0 && listed > 0 && abs(size + 1 - listed) <= 4
        let count = directory.read("self/schedstat")
        schedstat = count > 0 && ProcSchedstat(directory.bytes(count).span).map { $0.runTime > 0 } ?? false
        hidesProcesses = directory.read("self/stat") > 0 && directory.read("1/stat") < 0
        statmVerdict = Self.compareStatm(directory)
    }

    /// On ourselves, once: we are small, so it costs nothing. Pages that come and go meanwhile are forgiven.
    private static func compareStatm(_ directory: Directory) -> StatmVerdict {
        let count = directory.read("self/statm")
        guard count > 0, let statm = ProcStatm(directory.bytes(count).span) else { return .unknown }
        let resident = Bytes(Int64(clamping: statm.residentPages) * pageSize)
        guard resident <= .mebi(64) else { return .unknown }
        let size = directory.readWhole("self/smaps_rollup")
        guard size > 0, let kibi = value(of: "Rss", in: directory.bytes(size).span) else { return .unknown }
        let difference = Bytes(abs(resident.count - Int64(clamping: kibi) * 1024))
        return difference <= .kibi(64) ? .exact : .inexact(by: difference)
    }
}
