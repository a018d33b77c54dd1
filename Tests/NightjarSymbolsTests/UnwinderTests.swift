import Foundation
import Testing

@testable import NightjarSymbols

/// Unwind tables from anywhere: damaged ones answer less, and never trap.
struct UnwinderTests {
    @Test func `random damage to unwind tables neither traps nor runs forever`() throws {
        let file = try #require(ELFFile(path: "/proc/self/exe"))
        let index = try #require(file.unwindIndex)
        let segment = try #require(
            file.segments.first { index.lowerBound >= $0.address && index.lowerBound - $0.address < $0.fileSize })
        let whole = try #require(file.bytes(at: segment.offset, segment.fileSize, limit: 256 << 20))
        // The index and the tables lie at the end of the segment; 1 MiB of them is enough.
        let start = max(0, Int(index.lowerBound - segment.address) - 4096)
        let part = Array(whole[start..<min(whole.count, start + (1 << 20))])
        let base = segment.address + UInt64(start)
        var random = Mutation(seed: 11)
        let stack = [UInt8](repeating: 0x41, count: 4096)
        for round in 0..<400 {
            let bytes = round == 0 ? part : random.mutated(part, within: 0..<min(part.count, 8192 << (round % 8)))
            bytes.withUnsafeBytes { image in
                let table = UnwindTable(image: image, imageAddress: base, index: index)
                for _ in 0..<20 {
                    let address = random.next() % (segment.address + segment.fileSize)
                    guard let frame = table.frame(at: address) else { continue }
                    var program = FrameProgram(table, frame)
                    guard let rules = program.rules(at: address), let place = rules.cfaExpression else { continue }
                    stack.withUnsafeBytes { raw in
                        var expression = FrameExpression(
                            image: image, stack: StackCopy(raw, at: 0x7000),
                            registers: UnwindRegisters(stackPointer: 0x7000, programCounter: address))
                        _ = expression.value(place, initial: nil)
                    }
                }
            }
        }
    }

    @Test func `a loop in the frame chain ends`() {
        let modules = UnwindModules.own()
        let code = UInt64(UInt(bitPattern: dlsym(nil, "usleep")))
        // Every word of the stack points into the stack, with code behind it.
        var words = [UInt64](repeating: 0, count: 512)
        for index in words.indices { words[index] = index % 2 == 0 ? 0x10_0000 : code }
        words.withUnsafeBytes { raw in
            let addresses = Unwinder(modules).walk(
                UnwindRegisters(stackPointer: 0x10_0000, programCounter: code), StackCopy(raw, at: 0x10_0000))
            #expect(addresses.count <= Unwinder.mostFrames)
        }
    }

    @Test func `the stacks of another process are read from outside`() throws {
        let child = Process()
        child.executableURL = URL(filePath: "/bin/sleep")
        child.arguments = ["30"]
        try child.run()
        defer { child.terminate() }
        usleep(100_000)
        let stacks = try ThreadStacks.read(pid: child.processIdentifier).get()
        let stack = try #require(stacks.first)
        guard case .blocked = stack.state else {
            Issue.record("sleep is \(stack.state)")
            return
        }
        #expect(stack.frames.contains { $0.name.contains("nanosleep") })
        #expect(stack.frames.count >= 3)
    }

    @Test func `a process that is not there is said to be so`() {
        #expect(throws: StacksError(code: .noProcess, pid: 4_194_304)) { try ThreadStacks.read(pid: 4_194_304).get() }
    }
}

struct StackStoryTests {
    private func frame(
        _ name: String, _ symbol: String = "$s8Checkout5parseyySSF", module: String = "/usr/bin/checkout"
    ) -> SymbolizedFrame {
        SymbolizedFrame(
            address: UInt64(name.utf8.reduce(7) { $0 &* 31 &+ Int($1) }),
            module: ModuleReference(path: module, buildID: [], bias: 0),
            symbol: symbol + name, function: name)
    }

