// The registers of a stopped thread, numbered as DWARF numbers them, and the copy of its stack. Nothing else of the
// thread's memory is ever read while unwinding: what is not in the copy is unknown.

#if arch(x86_64)
    /// DWARF numbers of the registers that unwinding is about.
    enum MachineRegister {
        static let framePointer = 6
        static let stackPointer = 7
        static let returnAddress = 16
        static let count = 17
    }
#elseif arch(arm64)
    enum MachineRegister {
        static let framePointer = 29
        static let stackPointer = 31
        static let returnAddress = 30
        static let count = 33
    }
#endif

/// Registers in DWARF order; a peeked thread shows only its stack pointer and program counter.
public struct UnwindRegisters {
    var values = InlineArray<34, UInt64>(repeating: 0)
    /// One bit a register whose value is known.
    var known: UInt64 = 0
    /// Where the thread is (frame 0), or the place that a frame returns to.
    public var programCounter: UInt64

    /// All registers, in DWARF order.
    public init(_ all: some Sequence<UInt64>, programCounter: UInt64) {
        self.programCounter = programCounter
        for (index, value) in all.prefix(34).enumerated() {
            values[index] = value
            known |= 1 << UInt64(index)
        }
    }

    /// What `/proc/PID/task/TID/syscall` shows of a blocked thread.
    public init(stackPointer: UInt64, programCounter: UInt64) {
        self.programCounter = programCounter
        set(MachineRegister.stackPointer, stackPointer)
    }

    var stackPointer: UInt64 { values[MachineRegister.stackPointer] }

    func isKnown(_ register: Int) -> Bool { register >= 0 && register < 34 && known >> UInt64(register) & 1 == 1 }

    mutating func set(_ register: Int, _ value: UInt64) {
        guard register >= 0, register < 34 else { return }
        values[register] = value
        known |= 1 << UInt64(register)
    }

    mutating func forget(_ register: Int) {
        guard register >= 0, register < 34 else { return }
        known &= ~(1 << UInt64(register))
    }
}

/// A copy of the live end of a stack: the bytes at `low` and above.
public struct StackCopy {
    let bytes: UnsafeRawBufferPointer
    public let low: UInt64

    /// `bytes` were copied from the address `low`; they must outlive this value.
    public init(_ bytes: UnsafeRawBufferPointer, at low: UInt64) {
        self.bytes = bytes
        self.low = low
    }

    var high: UInt64 { low &+ UInt64(bytes.count) }

    @inline(__always)
    func word(at address: UInt64) -> UInt64? {
        let offset = address &- low
        guard bytes.count >= 8, offset <= UInt64(bytes.count - 8) else { return nil }
        return bytes.loadUnaligned(fromByteOffset: Int(offset), as: UInt64.self)
    }

    func word(at address: UInt64, size: Int) -> UInt64? {
        if size == 8 { return word(at: address) }
        let offset = address &- low
        guard bytes.count >= size, offset <= UInt64(bytes.count - size) else { return nil }
        switch size {
        case 4: return UInt64(bytes.loadUnaligned(fromByteOffset: Int(offset), as: UInt32.self))
        case 2: return UInt64(bytes.loadUnaligned(fromByteOffset: Int(offset), as: UInt16.self))
        case 1: return UInt64(bytes[Int(offset)])
        default: return nil
        }
    }
}
