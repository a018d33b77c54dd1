import Foundation
import Testing

@testable import NightjarInspect

@Suite("Live programs", .serialized) struct LiveTests {
    @Test(arguments: Build.allCases)
    func `every planted object is counted under its name`(build: Build) throws {
        let zoo = try LiveTarget(zoo: 300, build)
        let census = try Census.take(of: zoo.target())
        #expect(census.count("zoo.Request") == 3000)
        #expect(census.count("zoo.Session") == 300 * 5 + 300 * 4 + 300)
        #expect(census.count("zoo.Gen<Dictionary<Int, String>>") == 300)
        #expect(census.count("zoo.Outer.Inner<String, Optional<Int>>") == 300)
        #expect(census.entries.contains { $0.type.name == "zoo.Account" && $0.type.kind == .actor && $0.count == 300 })
        #expect(census.entries.contains { $0.type.name == "zoo.Failure" && $0.type.kind == .error && $0.count == 300 })
        #expect(census.entries.filter { $0.type.kind == .task }.reduce(0) { $0 + $1.count } >= 30)
        let closures = census.entries.filter { $0.type.kind == .closure }.reduce(0) { $0 + $1.count }
        #expect(closures >= 3000)
        #expect(census.entries.filter { $0.type.name == "frames of tasks" }.reduce(0) { $0 + $1.count } >= 30)
        // Two blocks of C and the runtime's own are all that carries no type.
        #expect(census.untypedBytes < 300_000 + 4096 + 600_000)
        #expect(census.typedBytes + census.untypedBytes + census.freeBytes == census.heapBytes)
        #expect(census.missedBytes == 0)
        if build != .stripped { #expect(census.count("closure #1 in zoo.handle(_:_:)") >= 3000) }
    }

    @Test(arguments: Build.allCases)
    func `every cycle is found with its fields, and nothing else`(build: Build) throws {
        let zoo = try LiveTarget(zoo: 300, build)
        let report = try LeakSearch(zoo.target()).run()
        let rows = Dictionary(uniqueKeysWithValues: report.unreachable.map { ($0.type.name, $0) })
        // A stale word on a stack may hold one pair; no more.
        #expect((1198...1200).contains(rows["zoo.Session"]?.count ?? 0))
        #expect((299...300).contains(rows["zoo.Owner"]?.count ?? 0))
        #expect((299...300).contains(rows["zoo.Part"]?.count ?? 0))
        #expect(rows["zoo.Session"]?.cycle == ["Session.next", "Session.next"])
        #expect(rows["zoo.Owner"]?.cycle == ["Owner.part", "Part.owners"])
        let planted: Set<String> = [
            "zoo.Session", "zoo.Owner", "zoo.Part", "zoo.Watched", "Array<Int>", "Array<AnyObject>", "Array<zoo.Owner>",
        ]
        #expect(Set(rows.keys).subtracting(planted).isEmpty)
        #expect(report.pause.seconds > 0)
    }

    @Test func `an object that only a weak reference sees is unreachable`() throws {
        let zoo = try LiveTarget(zoo: 30)
        let report = try LeakSearch(zoo.target()).run()
        let watched = report.unreachable.first { $0.type.name == "zoo.Watched" }
        #expect(watched?.cycle == ["Watched.me"])
    }

    @Test func `the chain from a global names each step and its numbers`() throws {
        let zoo = try LiveTarget(zoo: 300)
        let report = try #require(RetainingReport.of(["Request"], open: zoo.target)["Request"])
        #expect(report.count == 3000)
        let chain = try #require(report.chains.first)
        #expect(chain.sentence == "Request ← closure #1 in handle(_:_:) ← Emitter.handlers ← global zoo.emitter")
        #expect(chain.steps.map(\.count) == [3000, 3000, 1])
        #expect(chain.holds == 3000)
    }

    @Test func `a stripped program has chains without the names of globals`() throws {
        let zoo = try LiveTarget(zoo: 300, .stripped)
        let chain = try #require(RetainingReport.of(["Request"], open: zoo.target)["Request"]?.chains.first)
        #expect(chain.steps.map(\.name).contains("Emitter.handlers"))
        #expect(chain.root == "global of stripped-zoo")
        #expect(chain.holds == 3000)
    }

    @Test func `what grew between two censuses is exact and stands first`() throws {
        let zoo = try LiveTarget(zoo: 300)
        let before = try Census.take(of: zoo.target())
        try zoo.tell("more 5000")
        let growth = try Census.take(of: zoo.target()).growth(since: before, over: .seconds(2))
        let request = try #require(growth.first { $0.type.name == "zoo.Request" })
        #expect(request.count == 5000)
        #expect(request.bytesPerSecond == Double(request.bytes) / 2)
        let closure = try #require(growth.first { $0.type.name == "closure #1 in zoo.handle(_:_:)" })
        #expect(closure.count == 5000)
        let grown = Set(growth.filter { $0.count > 10 }.map(\.type.name))
        #expect(grown == ["zoo.Request", "closure #1 in zoo.handle(_:_:)"])
    }

    @Test func `objects that went are gone from the count`() throws {
        let zoo = try LiveTarget(zoo: 300)
        try zoo.tell("clear")
        let census = try Census.take(of: zoo.target())
        #expect(census.count("zoo.Request") == 0)
        #expect(census.typedBytes + census.untypedBytes + census.freeBytes == census.heapBytes)
    }

    @Test func `counts of a program at work are within one in a hundred`() throws {
        let zoo = try LiveTarget(zoo: 300)
        try zoo.tell("churn 300", until: "churning")
        usleep(200_000)
        for _ in 0..<5 {
            let census = try Census.take(of: zoo.target())
            let expected = Double(300 * 10 + 10_000)
            #expect(abs(Double(census.count("zoo.Session")) - expected) <= expected / 100 + 2)
            #expect(census.count("zoo.Request") == 3000)
        }
        // Nothing that the churning ring holds is called unreachable.
        let report = try LeakSearch(zoo.target()).run()
        #expect((1190...1202).contains(report.unreachable.first { $0.type.name == "zoo.Session" }?.count ?? 0))
    }

    @Test func `a leaking service is a leak with its chain`() throws {
        let zoo = try LiveTarget(zoo: 300)
        var sent = 0
        let study = try GrowthStudy.run(pid: zoo.pid, interval: .zero, open: zoo.target) { _ in
            sent += 1
            try? zoo.tell("more 2000")
        }
        #expect(sent == 2)
        #expect(study.verdict == .leak)
        let culprit = try #require(study.culprit)
        #expect(culprit.type.name == "zoo.Request" && culprit.countGrowth == 4000)
        #expect(culprit.gone == 0 && culprit.touched == 0)
        #expect(
            culprit.heldBy == "Request ← closure #1 in handle(_:_:) ← Emitter.handlers ← global zoo.emitter")
    }

