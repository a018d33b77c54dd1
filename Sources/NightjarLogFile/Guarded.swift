internal import CNightjarLogFile

/// A value behind a lock that survives fork.
///
/// In the child of a fork the lock may be held for ever by a thread that only the parent has, and what it guards may be
/// half changed. So whoever takes it first in the child finds the lock free and the value as it was in the beginning; the
/// old value is left alone, never released.
final class Guarded<Value>: @unchecked Sendable {
    private let raw: UnsafeMutablePointer<nj_log_guard>
    private let value: UnsafeMutablePointer<Value>
    private let beginning: Value

    init(_ beginning: Value) {
        self.beginning = beginning
        raw = .allocate(capacity: 1)
        nj_log_guard_init(raw)
        value = .allocate(capacity: 1)
        value.initialize(to: beginning)
    }

    deinit {
        value.deinitialize(count: 1)
        value.deallocate()
        nj_log_guard_destroy(raw)
        raw.deallocate()
    }

    func withLock<Result>(_ body: (inout Value) -> Result) -> Result {
        if nj_log_guard_lock(raw) == 1 { value.initialize(to: beginning) }
        defer { nj_log_guard_unlock(raw) }
        return body(&value.pointee)
    }
}