    private func service(_ name: String) -> SymbolizedFrame {
        // A real mangled name of a module called Checkout, so that ownership can be told.
        SymbolizedFrame(
            address: UInt64(name.count), module: ModuleReference(path: "/usr/bin/checkout", buildID: [], bias: 0),
            symbol: "$s8Checkout\(name.utf8.count)\(name)yySSF", function: "Checkout.\(name)(_:)")
    }

    private func system(_ name: String) -> SymbolizedFrame {
        SymbolizedFrame(
            address: UInt64(name.utf8.count) << 8,
            module: ModuleReference(path: "/lib/libc.so.6", buildID: [], bias: 0), symbol: name,
            function: name)
    }

    @Test func `the stable part of three samples is blamed, not where one happened to be`() {
        let story = StackStory([
            [system("memmove"), service("lex"), service("parse"), system("run")],
            [system("malloc"), service("build"), service("parse"), system("run")],
            [service("parse"), system("run")],
        ])
        #expect(story.guilty?.function == "Checkout.parse(_:)")
        #expect(story.isUnanimous && story.samples == 3)
    }

    @Test func `system frames below are what it was in`() {
        let story = StackStory([[system("usleep"), service("nap"), system("run")]])
        #expect(story.sentence == "Checkout.nap(_:) in usleep")
    }

    @Test func `one sample of four may stray, and is counted`() {
        let common = [system("decode"), service("parse"), system("run")]
        let story = StackStory([common, common, common, [system("free"), system("run")]])
        #expect(story.sentence == "Checkout.parse(_:) in decode (3 of 4 stacks)")
    }

    @Test func `a closure and its thunk are one caller`() {
        let story = StackStory([[service("parse"), service("handle"), service("handle"), service("serve")]])
        #expect(story.callers(4).map(\.name) == ["Checkout.handle(_:)", "Checkout.serve(_:)"])
    }

    @Test func `samples that disagree say so`() {
        let story = StackStory([
            [service("a"), system("run")], [service("a"), system("run")], [service("b"), system("run")],
        ])
        #expect(story.sentence == "Checkout.a(_:) (2 of 3 stacks)")
    }

    @Test func `own frames are never blamed`() {
        let own = SymbolizedFrame(
            address: 1, module: ModuleReference(path: "/usr/bin/checkout", buildID: [], bias: 0),
            symbol: "$s13NightjarProbe5parseyySSF", function: "NightjarProbe.parse(_:)")
        #expect(StackStory([[own, service("handle"), system("run")]]).guilty?.function == "Checkout.handle(_:)")
    }

    @Test func `no stack is no crime`() {
        #expect(StackStory([]).guilty == nil)
        #expect(StackStory([[]]).sentence == "no stack")
    }
}

struct LineTableTests {
    @Test func `an address of this process has its file and line`() throws {
        let marker: @convention(c) () -> Int32 = { Int32(#line) }
        let address = UInt64(unsafeBitCast(marker, to: UInt.self))
        let frame = Symbolizer().frame(at: address)
        #expect(frame.file == "UnwinderTests.swift")
        #expect(try abs(#require(frame.line) - Int(marker())) <= 1)
    }

    @Test func `random damage to a line table neither traps nor runs forever`() throws {
        let file = try #require(ELFFile(path: "/proc/self/exe"))
        let bytes = try #require(file.contents(of: ".debug_line", limit: 256 << 20))
        var random = Mutation(seed: 23)
        let part = Array(bytes.prefix(1 << 16))
        for _ in 0..<300 {
            let damaged = random.mutated(part, within: 0..<2048)
            damaged.withUnsafeBytes { raw in
                var at = 0
                var rows = 0
                while let unit = LineUnit(raw, at: at), rows < 100_000 {
                    var program = LineProgram(raw, unit, at: unit.program)
                    while program.next() != nil, rows < 100_000 { rows += 1 }
                    at = unit.end
                }
            }
        }
    }
}
