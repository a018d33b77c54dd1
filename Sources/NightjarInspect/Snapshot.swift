// A picture of the target that stands still, for answers that must be exact. Two ways:
//
//     copy   one of its threads is made to call clone(2), and the target goes on: it stands still for as long as its page
//            tables take to be copied, 10–30 ms a GB. The copy never runs; what the target writes meanwhile the kernel
//            copies page by page.
//     stop   all threads are held while we read. It takes as long as we do.
//
// The copy is the better way where nothing speaks against it (SnapshotObstacles); a stop needs nothing but the right to
// trace. Whichever was taken is told, with its length. What is read later from a copy is what was there at one moment.

import CNightjarLinux
import Glibc

/// How a picture that stands still is to be had.
public enum SnapshotWay: String, Hashable, Sendable, CaseIterable {
    /// A copy where nothing speaks against it, else a stop.
    case auto
    /// A copy, or a sentence that says why not.
    case fork
    case stop
}

/// How long the target stood still for an answer, and how that was done.
public struct Pause: Hashable, Sendable {
    public var seconds = 0.0
    /// `.fork` or `.stop`; nil where it never stood still.
    public var way: SnapshotWay?
    /// Why there was no copy, where one would have been taken.
    public var reason: String?

    public init(seconds: Double = 0, way: SnapshotWay? = nil, reason: String? = nil) {
        self.seconds = seconds
        self.way = way
        self.reason = reason
    }

    /// `never stopped`, `stopped for 12.1 ms while it was copied`.
    public var words: String {
        guard let way else { return "never stopped" }
        let length = "stopped for \(Columns.decimal(seconds * 1000, 1)) ms"
        if way == .fork { return length + " while it was copied" }
        return length + (reason.map { ", no copy: \($0)" } ?? "")
    }
}

/// The target, standing still. It must be released; the end of this process does it too.
final class Snapshot {
    /// How long a thread may take over a call that it was made to carry out.
    static let patience: Int64 = 5_000_000
    /// Memory that copies do not get (MADV_WIPEONFORK) is read from the target itself, up to this much.
    static let mostWiped: UInt64 = 1 << 20

    /// How often a busy machine is given the time to stop all threads; a thread that waits for a disk gets it once.
    private static let attempts = 3

    private static let keptMemory = "part of its memory is kept from copies (MADV_DONTFORK)"

    let target: Target
    private(set) var states: [ThreadState] = []
    private(set) var pause = Pause()
    private let firstAsked: Int32
    private var stopped: StoppedProcess?
    private var copy: (pid: Int32, knownAs: Int64, site: nj_call_site, thread: Int32)?

    /// What stands still: the copy's memory, or the target's own.
    private(set) var memory: any TargetMemory
    private(set) var map: TargetMap
    private(set) var touched: (any TouchedPages)?
    /// Memory of the target that the copy did not get.
    private(set) var wiped: [TargetRegion] = []

    /// Takes one; a stop where a copy would not be whole. `asking` is the thread that is asked first for a copy.
    static func take(_ target: Target, _ way: SnapshotWay, asking thread: Int32? = nil) throws -> Snapshot {
        do {
            return try retrying(target, way, asking: thread)
        } catch let error as InspectError where error.code == .keptMemory && way == .auto {
            let snapshot = try retrying(target, .stop)
            snapshot.pause.reason = keptMemory
            return snapshot
        }
    }

    /// A thread that did not stop in time, and for how long the others stood still for nothing.
    private struct Unstopped: Error {
        var thread: Int32
        var seconds: Double
        var waitsForADisk: Bool

        func error(_ pid: Int32) -> InspectError {
            let reason = waitsForADisk ? "it waits for a disk" : "the machine is very busy"
            return InspectError(
                .overBudget,
                "thread \(thread) of process \(pid) could not be stopped within "
                    + "\(Int(StoppedProcess.patience * 1000)) ms (\(reason)): try again")
        }
    }

    private static func retrying(_ target: Target, _ way: SnapshotWay, asking thread: Int32? = nil) throws -> Snapshot {
        var (lost, attempt) = (0.0, 1)
        while true {
            do {
                return try Snapshot(target, way, asking: thread, after: lost)
            } catch let unstopped as Unstopped {
                if unstopped.waitsForADisk || attempt == attempts { throw unstopped.error(target.pid) }
                lost += unstopped.seconds
                attempt += 1
                usleep(50_000)
            }
        }
    }

    private init(_ target: Target, _ way: SnapshotWay, asking thread: Int32? = nil, after lost: Double) throws {
        self.target = target
        pause.seconds = lost
        firstAsked = thread ?? target.pid
        (memory, map, touched) = (target.memory, target.map, target.touched)
        try SnapshotObstacles.checkAlone(target)
        var site: nj_call_site?
        if way != .stop {
            let obstacle = SnapshotObstacles.find(target)
            pause.reason = obstacle
            if obstacle == nil { site = CallSite.find(target.map, target.memory) }
            if obstacle == nil, site == nil { pause.reason = "its C library is not one that is known" }
        }
        if way == .fork, site == nil { throw Self.noCopy(target.pid, pause.reason) }
        try stop(site)
        if let stopped, copy == nil {
            if way == .fork {
                stopped.resume()
                throw Self.noCopy(target.pid, pause.reason)
            }
            pause.way = .stop
            map = (try? target.currentMap()) ?? target.map
        }
    }

    deinit { release() }

    static func noCopy(_ pid: Int32, _ reason: String?) -> InspectError {
        InspectError(.notPermitted, "no copy of process \(pid): \(reason ?? "refused"); try --snapshot stop")
    }

