import Testing

@testable import NightjarInspect

@Suite("The memory map of a target") struct TargetMapTests {
    @Test func `a line of maps becomes a region with its rights and its name`() throws {
        let map = TargetMap(
            text: Array("55d0-66f0 rw-p 00012000 fe:01 42                         /opt/a b (deleted)\n".utf8))
        let region = try #require(map.regions.first)
        #expect(region.start == 0x55d0 && region.end == 0x66f0 && region.fileOffset == 0x12000)
        #expect(region.readable && region.writable && !region.executable && !region.shared && !region.anonymous)
        #expect(region.path == "/opt/a b (deleted)")
    }

    @Test func `an address is found in its region and nowhere else`() {
        let map = TargetMap(text: Array("1000-2000 r--p 0 0:0 0\n3000-4000 rw-p 0 0:0 0 [heap]\n".utf8))
        #expect(map.region(at: 0xfff) == nil)
        #expect(map.region(at: 0x1000)?.start == 0x1000)
        #expect(map.region(at: 0x2000) == nil)
        #expect(map.region(at: 0x3fff)?.path == "[heap]")
        #expect(map.region(at: 0x4000) == nil)
    }

    @Test(arguments: [
        "", "\n\n", "zz-10 rw-p 0 0:0 0", "20-10 rw-p 0 0:0 0", "10-20 rw", "10-20 rw-p",
        "fffffffffffffffff-1 rw-p 0 0:0 0",
        "10-20 rw-p 0 0:0 x",
    ]) func `a line that makes no sense is left out`(line: String) {
        #expect(TargetMap(text: Array(line.utf8)).regions.isEmpty)
    }

    @Test func `regions that run backwards are left out`() {
        let map = TargetMap(
            text: Array("3000-4000 r--p 0 0:0 0\n1000-2000 r--p 0 0:0 0\n3800-5000 r--p 0 0:0 0\n".utf8))
        #expect(map.regions.count == 1)
    }
}
