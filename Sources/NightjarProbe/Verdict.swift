// Why the loop did not come back, from what was seen of its thread:
//
//     it ran for most of the time                      computing
//     it sat in a futex whose holder is known          a lock, or a deadlock where the holders go round
//     it sat in a futex that has no holder             a queue, a semaphore, a condition
//     it sat in another system call                    that call, and what its descriptor is
//     it sat outside any call, or pages were read in while it was away from the processor   paging

import Glibc
import NightjarSymbols
import NightjarWire

struct Verdict {
    var cause: StallCause
    var call: Int32 = -1
    var target = ""
    var majorFaults: UInt32 = 0

    init(_ stall: Stall, age: UInt64, times: RunTimes?) {
        let blocked = stall.states.compactMap { if case .blocked(let blocked) = $0 { blocked } else { nil } }
        let isMostlyBlocked: Bool
        if let before = stall.evidence, let times {
            let span = age &- min(age, stall.evidenceAt &- min(stall.evidenceAt, stall.startedAt))
            let ran = (times - before).ran
            let away = span &- min(span, ran &+ (times - before).waited)
            isMostlyBlocked = !blocked.isEmpty && away >= ran
        } else {
            isMostlyBlocked = 2 * blocked.count >= stall.states.count && !blocked.isEmpty
        }
        guard isMostlyBlocked, let main = Self.mostFrequent(blocked) else {
            cause = stall.wasSeenRunning || Self.hasRunMost(stall, age, times) ? .computing : .unknown
            return
        }
        call = main.call
        if main.call == SystemCall.futex {
            cause = stall.isDeadlock ? .deadlock : stall.holders.isEmpty ? .wait : .lock
            target =
                stall.holders.isEmpty
                ? "" : stall.holders.map { "\(ThreadName.spoken($0.name)) (thread \($0.tid))" }.joined(separator: ", ")
        } else if main.call < 0 {
            cause = .paging
        } else {
            cause = .systemCall
            if SystemCall.takesDescriptor(main.call) { target = stall.descriptors[main.arguments.0] ?? "" }
        }
    }

    /// Without a stack, the scheduler's word: it was on a processor for at least half of what was its own.
    private static func hasRunMost(_ stall: Stall, _ age: UInt64, _ times: RunTimes?) -> Bool {
        guard let before = stall.evidence, let times else { return false }
        let spent = times - before
        return spent.ran >= (age &- min(age, spent.waited)) / 2
    }

    /// Faults that had to go to a disk make paging out of a thread that called nothing and yet was away from the processor
    /// for much of its time. One such fault is over before it can be looked at, so what was seen of it decides nothing.
    mutating func consider(majorFaults: UInt64, _ stall: Stall, age: UInt64, times: RunTimes?) {
        self.majorFaults = UInt32(clamping: majorFaults)
        guard majorFaults > 0, cause == .unknown || cause == .computing, let before = stall.evidence, let times else {
            return
        }
        let spent = times - before
        let own = age &- min(age, spent.waited)
        let away = own &- min(own, spent.ran)
        // A fault takes 15 ms at most, on a disk that turns.
        if away >= own / 4, away <= majorFaults &* 15_000_000 {
            cause = .paging
            call = -1
        }
    }

    private static func mostFrequent(_ blocked: [ThreadState.Blocked]) -> ThreadState.Blocked? {
        var counts: [Int32: Int] = [:]
        for state in blocked { counts[state.call, default: 0] += 1 }
        return blocked.max { counts[$0.call, default: 0] < counts[$1.call, default: 0] }
    }

    /// `socket:[4711]`, `/data/big.json`, `pipe:[12]`.
    static func descriptorName(_ descriptor: UInt64) -> String {
        guard descriptor < 1 << 24 else { return "" }
        var buffer = [CChar](repeating: 0, count: 256)
        let length = readlink("/proc/self/fd/\(descriptor)", &buffer, buffer.count)
        guard length > 0 else { return "descriptor \(descriptor)" }
        let text = String(decoding: buffer.prefix(length).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return "descriptor \(descriptor), \(text)"
    }
}

/// The threads of this process.
enum AllThreads {
    static let most = 512

    static func list() -> [Int32] {
        guard let folder = opendir("/proc/self/task") else { return [] }
        defer { closedir(folder) }
        var tids: [Int32] = []
        while tids.count < most, let entry = readdir(folder) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { raw in
                String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
            }
            if let tid = Int32(name) { tids.append(tid) }
        }
        return tids
    }
}
