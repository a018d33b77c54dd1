import Glibc

// The first story: a service killed for memory every third day, because each request left a closure behind in a
// listener list that nobody ever clears. The twin does the same work and removes its listener.

/// One request as the service sees it.
final class Request {
    let id: Int
    var body: [UInt8]

    init(id: Int, size: Int) {
        self.id = id
        body = [UInt8](repeating: UInt8(truncatingIfNeeded: id), count: size)
    }
}

/// Listeners by token, called on every event.
final class Emitter {
    private var handlers: [Int: (Int) -> Int] = [:]
    private var nextToken = 0

    func add(_ handler: @escaping (Int) -> Int) -> Int {
        nextToken += 1
        handlers[nextToken] = handler
        return nextToken
    }

    func remove(_ token: Int) { handlers[token] = nil }

    /// Only the newest hundred listen to this event, so that the leak costs memory and not yet time.
    func emit(_ value: Int) -> Int {
        var sum = 0
        for token in max(1, nextToken - 100)...max(1, nextToken) { sum &+= handlers[token]?(value) ?? 0 }
        return sum
    }
}

nonisolated(unsafe) let emitter = Emitter()

/// Handles one request; the listener holds the request, and the list holds the listener.
@inline(never) func handle(_ request: Request, forgetsToRemove: Bool) -> Int {
    let token = emitter.add { value in value &+ request.id &+ Int(request.body[request.body.count / 2]) }
    let answer = emitter.emit(request.id)
    if !forgetsToRemove { emitter.remove(token) }
    return answer
}

/// A service under a load that it makes itself: `--rate` requests a second, each of `--size` bytes.
private func serve(_ arguments: Arguments, forgetsToRemove: Bool) {
    let rate = max(1, arguments.value("--rate").flatMap(Int.init) ?? 1_000)
    let size = max(16, arguments.value("--size").flatMap(Int.init) ?? 1_000)
    let end = monotonicSeconds() + arguments.seconds
    var served = 0
    var checksum = 0
    let began = monotonicSeconds()
    while monotonicSeconds() < end {
        let due = Int((monotonicSeconds() - began) * Double(rate))
        while served < due {
            served += 1
            checksum &+= handle(Request(id: served, size: size), forgetsToRemove: forgetsToRemove)
        }
        usleep(10_000)
    }
    print("served \(served) requests, checksum \(checksum)")
}

func monotonicSeconds() -> Double {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return Double(now.tv_sec) + Double(now.tv_nsec) / 1e9
}

let leak = Incident(
    name: "leak", story: "every request leaves a closure in a listener list", detector: "HeapGrowth",
    limit: .seconds(180), mustSay: ["drill-leak"]
) { serve($0, forgetsToRemove: true) }

let leakTwin = Incident(
    name: "leak-twin", story: "the same service removes its listeners: no alert", detector: nil,
    limit: .seconds(120), mustSay: []
) { serve($0, forgetsToRemove: false) }
