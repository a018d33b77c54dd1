// Runs the little program that says, for one code address, where the caller's frame begins (the CFA) and where the
// caller's registers were saved. DWARF 5, section 6.4; the opcodes are the ones that compilers emit.

/// How one register of the caller is found.
struct RegisterRule {
    enum Kind: UInt8 { case same, undefined, offset, valueOffset, register, expression, valueExpression }
    var kind: Kind = .same
    /// An offset from the CFA, or a register's number.
    var value: Int64 = 0
    /// Of an expression, in the image.
    var start: Int32 = 0
    var end: Int32 = 0
}

/// The rules of one row.
struct FrameRules {
    var registers = InlineArray<34, RegisterRule>(repeating: RegisterRule())
    var cfaRegister = 0
    var cfaOffset: Int64 = 0
    /// Where the CFA is an expression: its place in the image.
    var cfaExpression: Range<Int>?
    /// Registers that any rule was set for.
    var touched: UInt64 = 0

    mutating func set(_ register: UInt64, _ rule: RegisterRule) {
        guard register < 34 else { return }
        registers[Int(register)] = rule
        touched |= 1 << register
    }
}

struct FrameProgram {
    private static let deepestMemory = 8
    private static let mostSteps = 4096

    let table: UnwindTable
    let frame: UnwindTable.Frame
    private var rules = FrameRules()
    private var initial = FrameRules()
    private var remembered: [FrameRules] = []
    private var location: UInt64

    init(_ table: UnwindTable, _ frame: UnwindTable.Frame) {
        self.table = table
        self.frame = frame
        location = frame.start
    }

    /// The rules that hold at `address`; nil where the program is not one.
    mutating func rules(at address: UInt64) -> FrameRules? {
        guard run(frame.initial, until: .max) else { return nil }
        initial = rules
        guard run(frame.program, until: address) else { return nil }
        return rules
    }

    private mutating func run(_ program: Range<Int>, until address: UInt64) -> Bool {
        var cursor = ByteCursor(table.image, at: program.lowerBound, end: program.upperBound)
        for _ in 0..<Self.mostSteps {
            if cursor.isAtEnd { return !cursor.failed }
            let opcode = cursor.u8()
            let operand = UInt64(opcode & 0x3F)
            switch opcode >> 6 {
            case 1: advance(operand)
            case 2: save(operand, Int64(bitPattern: cursor.uleb()))
            case 3: restore(operand)
            default: guard extended(opcode, &cursor) else { return false }
            }
            if location > address { return true }
        }
        return false
    }

    private mutating func advance(_ units: UInt64) { location &+= units &* frame.codeAlign }

    private mutating func save(_ register: UInt64, _ factored: Int64) {
        rules.set(register, RegisterRule(kind: .offset, value: factored &* frame.dataAlign))
    }

    private mutating func restore(_ register: UInt64) {
        guard register < 34 else { return }
        rules.set(register, initial.registers[Int(register)])
    }

    private mutating func extended(_ opcode: UInt8, _ cursor: inout ByteCursor) -> Bool {
        switch opcode {
        case 0x00: break  // nop
        case 0x01: location = cursor.u64()
        case 0x02: advance(UInt64(cursor.u8()))
        case 0x03: advance(UInt64(cursor.u16()))
        case 0x04: advance(UInt64(cursor.u32()))
        case 0x05: save(cursor.uleb(), Int64(bitPattern: cursor.uleb()))
        case 0x06: restore(cursor.uleb())
        case 0x07: rules.set(cursor.uleb(), RegisterRule(kind: .undefined))
        case 0x08: rules.set(cursor.uleb(), RegisterRule(kind: .same))
        case 0x09:
            let register = cursor.uleb()
            rules.set(register, RegisterRule(kind: .register, value: Int64(bitPattern: cursor.uleb())))
        case 0x0A:
            guard remembered.count < Self.deepestMemory else { return false }
            remembered.append(rules)
        case 0x0B:
            guard let last = remembered.popLast() else { return false }
            rules = last
        case 0x0C: defineFrame(cursor.uleb(), Int64(bitPattern: cursor.uleb()))
        case 0x0D: defineFrame(cursor.uleb(), rules.cfaOffset)
        case 0x0E: defineFrame(UInt64(rules.cfaRegister), Int64(bitPattern: cursor.uleb()))
        case 0x0F: rules.cfaExpression = block(&cursor)
        case 0x10, 0x16:
            let register = cursor.uleb()
            let place = block(&cursor)
            rules.set(
                register,
                RegisterRule(
                    kind: opcode == 0x10 ? .expression : .valueExpression,
                    start: Int32(truncatingIfNeeded: place.lowerBound),
                    end: Int32(truncatingIfNeeded: place.upperBound)))
        case 0x11: save(cursor.uleb(), cursor.sleb())
        case 0x12: defineFrame(cursor.uleb(), cursor.sleb() &* frame.dataAlign)
        case 0x13: defineFrame(UInt64(rules.cfaRegister), cursor.sleb() &* frame.dataAlign)
        case 0x14, 0x15:
            let register = cursor.uleb()
            let factored = opcode == 0x14 ? Int64(bitPattern: cursor.uleb()) : cursor.sleb()
            rules.set(register, RegisterRule(kind: .valueOffset, value: factored &* frame.dataAlign))
        case 0x2D: break  // pointer authentication on arm64, nothing for the rules
        case 0x2E: _ = cursor.uleb()  // GNU_args_size
        default: return false
        }
        return !cursor.failed
    }

    private mutating func defineFrame(_ register: UInt64, _ offset: Int64) {
        rules.cfaRegister = register < 34 ? Int(register) : -1
        rules.cfaOffset = offset
        rules.cfaExpression = nil
    }

    private func block(_ cursor: inout ByteCursor) -> Range<Int> {
        let length = cursor.uleb()
        let start = cursor.offset
        guard length < 1024 else {
            cursor.fail()
            return start..<start
        }
        cursor.skip(Int(length))
        return start..<max(start, cursor.offset)
    }
}
