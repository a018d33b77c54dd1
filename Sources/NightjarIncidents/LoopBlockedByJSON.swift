import Dispatch
import Foundation
import NightjarProbe

// A 10 MB JSON document is decoded on a loop, every two seconds. Half of all requests are as quick as ever; whoever comes
// meanwhile waits half a second.

/// A document of about ten megabytes.
private struct CustomerOrder: Codable {
    var id: Int
    var customer: String
    var lines: [String]
}

enum OrderService {
    static func document() throws -> Data {
        let lines = (0..<6).map { "line \($0) of an order that somebody made" }
        return try JSONEncoder().encode(
            (0..<36_000).map { CustomerOrder(id: $0, customer: "customer \($0)", lines: lines) })
    }

    @inline(never) static func parseOrders(_ document: Data) -> Int {
        (try? JSONDecoder().decode([CustomerOrder].self, from: document).count) ?? 0
    }
}

/// Runs `work` on a watched serial queue every `pause` seconds, with small jobs in between, until the time is over.
func stallLoop(_ service: String, _ arguments: Arguments, every pause: Double, _ work: @escaping @Sendable () -> Void) {
    let probe = Probe.start(service: service)
    let loop = DispatchQueue(label: "request loop")
    probe.watch(loop)
    let ticks = DispatchSource.makeTimerSource(queue: loop)
    ticks.schedule(deadline: .now(), repeating: .milliseconds(100))
    ticks.setEventHandler {}
    ticks.resume()
    let stalls = DispatchSource.makeTimerSource(queue: loop)
    stalls.schedule(deadline: .now() + 1, repeating: pause)
    stalls.setEventHandler(handler: work)
    stalls.resume()
    Thread.sleep(forTimeInterval: arguments.seconds)
    ticks.cancel()
    stalls.cancel()
}

let loopBlockedByJSON = Incident(
    name: "json-on-loop",
    story: "a 10 MB JSON document is decoded on an event loop",
    detector: "LoopStall",
    limit: .seconds(60),
    mustSay: ["parseOrders"],
    run: { arguments in
        let document = try OrderService.document()
        stallLoop("json-on-loop", arguments, every: 2) { _ = OrderService.parseOrders(document) }
    })
