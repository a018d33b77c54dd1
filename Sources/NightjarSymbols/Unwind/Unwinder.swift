// Walks a copied stack by call frame information.
//
// Why not frame pointers: libc and ICU use the register for data, and the chain then loses the caller or everything.
// Why not libgcc's unwinder: it would have to run in the signal handler, on the stopped thread, and it loses stacks.
//
// A peeked thread (blocked, read without a signal) shows only stack pointer and program counter. A rule that needs a
// register which is not known yet falls back to a search: upwards from the stack pointer for a saved frame pointer with
// a return address behind it, both plausible; a return address lies in code, right behind a call instruction.

/// Turns registers and a stack copy into code addresses.
public struct Unwinder {
    /// Deeper stacks are cut at their outer end.
    public static let mostFrames = 192

    let modules: UnwindModules

    public init(_ modules: UnwindModules) { self.modules = modules }

    /// The code addresses of the stack, innermost first, ready to be named: callers are return addresses minus one.
    public func walk(_ start: UnwindRegisters, _ stack: StackCopy) -> [UInt64] {
        var registers = start
        var addresses: [UInt64] = [start.programCounter]
        addresses.reserveCapacity(48)
        var lookUp = start.programCounter
        while addresses.count < Self.mostFrames {
            let before = registers.stackPointer
            guard let next = step(&registers, lookUp, stack), next.programCounter != 0 else { break }
            // The stack only grows: a frame that does not lie above the last one is no frame.
            guard registers.stackPointer > before || addresses.count == 1 && registers.stackPointer == before else {
                break
            }
            guard modules.isCode(next.programCounter) else { break }
            lookUp = next.isExact ? next.programCounter : next.programCounter &- 1
            addresses.append(lookUp)
        }
        return addresses
    }

    private struct Caller {
        var programCounter: UInt64
        /// Interrupted there by a signal, not called from there.
        var isExact = false
    }

    private func step(_ registers: inout UnwindRegisters, _ address: UInt64, _ stack: StackCopy) -> Caller? {
        guard let module = modules.module(at: address), let frame = module.table?.frame(at: address &- module.bias),
            let table = module.table
        else {
            return bareCall(&registers, stack) ?? followFramePointer(&registers, stack) ?? search(&registers, stack)
        }
        var program = FrameProgram(table, frame)
        guard let rules = program.rules(at: address &- module.bias) else { return search(&registers, stack) }
        if rules.registers[frame.returnRegister % 34].kind == .undefined,
            rules.touched >> UInt64(frame.returnRegister % 34) & 1 == 1
        {
            return nil  // The outermost frame says so.
        }
        guard let cfa = frameAddress(rules, table, registers, stack) else { return search(&registers, stack) }
        return caller(of: frame, rules, cfa, &registers, stack, table)
    }

    private func frameAddress(
        _ rules: FrameRules, _ table: UnwindTable, _ registers: UnwindRegisters, _ stack: StackCopy
    ) -> UInt64? {
        if let place = rules.cfaExpression {
            var expression = FrameExpression(image: table.image, stack: stack, registers: registers)
            return expression.value(place, initial: nil)
        }
        guard registers.isKnown(rules.cfaRegister) else { return nil }
        return registers.values[rules.cfaRegister] &+ UInt64(bitPattern: rules.cfaOffset)
    }

    private func caller(
        of frame: UnwindTable.Frame, _ rules: FrameRules, _ cfa: UInt64, _ registers: inout UnwindRegisters,
        _ stack: StackCopy, _ table: UnwindTable
    ) -> Caller? {
        let before = registers
        registers.set(MachineRegister.stackPointer, cfa)
        var touched = rules.touched
        while touched != 0 {
            let register = touched.trailingZeroBitCount
            touched &= touched &- 1
            let rule = rules.registers[register]
            guard let value = value(of: rule, register, cfa, before, stack, table) else {
                registers.forget(register)
                continue
            }
            registers.set(register, value)
        }
        guard rules.touched >> UInt64(frame.returnRegister % 34) & 1 == 1 || MachineRegister.returnAddress != 16,
            registers.isKnown(frame.returnRegister)
        else { return nil }
        let address = withoutSignature(registers.values[frame.returnRegister])
        registers.programCounter = address
        return Caller(programCounter: address, isExact: frame.isSignalFrame)
    }