    private func stop(_ site: nj_call_site?) throws {
        let stopped = try StoppedProcess(pid: target.pid, procRoot: target.procRoot)
        if let thread = stopped.unstopped {
            let other = SnapshotObstacles.sharer(target)
            let waits =
                StatusFile("\(target.procRoot)/\(target.pid)/task/\(thread)/status")["State"]?.hasPrefix("D") == true
            let seconds = stopped.resume()
            if let other { throw SnapshotObstacles.sharedMemory(target.pid, other) }
            throw Unstopped(thread: thread, seconds: seconds, waitsForADisk: waits)
        }
        states = stopped.states
        self.stopped = stopped
        guard let site else { return }
        try makeCopy(stopped, site)
        guard let copy else { return }
        let own = readFile("\(target.procRoot)/\(target.pid)/maps", limit: 64 << 20).0
        pause.seconds += stopped.resume()
        self.stopped = nil
        pause.way = .fork
        try take(copy.pid, own: TargetMap(text: own))
    }

    private func makeCopy(_ stopped: StoppedProcess, _ site: nj_call_site) throws {
        var answer = nj_injected()
        var result = Int32(NJ_UNFIT)
        for state in stopped.fit(first: firstAsked) where !isOnHeap(state.stackPointer) {
            result = nj_inject_copy(state.id, site, Self.patience, &answer)
            if result == Int32(NJ_UNFIT) { continue }
            if answer.copy > 0 { copy = (answer.copy, answer.result, site, state.id) }
            break
        }
        if result == Int32(NJ_LOST) {
            stopped.resume()
            throw InspectError(.gone, "process \(target.pid) ended or was interrupted while it was copied")
        }
        if result == Int32(NJ_UNFIT) {
            pause.reason = "no thread is at a place where it can be asked to copy itself"
        } else if copy == nil {
            pause.reason = "the kernel refused it another process (\(String(cString: strerror(Int32(-answer.result)))))"
        }
    }

    /// Coroutines have their stacks on the heap, where there may be no room below.
    private func isOnHeap(_ address: UInt64) -> Bool { target.map.region(at: address)?.path == "[heap]" }

    /// Reads from the copy from now on.
    private func take(_ pid: Int32, own: TargetMap) throws {
        let text = readFile("\(target.procRoot)/\(pid)/smaps", limit: 256 << 20).0
        map = TargetMap(smaps: text)
        memory = CopyMemory(pid: pid, original: target.pid, procRoot: target.procRoot)
        touched = Pagemap(pid: pid, procRoot: target.procRoot)
        let kept = own.regions.filter { region in
            region.readable && region.writable && !region.shared && map.region(at: region.start) == nil
        }
        wiped = map.regions.filter { $0.wipedOnFork && $0.readable && $0.writable && !$0.shared }
        let size = (kept + wiped).reduce(0) { $0 + $1.length }
        if !kept.isEmpty || size > Self.mostWiped {
            release()
            throw InspectError(.keptMemory, Self.noCopy(target.pid, Self.keptMemory).sentence)
        }
    }

    /// Ends it; answers for how long the target stood still in all.
    @discardableResult func release() -> Pause {
        if let stopped {
            pause.seconds += stopped.resume()
            self.stopped = nil
        }
        if let copy {
            self.copy = nil
            if nj_end_copy(copy.pid) == 0 { reap(copy.knownAs, copy.site, first: copy.thread) }
        }
        return pause
    }

    /// Copies of a search that was killed before it could take them back: zombies of the target that have no exit signal,
    /// and ended by SIGKILL without ever having run (no page fault, no time). At most 64, by the pids that it knows.
    private static func leftovers(_ pid: Int32, _ procRoot: String) -> [Int64] {
        var found: [Int64] = []
        for child in Threads.list(pid, procRoot).flatMap({ Threads.children(pid, thread: $0, procRoot) }) {
            let (text, _) = readFile("\(procRoot)/\(child)/stat", limit: 4096)
            guard found.count < 64, let close = text.lastIndex(of: UInt8(ascii: ")")) else { continue }
            let fields = String(decoding: text[(close + 1)...], as: UTF8.self).split { $0 == " " || $0 == "\n" }
            guard fields.count > 49, fields[0] == "Z", fields[35] == "0", fields[7] == "0", fields[11] == "0",
                fields[49] == "9", let known = StatusFile("\(procRoot)/\(child)/status")["NSpid"]
            else { continue }
            if let last = known.split(separator: "\t").last.flatMap({ Int64($0) }) { found.append(last) }
        }
        return found
    }

    /// The copy is a zombie of the target until one of its threads takes it: a second, very short stop of that thread.
    private func reap(_ knownAs: Int64, _ site: nj_call_site, first: Int32) {
        let others = Threads.list(target.pid, target.procRoot).filter { $0 != first }
        let left = Self.leftovers(target.pid, target.procRoot)
        for id in [first] + others.prefix(8) {
            guard let stopped = try? StoppedProcess(pid: target.pid, procRoot: target.procRoot, only: id) else {
                continue
            }
            var answer = nj_injected()
            var done = false
            if let state = stopped.fit(first: id).first, !isOnHeap(state.stackPointer) {
                done = nj_inject_reap(state.id, site, knownAs, Self.patience, &answer) == 0
                for other in left where done {
                    done = nj_inject_reap(state.id, site, other, Self.patience, &answer) == 0
                }
            }
            pause.seconds += stopped.resume()
            if done { return }
        }
    }
}
