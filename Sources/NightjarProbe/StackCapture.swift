// The stack of a thread as code addresses. Blocked threads are peeked: their stack is copied by the watchdog, nobody is
// interrupted, and no call is cut short (a signal ends usleep early). Only a thread that runs gets a signal, and is held
// up for the copy alone, a few µs; the unwinding happens here.

import CNightjarProbe
import Glibc
import NightjarSymbols
import NightjarWire

struct CapturedStack {
    var state: ThreadState
    var addresses: [UInt64]
}

/// Captures and unwinds, one stack at a time, on the watchdog's thread.
struct StackCapture {
    /// How long one look waits for a signalled thread. With every processor taken, delivery has been seen to take 55 ms and
    /// more; the next look then takes the answer.
    private static let patience: UInt32 = 15_000
    /// For threads that are looked at only once.
    private static let patienceForOne: UInt32 = 60_000

    private var modules = UnwindModules.own()
    private var modulesReadAt: UInt64 = nj_now()

    /// The stack of a thread, or its state alone where it could not be had. `bounds` (0, 0) = unknown; the same `purpose`
    /// again takes a late answer.
    mutating func capture(
        _ files: borrowing ThreadFiles, bounds: (low: UInt64, high: UInt64), now: UInt64, purpose: UInt64 = 0
    ) -> CapturedStack {
        refresh(now)
        // A thread between two calls may change its mind while we look; a second try settles it.
        for _ in 0..<3 {
            let state = files.state()
            switch state {
            case .gone: return CapturedStack(state: state, addresses: [])
            case .blocked(let blocked):
                guard let addresses = peek(blocked, bounds) else { continue }
                if files.state() == state { return CapturedStack(state: state, addresses: addresses) }
            case .unreadable where !Self.isRunning(files.tid): return CapturedStack(state: state, addresses: [])
            case .running, .unreadable:
                if let addresses = signal(files.tid, bounds, purpose) {
                    return CapturedStack(state: .running, addresses: addresses)
                }
                return CapturedStack(state: files.state(), addresses: [])
            }
        }
        return CapturedStack(state: files.state(), addresses: [])
    }

    /// Where the kernel does not show what a thread does, its processor clock tells: a thread whose clock stands may be in a
    /// call that a signal would cut short.
    private static func isRunning(_ tid: Int32) -> Bool {
        let before = nj_thread_time(tid)
        nj_nap(200_000)
        return nj_thread_time(tid) &- before >= 50_000
    }

    private func peek(_ blocked: ThreadState.Blocked, _ bounds: (low: UInt64, high: UInt64)) -> [UInt64]? {
        let isInside = blocked.stackPointer >= bounds.low && blocked.stackPointer < bounds.high
        guard let copy = nj_peek_thread(blocked.stackPointer, blocked.programCounter, isInside ? bounds.high : 0) else {
            return nil
        }
        return unwind(
            UnwindRegisters(stackPointer: blocked.stackPointer, programCounter: blocked.programCounter), copy.pointee)
    }

    private func signal(_ tid: Int32, _ bounds: (low: UInt64, high: UInt64), _ purpose: UInt64) -> [UInt64]? {
        let patience = purpose == 0 ? Self.patienceForOne : Self.patience
        guard let copy = nj_capture_thread(tid, purpose, bounds.low, bounds.high, patience) else { return nil }
        let registers = withUnsafeBytes(of: copy.pointee.registers) { raw in
            UnwindRegisters(
                raw.bindMemory(to: UInt64.self).prefix(Int(copy.pointee.register_count)),
                programCounter: copy.pointee.program_counter)
        }
        return unwind(registers, copy.pointee)
    }

    private func unwind(_ registers: UnwindRegisters, _ copy: nj_capture) -> [UInt64] {
        let bytes = UnsafeRawBufferPointer(start: copy.stack, count: Int(copy.stack_bytes))
        return Unwinder(modules).walk(registers, StackCopy(bytes, at: copy.stack_low))
    }

    /// Libraries may have been loaded since.
    private mutating func refresh(_ now: UInt64) {
        guard now &- modulesReadAt > 10_000_000_000 else { return }
        modules = UnwindModules.own()
        modulesReadAt = now
    }
}
