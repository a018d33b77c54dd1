// The same service without the probe, so that what the probe adds can be measured.

import Dispatch
import Glibc

@inline(never) func heldUpOnPurpose() -> Int32 { usleep(300_000) &+ 1 }

let queue = DispatchQueue(label: "work")
queue.asyncAfter(deadline: .now() + 0.5) {
    _ = heldUpOnPurpose()
    print("held up, and nobody said so")
    exit(0)
}
dispatchMain()
