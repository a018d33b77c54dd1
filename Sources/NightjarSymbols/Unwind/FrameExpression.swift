// DWARF expressions, as far as unwind tables use them: the stubs of the procedure linkage table and signal frames.

struct FrameExpression {
    private static let mostSteps = 256

    let image: UnsafeRawBufferPointer
    let stack: StackCopy
    let registers: UnwindRegisters
    private var values = InlineArray<32, UInt64>(repeating: 0)
    private var depth = 0
    private var failed = false

    init(image: UnsafeRawBufferPointer, stack: StackCopy, registers: UnwindRegisters) {
        self.image = image
        self.stack = stack
        self.registers = registers
    }

    /// The value of the expression in `place`; nil where it needs what is not known.
    mutating func value(_ place: Range<Int>, initial: UInt64?) -> UInt64? {
        if let initial { push(initial) }
        var cursor = ByteCursor(image, at: place.lowerBound, end: place.upperBound)
        for _ in 0..<Self.mostSteps {
            if cursor.isAtEnd { return failed || cursor.failed || depth == 0 ? nil : values[depth - 1] }
            step(cursor.u8(), &cursor)
            if failed { return nil }
        }
        return nil
    }

    private mutating func step(_ opcode: UInt8, _ cursor: inout ByteCursor) {
        switch opcode {
        case 0x03, 0x0E, 0x0F: push(cursor.u64())
        case 0x06: dereference(size: 8)
        case 0x94: dereference(size: Int(cursor.u8()))
        case 0x08: push(UInt64(cursor.u8()))
        case 0x09: push(UInt64(bitPattern: Int64(Int8(bitPattern: cursor.u8()))))
        case 0x0A: push(UInt64(cursor.u16()))
        case 0x0B: push(UInt64(bitPattern: Int64(Int16(bitPattern: cursor.u16()))))
        case 0x0C: push(UInt64(cursor.u32()))
        case 0x0D: push(UInt64(bitPattern: Int64(Int32(bitPattern: cursor.u32()))))
        case 0x10: push(cursor.uleb())
        case 0x11: push(UInt64(bitPattern: cursor.sleb()))
        case 0x12:
            let top = pop()
            push(top)
            push(top)
        case 0x13: _ = pop()
        case 0x16: swapTop()
        case 0x30...0x4F: push(UInt64(opcode - 0x30))
        case 0x50...0x6F: pushRegister(Int(opcode - 0x50), 0)
        case 0x70...0x8F: pushRegister(Int(opcode - 0x70), cursor.sleb())
        case 0x92:
            let register = cursor.uleb()
            pushRegister(register < 34 ? Int(register) : -1, cursor.sleb())
        case 0x23: push(pop() &+ cursor.uleb())
        case 0x96: break
        default: combine(opcode)
        }
    }

    private mutating func combine(_ opcode: UInt8) {
        let right = pop()
        let left = pop()
        let signed = (left: Int64(bitPattern: left), right: Int64(bitPattern: right))
        switch opcode {
        case 0x1A: push(left & right)
        case 0x1C: push(left &- right)
        case 0x1E: push(left &* right)
        case 0x21: push(left | right)
        case 0x22: push(left &+ right)
        case 0x24: push(right < 64 ? left << right : 0)
        case 0x25: push(right < 64 ? left >> right : 0)
        case 0x26: push(UInt64(bitPattern: signed.left >> Int64(right & 63)))
        case 0x27: push(left ^ right)
        case 0x29: push(left == right ? 1 : 0)
        case 0x2A: push(signed.left >= signed.right ? 1 : 0)
        case 0x2B: push(signed.left > signed.right ? 1 : 0)
        case 0x2C: push(signed.left <= signed.right ? 1 : 0)
        case 0x2D: push(signed.left < signed.right ? 1 : 0)
        case 0x2E: push(left != right ? 1 : 0)
        default: failed = true
        }
    }

    private mutating func dereference(size: Int) {
        guard let word = stack.word(at: pop(), size: size) else {
            failed = true
            return
        }
        push(word)
    }

    private mutating func pushRegister(_ register: Int, _ offset: Int64) {
        guard registers.isKnown(register) else {
            failed = true
            return
        }
        push(registers.values[register] &+ UInt64(bitPattern: offset))
    }

    private mutating func swapTop() {
        let right = pop()
        let left = pop()
        push(right)
        push(left)
    }

    private mutating func push(_ value: UInt64) {
        guard depth < 32 else {
            failed = true
            return
        }
        values[depth] = value
        depth += 1
    }

    private mutating func pop() -> UInt64 {
        guard depth > 0 else {
            failed = true
            return 0
        }
        depth -= 1
        return values[depth]
    }
}
