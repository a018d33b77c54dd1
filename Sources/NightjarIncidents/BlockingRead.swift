import Foundation

// A loop reads from a peer that takes its time, and waits for it instead of coming back later.

enum Upstream {
    /// Asks, and waits for the answer.
    @inline(never) static func readReply(_ descriptor: Int32) -> Int {
        var buffer = [UInt8](repeating: 0, count: 64)
        guard write(descriptor, "?", 1) == 1 else { return -1 }
        return read(descriptor, &buffer, buffer.count)
    }
}

let blockingRead = Incident(
    name: "read-on-loop",
    story: "an event loop blocks in a read from a slow peer",
    detector: "LoopStall",
    limit: .seconds(60),
    mustSay: ["readReply", "read"],
    run: { arguments in
        var ends: [Int32] = [0, 0]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0 else { return }
        let (near, far) = (ends[0], ends[1])
        Thread {
            var question: UInt8 = 0
            while read(far, &question, 1) == 1 {
                usleep(900_000)
                _ = write(far, "slow", 4)
            }
        }.start()
        stallLoop("read-on-loop", arguments, every: 2) { _ = Upstream.readReply(near) }
    })
