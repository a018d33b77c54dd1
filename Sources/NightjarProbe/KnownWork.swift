// Work that is known to take long, and said so: a warm-up, a migration at start. It is remembered by the thread that does
// it, because a queue's job may run on any thread.

import CNightjarProbe
import Synchronization

/// Which threads are inside a scope of known long work, and until when that is believed.
final class KnownWork: Sendable {
    /// Scopes at once; beyond that nothing is remembered, and stalls are reported.
    private static let most = 256

    private struct Scope {
        var depth = 0
        var until: UInt64 = 0
    }

    private let scopes = Mutex<[Int32: Scope]>([:])

    func enter(until: UInt64) -> Int32 {
        let tid = currentThread()
        scopes.withLock { scopes in
            guard scopes.count < Self.most || scopes[tid] != nil else { return }
            var scope = scopes[tid] ?? Scope()
            scope.depth += 1
            scope.until = max(scope.until, until)
            scopes[tid] = scope
        }
        return tid
    }

    func leave(_ tid: Int32) {
        scopes.withLock { scopes in
            guard var scope = scopes[tid] else { return }
            scope.depth -= 1
            scopes[tid] = scope.depth > 0 ? scope : nil
        }
    }

    func holds(_ tid: Int32, at now: UInt64) -> Bool {
        scopes.withLock { $0[tid].map { now < $0.until } ?? false }
    }
}
