// Each order waits for an answer that a broker never sends: the continuation lies in the mailbox, the task that waits for
// it is suspended for ever, and keeps the order and everything else that it holds.

import Synchronization

/// What the task was about.
final class Order: Sendable {
    let id: Int
    let document: [UInt8]

    init(id: Int, size: Int) {
        self.id = id
        document = [UInt8](repeating: UInt8(truncatingIfNeeded: id), count: size)
    }
}

/// Continuations by order. Nothing ever resumes them.
final class Mailbox: Sendable {
    private let waiting = Mutex<[Int: CheckedContinuation<Int, Never>]>([:])

    func answer(to id: Int) async -> Int {
        await withCheckedContinuation { continuation in waiting.withLock { $0[id] = continuation } }
    }

    var count: Int { waiting.withLock { $0.count } }
}

let mailbox = Mailbox()

/// Waits for the broker's answer with the order in hand.
@Sendable func settle(_ order: Order) async {
    let answer = await mailbox.answer(to: order.id)
    print("order \(order.id): \(answer) of \(order.document.count)")
}

let taskLeak = Incident(
    name: "task-leak", story: "tasks wait for answers that never come", detector: "HeapGrowth",
    limit: .seconds(180), mustSay: ["drill-"]
) { arguments in
    let size = max(16, arguments.value("--size").flatMap(Int.init) ?? 1_000)
    pace(arguments) { id in
        let order = Order(id: id, size: size)
        Task.detached { await settle(order) }
    }
    print("\(mailbox.count) are waiting")
}
