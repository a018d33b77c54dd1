import Dispatch
import Foundation
import NightjarProbe

// Tasks wait with a semaphore for something that another task would do. There are as many threads as processors, and all
// of them wait.

enum Warehouse {
    @inline(never) static func waitForStock(_ semaphore: DispatchSemaphore) -> Bool {
        semaphore.wait(timeout: .now() + 3600) == .success
    }
}

let exhaustedPool = Incident(
    name: "pool-exhausted",
    story: "every thread of the cooperative pool waits for a semaphore",
    detector: "PoolStarvation",
    limit: .seconds(60),
    mustSay: ["waitForStock"],
    run: { arguments in
        Probe.start(service: "pool-exhausted")
        Thread.sleep(forTimeInterval: 1)
        let stock = DispatchSemaphore(value: 0)
        let threads = ProcessInfo.processInfo.activeProcessorCount + 2
        for _ in 0..<threads { Task.detached { _ = Warehouse.waitForStock(stock) } }
        Thread.sleep(forTimeInterval: arguments.seconds)
    })
