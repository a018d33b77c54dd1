// Each request opens a conversation over a transport. The conversation owns its transport, and the transport keeps the
// conversation as its delegate, strongly: when the request is over nobody else knows them, and they stay for ever.

/// What one client says and is told.
final class Conversation {
    let id: Int
    var transport: Transport?
    var received: [UInt8] = []

    init(id: Int) { self.id = id }
}

/// How it is carried. `delegate` should have been weak.
final class Transport {
    var delegate: Conversation?
    var buffer: [UInt8]

    init(size: Int) { buffer = [UInt8](repeating: 0, count: size) }
}

/// One request, from its beginning to its end.
@inline(never) func converse(_ id: Int, size: Int) -> Int {
    let conversation = Conversation(id: id)
    let transport = Transport(size: size)
    conversation.transport = transport
    transport.delegate = conversation
    conversation.received = [UInt8](repeating: 1, count: 64)
    return conversation.received.count + transport.buffer.count
}

let retainCycle = Incident(
    name: "retain-cycle", story: "every request leaves two objects that hold each other", detector: "HeapGrowth",
    limit: .seconds(180), mustSay: ["drill-"]
) { arguments in
    let size = max(16, arguments.value("--size").flatMap(Int.init) ?? 1_000)
    var checksum = 0
    pace(arguments) { checksum &+= converse($0, size: size) }
    print("checksum \(checksum)")
}
