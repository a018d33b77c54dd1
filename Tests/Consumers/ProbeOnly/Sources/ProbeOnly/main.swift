// A service with the probe and nothing else of Nightjar: stalls a queue once and says what the probe said.

import Dispatch
import Glibc
import NightjarProbe

@inline(never) func heldUpOnPurpose() -> Int32 { usleep(300_000) &+ 1 }

var settings = ProbeSettings()
settings.socket = ""
settings.report = { line in
    print(line)
    exit(0)
}
let probe = Probe.start(service: "probe-only", settings: settings)
guard probe.isRunning else {
    print("off")
    exit(0)
}
let queue = DispatchQueue(label: "work")
probe.watch(queue)
queue.asyncAfter(deadline: .now() + 0.5) { _ = heldUpOnPurpose() }
queue.asyncAfter(deadline: .now() + 10) { exit(1) }
dispatchMain()
