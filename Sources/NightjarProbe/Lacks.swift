// What the probe cannot do here, found out at the start and said once in the service's own log. System call filters, a /proc
// that is not mounted, and programs with capabilities of their own (whose /proc files belong to root) take one thing or
// another away; stalls are still found by their pings, with less evidence.

import CNightjarProbe

enum Lacks {
    /// One sentence; nil where nothing is missing.
    static func found(isSignalled: Bool) -> String? {
        sentence(
            isSignalled: isSignalled, readsMemory: nj_reads_own() == 1,
            readsThreads: ThreadFiles(tid: currentThread()).state() != .unreadable)
    }

    static func sentence(isSignalled: Bool, readsMemory: Bool, readsThreads: Bool) -> String? {
        var lacks: [String] = []
        if !readsThreads {
            lacks.append(
                "what threads wait for cannot be seen (/proc/self/task/*/syscall), so that loops at rest are pinged")
        }
        if !readsMemory {
            lacks.append("blocked threads have no stacks (process_vm_readv and /proc/self/mem are refused)")
        }
        if !isSignalled { lacks.append("running threads have no stacks (SIGPROF cannot be handled)") }
        guard !lacks.isEmpty else { return nil }
        return lacks.joined(separator: "; ") + "; stalls are told with less evidence"
    }
}