    @Test func `a cycle for every request is a leak that nothing reaches`() throws {
        let zoo = try LiveTarget(zoo: 300)
        let study = try GrowthStudy.run(pid: zoo.pid, interval: .zero, open: zoo.target) { _ in
            try? zoo.tell("cycles 4000")
        }
        #expect(study.verdict == .leak)
        let session = try #require(study.growing.first { $0.type.name == "zoo.Session" })
        #expect(session.heldBy == "unreachable cycle Session.next → Session.next → Session.next")
    }

    @Test func `classes below a class of a library that evolves have their arguments and fields`() throws {
        let below = try LiveTarget(LiveTarget.program("below", .release))
        let census = try Census.take(of: below.target())
        #expect(census.count("below.Lower<String>") == 200)
        #expect(census.count("below.Lower<Dictionary<Int, Optional<Int>>>") == 200)
        let report = try LeakSearch(below.target()).run()
        let rows = Dictionary(uniqueKeysWithValues: report.unreachable.map { ($0.type.name, $0) })
        #expect(rows["below.Lower<Int>"]?.cycle == ["Lower<Int>.partner", "Lower<Int>.partner"])
        #expect(rows["below.Plain"]?.cycle == ["Plain.partner", "Plain.partner"])
        #expect((398...400).contains(rows["below.Plain"]?.count ?? 0))
    }
}
