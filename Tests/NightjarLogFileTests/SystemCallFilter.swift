import Foundation
import Synchronization
import Testing

/// A thread whose write(2), and that of threads it starts, fails with an errno of our choice: a seccomp filter, so the
/// error comes from the kernel's side of the call, as from a dying device. Needs no privileges; other threads are untouched.
enum SystemCallFilter {
    private struct Instruction {
        var code: UInt16
        var ifTrue: UInt8
        var ifFalse: UInt8
        var k: UInt32
    }
    private struct Program {
        var length: UInt16
        var instructions: UnsafeMutablePointer<Instruction>
    }
    private typealias Control = @convention(c) (Int32, UInt, UInt, UInt, UInt) -> Int32

    #if arch(x86_64)
        private static let writeNumber: UInt32 = 1
    #else
        private static let writeNumber: UInt32 = 64
    #endif

    /// write(2) to descriptors above 2 fails from now on, for ever, in this thread.
    private static func failWrites(with code: Int32) -> Bool {
        var filter = [
            Instruction(code: 0x20, ifTrue: 0, ifFalse: 0, k: 0),  // load the call's number
            Instruction(code: 0x15, ifTrue: 0, ifFalse: 3, k: writeNumber),  // not write: allow
            Instruction(code: 0x20, ifTrue: 0, ifFalse: 0, k: 16),  // load the descriptor
            Instruction(code: 0x25, ifTrue: 0, ifFalse: 1, k: 2),  // 0, 1, 2: allow
            Instruction(code: 0x06, ifTrue: 0, ifFalse: 0, k: 0x0005_0000 | UInt32(code)),
            Instruction(code: 0x06, ifTrue: 0, ifFalse: 0, k: 0x7FFF_0000),
        ]
        let control = unsafeBitCast(dlsym(UnsafeMutableRawPointer(bitPattern: 0), "prctl"), to: Control.self)
        return filter.withUnsafeMutableBufferPointer { instructions in
            var program = Program(length: UInt16(instructions.count), instructions: instructions.baseAddress!)
            return withUnsafePointer(to: &program) {
                // PR_SET_NO_NEW_PRIVS, then PR_SET_SECCOMP with SECCOMP_MODE_FILTER.
                control(38, 1, 0, 0, 0) == 0 && control(22, 2, UInt(bitPattern: $0), 0, 0) == 0
            }
        }
    }

    /// nil where the kernel has no seccomp.
    static func run<T: Sendable>(failingWritesWith code: Int32, _ body: @escaping @Sendable () -> T) -> T? {
        let result = Mutex<T?>(nil)
        let done = DispatchSemaphore(value: 0)
        Thread.detachNewThread {
            if failWrites(with: code) {
                let value = body()
                result.withLock { $0 = value }
            }
            done.signal()
        }
        done.wait()
        return result.withLock { $0 }
    }
}
