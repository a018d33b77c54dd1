import Glibc
import NightjarModel
import Testing

@testable import NightjarAgent

private let lines = """
    study\t4242\tleak\t40.5\t8585216\t8510784\t74432\t69632\t0.0
    type\tcheckout.Request\tclass\t7075\t339648\t6032\t289568\t7150.0\t1\t0.0\t0.0\t7075\t\
    Request ← closure #1 in handle(_:) ← Emitter.handlers ← global checkout.emitter
    type\tDictionary<Int, (Int) -> Int>\tdictionary\t1\t397312\t0\t347824\t8588.0\t0\t\t\t0\t

    """

@Suite("A suspect's census, as the agent hears it") struct CensusEvidenceTests {
    let process = ProcessKey(pid: 4242, startTime: 7)

    @Test func `the inspector's lines become evidence that names type and holder`() throws {
        let evidence = try #require(CensusEvidence(lines, process: process))
        #expect(evidence.verdict == .leak && evidence.growing.count == 2)
        #expect(evidence.heap == Bytes(8_585_216) && evidence.paused == .zero)
        #expect(
            evidence.sentence
                == "checkout.Request +6032 in 41 s (7.0 KiB a second), held by "
                + "Request ← closure #1 in handle(_:) ← Emitter.handlers ← global checkout.emitter")
        #expect(evidence.growing[1].heldBy == nil)
        #expect(evidence.details.count == 2)
        let names = evidence.evidence.map(\.nameWithUnit)
        #expect(names.contains("heap_used_bytes") && names.contains("growing_types"))
    }

    @Test func `a type that keeps most of the bytes in others is told with both figures`() throws {
        let text = """
            study\t1\tleak\t40\t8585216\t8510784\t74432\t69632\t0
            type\tcheckout.Request\tclass\t40000\t1920000\t40000\t1920000\t48000\t1\t0\t0\t40000\tRequest ← global x
            type\t[UInt8]\tarray\t40100\t40960000\t40000\t40960000\t1024000\t1\t\t\t0\t

            """
        #expect(
            try #require(CensusEvidence(text, process: process)).sentence
                == "checkout.Request +40000 in 40 s (47 KiB a second), held by Request ← global x"
                + "; along with them [UInt8] +40000 (1000 KiB a second)")
    }

    @Test(arguments: [
        "", "study", "study\t1\tleak\t1\t2\t3\t4\t5", "study\t1\tpanic\t1\t2\t3\t4\t5\t6", "type\ta\tb",
        "study\t1\tleak\tx\t2\t3\t4\t5\t6",
    ]) func `an answer that is none is refused`(text: String) {
        #expect(CensusEvidence(text, process: process) == nil)
    }

    @Test func `a mostly free heap is said to be no leak`() throws {
        let text = "study\t1\tfragmentation\t40\t421527552\t38797312\t382730240\t0\t0\n"
        let evidence = try #require(CensusEvidence(text, process: process))
        #expect(evidence.sentence == "not a leak: 37 MiB in use in 402 MiB of heap, the rest is free inside it")
    }
}

@Suite("The child that does it") struct CensusRunnerTests {
    func results(_ runner: CensusRunner) -> [(ProcessKey, Result<CensusEvidence, CensusFailure>)] {
        for _ in 0..<3000 {
            let found = runner.takeResults()
            if !found.isEmpty { return found }
            usleep(10_000)
        }
        return []
    }

    @Test func `without an inspector nothing is promised`() {
        let runner = CensusRunner(tool: "/nowhere/nightjar-inspect")
        #expect(runner.request(ProcessKey(pid: 1, startTime: 1)))
        guard case .failure(let failure)? = results(runner).first?.1 else {
            Issue.record("it answered")
            return
        }
        #expect(failure.sentence.hasPrefix("cannot start '/nowhere/nightjar-inspect'"))
    }

    @Test func `one suspect at a time, and each life once`() {
        let runner = CensusRunner(tool: "/bin/false")
        let first = ProcessKey(pid: 1, startTime: 1)
        #expect(runner.request(first))
        #expect(!runner.request(first))
        #expect(results(runner).count == 1)
        #expect(!runner.request(first))
        runner.forget(first)
        #expect(runner.request(first))
        #expect(results(runner).count == 1)
    }

    @Test func `the agent's end is the child's end`() {
        let runner = CensusRunner(
            tool: "/bin/cat", procRoot: "/proc",
            budget: CensusBudget(time: .seconds(30), interval: .seconds(30), censuses: 2))
        #expect(runner.request(ProcessKey(pid: 1, startTime: 1)))
        runner.shutdown()
        #expect(results(runner).count == 1)
        #expect(!runner.request(ProcessKey(pid: 2, startTime: 1)))
    }
}