    private func value(
        of rule: RegisterRule, _ register: Int, _ cfa: UInt64, _ before: UnwindRegisters, _ stack: StackCopy,
        _ table: UnwindTable
    ) -> UInt64? {
        switch rule.kind {
        case .same: return before.isKnown(register) ? before.values[register] : nil
        case .undefined: return nil
        case .offset: return stack.word(at: cfa &+ UInt64(bitPattern: rule.value))
        case .valueOffset: return cfa &+ UInt64(bitPattern: rule.value)
        case .register:
            let source = Int(truncatingIfNeeded: rule.value)
            return before.isKnown(source) ? before.values[source] : nil
        case .expression, .valueExpression:
            var expression = FrameExpression(image: table.image, stack: stack, registers: before)
            let place = Int(rule.start)..<Int(max(rule.start, rule.end))
            guard let value = expression.value(place, initial: cfa) else { return nil }
            return rule.kind == .valueExpression ? value : stack.word(at: value)
        }
    }

    /// arm64 signs return addresses in the bits above the address space.
    private func withoutSignature(_ address: UInt64) -> UInt64 {
        #if arch(arm64)
            address & 0x0000_FFFF_FFFF_FFFF
        #else
            address
        #endif
    }
}

extension Unwinder {
    /// The caller of a function without any frame information: small functions of Swift's own libraries have none, push a
    /// register or two, and keep no frame pointer. Their return address is one of the first words of the stack, before the
    /// pair that their caller left there; without it that caller would be stepped over.
    private func bareCall(_ registers: inout UnwindRegisters, _ stack: StackCopy) -> Caller? {
        for word in 0..<UInt64(3) {
            let at = registers.stackPointer &+ word &* 8
            guard let address = stack.word(at: at) else { return nil }
            // A saved frame pointer with a return address behind it is a frame after all.
            if address > at, address < stack.high, address & 7 == 0 { return nil }
            guard modules.isReturnAddress(address), isFunctionWithFrames(address) else { continue }
            registers.set(MachineRegister.stackPointer, at &+ 8)
            registers.programCounter = address
            return Caller(programCounter: address)
        }
        return nil
    }

    private func isFunctionWithFrames(_ address: UInt64) -> Bool {
        guard let module = modules.module(at: address), let table = module.table else { return false }
        return table.frame(at: address &- 1 &- module.bias) != nil
    }

    /// One step by frame pointer, where the pair lies in the copy and returns into code.
    private func followFramePointer(_ registers: inout UnwindRegisters, _ stack: StackCopy) -> Caller? {
        guard registers.isKnown(MachineRegister.framePointer) else { return nil }
        let pair = registers.values[MachineRegister.framePointer]
        guard pair >= registers.stackPointer, let saved = stack.word(at: pair), let address = stack.word(at: pair &+ 8),
            modules.isReturnAddress(address)
        else { return nil }
        return enter(pair, saved, address, &registers)
    }

    /// The nearest plausible pair above the stack pointer.
    private func search(_ registers: inout UnwindRegisters, _ stack: StackCopy) -> Caller? {
        var at = (registers.stackPointer &+ 7) & ~7
        let end = min(stack.high, at &+ 16_384)
        while at &+ 16 <= end {
            if let saved = stack.word(at: at), saved > at, saved & 7 == 0, saved < stack.high,
                let address = stack.word(at: at &+ 8), modules.isReturnAddress(address), isPlausible(saved, stack)
            {
                return enter(at, saved, address, &registers)
            }
            at &+= 8
        }
        return nil
    }

    private func isPlausible(_ pair: UInt64, _ stack: StackCopy) -> Bool {
        guard let saved = stack.word(at: pair), let address = stack.word(at: pair &+ 8) else { return false }
        return (saved > pair || saved == 0) && modules.isReturnAddress(address)
    }

    private func enter(_ pair: UInt64, _ saved: UInt64, _ address: UInt64, _ registers: inout UnwindRegisters) -> Caller
    {
        registers.known = 0
        registers.set(MachineRegister.framePointer, saved)
        registers.set(MachineRegister.stackPointer, pair &+ 16)
        registers.programCounter = address
        return Caller(programCounter: address)
    }
}
