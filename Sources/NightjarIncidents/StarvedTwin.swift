import Dispatch
import Foundation
import NightjarProbe

// The healthy twin: a loop that does its little work well, on a host where four times as many threads want to run as there
// are processors. It is late, and it is not its fault. That it is starved may well be said.

let starvedTwin = Incident(
    name: "starved-twin",
    story: "a healthy loop runs on a host that has no processor for it (must not be called a stall)",
    detector: nil,
    silentDetector: "LoopStall",
    limit: .seconds(60),
    mustSay: [],
    run: { arguments in
        for _ in 0..<ProcessInfo.processInfo.activeProcessorCount * 4 {
            Thread {
                var value = 1.0
                while true { value = (value * 1.000001).squareRoot() + 1 }
            }.start()
        }
        stallLoop("starved-twin", arguments, every: 1) {}
    })
