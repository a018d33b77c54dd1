import Testing

@testable import NightjarAgent

@Suite("Code pages that only the start needed") struct StartPagesTests {
    @Test func `code of a file is given back`() {
        #expect(
            StartPages.fileRange("55d0c0a00000-55d0c0b00000 r-xp 00001000 fe:00 4711  /usr/bin/nightjard\n")
                == 0x55d0_c0a0_0000..<0x55d0_c0b0_0000)
    }

    @Test func `only where no page was written`() {
        #expect(StartPages.isUntouched("Anonymous:             0 kB\n"))
        #expect(!StartPages.isUntouched("Anonymous:             4 kB\n"))
        #expect(!StartPages.isUntouched("Anonymous:\n"))
    }

    @Test(arguments: [
        "55d0c0a00000-55d0c0b00000 rw-p 00001000 fe:00 4711  /usr/bin/nightjard\n",
        "7ffd1c1f2000-7ffd1c1f4000 r-xp 00000000 00:00 0      [vdso]\n",
        "7f0000000000-7f0000001000 r-xp 00000000 00:00 0\n",
        "", "x-y r-xp 0 0 1 /f\n", "2-1 r-xp 0 0 1 /f\n",
    ])
    func `nothing else is`(_ line: String) { #expect(StartPages.fileRange(line) == nil) }

    @Test func `the program goes on as before`() {
        #expect(StartPages.giveBack() > 0)
        #expect(StartPages.giveBack() > 0)
    }
}
