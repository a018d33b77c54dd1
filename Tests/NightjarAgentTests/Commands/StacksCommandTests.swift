import NightjarAgent
import NightjarModel
import NightjarSymbols
import Testing

@Suite("nightjar stacks") struct StacksCommandTests {
    private func frame(_ function: String, _ file: String? = nil, _ line: Int? = nil, symbol: String? = nil)
        -> SymbolizedFrame
    {
        SymbolizedFrame(
            address: 0x1000, module: ModuleReference(path: "/usr/bin/shop", buildID: [0x3F, 9], bias: 0),
            symbol: symbol ?? function, function: function, file: file, line: line)
    }

    private func thread(_ tid: Int32, _ name: String, _ frames: [SymbolizedFrame]) -> ThreadStack {
        ThreadStack(tid: tid, name: name, state: .blocked(call: 0), frames: frames)
    }

    @Test func `threads with one stack are shown once, with file and line`() {
        let frames = [frame("read"), frame("Shop.load(_:)", "Shop.swift", 12)]
        #expect(
            StacksCommand.text([thread(7, "reader", frames), thread(8, "reader", frames)]) == """
                reader (thread 7), reader (thread 8): blocked in read
                  read
                  Shop.load(_:)  Shop.swift:12

                """)
    }

    @Test func `thunks are left out, and a function with its thunk is shown once`() {
        let frames = [frame("read"), frame("reabstraction"), frame("f()"), frame("f()", "F.swift", 3)]
        #expect(
            StacksCommand.text([thread(7, "a", frames)]) == """
                a (thread 7): blocked in read
                  read
                  f()  F.swift:3

                """)
    }

    @Test func `many labels are cut to the first`() {
        let name = "Loop.run(thread:uniqueID:parentGroup:selectorFactory:initializer:)"
        #expect(StacksCommand.text([thread(7, "a", [frame(name)])]).contains("\n  Loop.run(thread:…)\n"))
    }

    @Test func `what the program does comes before what waits for work`() {
        let working = [frame("4Shop.work()", symbol: "$s4Shop4workyyF")]
        let text = StacksCommand.text([thread(1, "idle", [frame("epoll_wait")]), thread(2, "busy", working)])
        #expect(text.hasPrefix("busy (thread 2)"))
    }

    @Test func `a running thread says why it has no stack`() {
        let running = ThreadStack(tid: 9, name: "spin", state: .running, frames: [])
        #expect(StacksCommand.text([running]) == "spin (thread 9): running, its stack cannot be seen from outside\n")
    }

    @Test func `JSON has every frame with its parts`() {
        let json = StacksCommand.json([thread(7, "a", [frame("f()", "F.swift", 3)])]).text
        #expect(
            json == """
                [{"tid":7,"name":"a","state":"blocked","call":"read","frames":[{"function":"f()","symbol":"f()",\
                "file":"F.swift","line":3,"inlined":false,"module":"/usr/bin/shop","build_id":"3f09","offset":0,\
                "address":"0x1000"}]}]
                """)
    }
}
