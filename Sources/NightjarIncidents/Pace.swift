import Glibc

// A load that the service makes itself: `--rate` times a second, for `--seconds`. With `--count N` it stops after exactly
// N, says so, and stays as it is: then whoever looks at its memory knows what must be there.

/// Calls `work` at the asked rate with 1, 2, 3, …
func pace(_ arguments: Arguments, rate usual: Int = 1_000, _ work: (Int) -> Void) {
    let rate = max(1, arguments.value("--rate").flatMap(Int.init) ?? usual)
    let count = arguments.value("--count").flatMap(Int.init) ?? .max
    let began = monotonicSeconds()
    let end = began + arguments.seconds
    var done = 0
    while monotonicSeconds() < end {
        let due = count < .max ? count : Int((monotonicSeconds() - began) * Double(rate))
        let isNew = done < due
        while done < due {
            done += 1
            work(done)
        }
        if isNew, done == count { print("planted \(count)") }
        usleep(10_000)
    }
    print("served \(done)")
}
