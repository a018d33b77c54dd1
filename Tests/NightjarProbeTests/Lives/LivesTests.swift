import Foundation
import NightjarTestKit
import Testing

/// A probed service and a real agent, with everything that may happen to either. Each stall lasts until it was seen, so that
/// a slow machine only makes the test slower.
@Suite("A probed service beside a live agent", .serialized) struct LivesTests {
    private func joined(_ agent: LiveAgent, _ name: String) throws -> LiveService {
        let service = try LiveService(name, socket: agent.probeSocket)
        #expect(service.answer("ready") != nil)
        #expect(try agent.ask("show", name, until: ["requests"]).contains("requests"))
        return service
    }

    @Test func `a stall that goes on is in show, in alerts and in stacks, with function and cause`() throws {
        let agent = try LiveAgent()
        let service = try joined(agent, "till")
        service.tell("hold")
        #expect(service.answer("held") != nil)
        let alerts = try agent.ask("alerts", until: ["LoopStall", "Receipts.load(from:)"])
        #expect(alerts.contains("blocked in read of descriptor"), "\(alerts)")
        #expect(alerts.contains("pipe:["), "\(alerts)")
        let page = try agent.ask("show", "till", until: ["Receipts.load(from:)"])
        #expect(page.contains("requests") && page.contains("held up"), "\(page)")
        let shown = try agent.ask("stacks", "\(service.pid)", until: ["Receipts.load(from:)"])
        #expect(shown.contains("Receipts.load(from:)") && shown.contains("blocked in read"), "\(shown)")
        // By the probe itself, which knows its loops by name.
        let stacks = agent.stacks(of: service.pid)
        #expect(stacks.contains("requests (thread") && stacks.contains("Receipts.load(from:)"), "\(stacks)")
        let json = agent.stacks(of: service.pid, "&format=json")
        let threads = try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [[String: Any]]
        #expect(threads?.contains { $0["call"] as? String == "read" && $0["name"] as? String == "requests" } == true)
        service.tell("release")
        #expect(service.answer("released") != nil)
        #expect(try agent.ask("show", "till", until: ["idle"]).contains("idle"))
    }

    @Test func `an agent killed by SIGKILL in the middle of a stall: the service goes on, and the next agent is told`()
        throws
    {
        let agent = try LiveAgent()
        let service = try joined(agent, "orders")
        service.tell("hold")
        #expect(service.answer("held") != nil)
        #expect(try agent.ask("show", "orders", until: ["Receipts.load(from:)"]).contains("Receipts.load(from:)"))
        agent.end(with: SIGKILL)
        // Nobody is there to tell, and the service does not mind.
        service.tell("release")
        #expect(service.answer("released") != nil)
        service.tell("hold")
        #expect(service.answer("held") != nil)
        try agent.start()
        let alerts = try agent.ask("alerts", until: ["LoopStall", "Receipts.load(from:)"])
        #expect(alerts.contains("Receipts.load(from:)"), "\(alerts)")
        service.tell("release")
        #expect(service.answer("released") != nil)
        #expect(service.isAlive)
    }

    @Test func `a forked child has no watchdog, no page and no socket, and its parent is watched as before`() throws {
        let agent = try LiveAgent()
        let service = try joined(agent, "forking")
        service.tell("fork")
        let child = try #require(service.answer("child"))
        #expect(child.hasSuffix("threads 1 running false descriptors 0 worked 7"), "\(child)")
        service.tell("hold")
        #expect(service.answer("held") != nil)
        #expect(try agent.ask("alerts", until: ["Receipts.load(from:)"]).contains("Receipts.load(from:)"))
        // The child holds nothing of its parent's: the agent sees the parent's end although the child lives.
        service.end()
        let gone = try agent.ask("show", "forking", until: ["(pid \(service.pid)) ended"])
        #expect(gone.contains("(pid \(service.pid)) ended"), "\(gone)")
        #expect(gone.contains("requests had not come back for"), "\(gone)")
        let pid = child.split(separator: " ").dropFirst().first.flatMap { Int32($0) }
        if let pid { kill(pid, SIGKILL) }
    }

    @Test func `a service that becomes another program by exec leaves, and joins again under its pid`() throws {
        let agent = try LiveAgent()
        let service = try joined(agent, "phoenix")
        service.tell("exec")
        let again = try #require(service.answer("ready"))
        #expect(again == "ready \(service.pid)")
        let page = try agent.ask("show", "phoenix", until: ["hung up or began another program"])
        #expect(page.contains("(pid \(service.pid)) hung up or began another program"), "\(page)")
        service.tell("hold")
        #expect(service.answer("held") != nil)
        #expect(try agent.ask("alerts", until: ["Receipts.load(from:)"]).contains("Receipts.load(from:)"))
    }

    @Test func `a service that closes all descriptors and opens its own gets nothing from the probe and loses nothing`()
        throws
    {
        let agent = try LiveAgent()
        let service = try joined(agent, "tidy")
        service.tell("closeall")
        #expect(service.answer("closed") != nil)
        service.tell("hold")
        #expect(service.answer("held") != nil)
        // It is a stall by now, and there is nobody to tell but its own log.
        #expect(service.complaint("nightjar: tidy: the service closed the probe's descriptors") != nil)
        service.tell("release")
        #expect(service.answer("released") != nil)
        service.tell("fork")
        #expect(service.answer("child") != nil)
        service.tell("reap")
        #expect(service.answer("reaped") != nil)
        service.tell("look")
        #expect(service.answer("sockets") == "sockets 200 whole 100 lost 0 foreign 0")
        #expect(service.isAlive)
    }

    @Test func `of a service that crashes the agent tells what hung and what it was doing`() throws {
        let agent = try LiveAgent()
        let service = try joined(agent, "crashing")
        service.tell("hold")
        #expect(service.answer("held") != nil)
        #expect(try agent.ask("show", "crashing", until: ["Receipts.load(from:)"]).contains("Receipts.load(from:)"))
        service.tell("crash")
        #expect(service.signal == SIGABRT)
        let gone = try agent.ask("show", "crashing", until: ["(pid \(service.pid)) ended"])
        #expect(gone.contains("(pid \(service.pid)) ended"), "\(gone)")
        #expect(gone.contains("requests had not come back for"), "\(gone)")
        #expect(gone.contains("blocked in read in"), "\(gone)")
        #expect(gone.contains("Receipts.load(from:)"), "\(gone)")
    }
}
