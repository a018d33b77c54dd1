import Testing

@testable import NightjarAgent

@Suite("What an incident says of itself") struct DrillIncidentTests {
    @Test func `an incident names the detector that must fire`() throws {
        let incident = try #require(DrillIncident.parse("leak\tHeapGrowth\t300\tLeak,closure\tit leaks"))
        #expect(incident.detector == "HeapGrowth" && incident.silentDetector == nil)
        #expect(incident.mustSay == ["Leak", "closure"])
    }

    @Test func `a healthy twin keeps all detectors quiet, or one of them`() throws {
        let twin = try #require(DrillIncident.parse("leak-twin\t-\t60\t\tit rests"))
        #expect(twin.detector == nil && twin.silentDetector == nil)
        let starved = try #require(DrillIncident.parse("starved-twin\t-LoopStall\t60\t\tit waits"))
        #expect(starved.detector == nil && starved.silentDetector == "LoopStall")
        #expect(DrillIncident.table([twin, starved]).contains("(not LoopStall)"))
    }

    @Test(arguments: ["", "leak", "leak\tHeapGrowth\tsoon\t\tx", "a\tb\t1\tc\td\te"])
    func `a line of another shape is no incident`(_ line: String) {
        #expect(DrillIncident.parse(Substring(line)) == nil)
    }
}
