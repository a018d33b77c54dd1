import Foundation

// A loop wants a lock for a moment; a background job holds it while it does slow work under it.

final class PriceList: @unchecked Sendable {
    private let lock = NSLock()
    private var prices: [Int: Int] = [:]

    @inline(never) func refreshUnderLock() {
        lock.lock()
        usleep(800_000)
        prices[prices.count % 100] = prices.count
        lock.unlock()
    }

    @inline(never) func price(of item: Int) -> Int {
        lock.lock()
        defer { lock.unlock() }
        return prices[item] ?? 0
    }
}

let lockHeldElsewhere = Incident(
    name: "lock-held",
    story: "a loop waits for a lock that a slow background job holds",
    detector: "LoopStall",
    limit: .seconds(60),
    mustSay: ["price(of:)", "refreshUnderLock"],
    run: { arguments in
        let list = PriceList()
        Thread {
            while true {
                list.refreshUnderLock()
                usleep(200_000)
            }
        }.start()
        stallLoop("lock-held", arguments, every: 1.5) { _ = list.price(of: 7) }
    })
