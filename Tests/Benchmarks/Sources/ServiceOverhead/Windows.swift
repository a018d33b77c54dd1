// Two processes of one program differ by more than the probe costs, and so do two minutes of one machine. So one process
// takes the load throughout, and its probe's thread alone is held and let go in turn, by ptrace, for a fraction of a second
// each. Held, it looks at nothing and leaves no pings; the service's own threads never notice.
//
//     held │ free │ free │ held │ held │ free │ …      CPU of the process ÷ bytes that it wrote, neighbour by neighbour
//
// Every answer of the service is as long as the others, so the bytes count the requests.

import BenchmarkKit
import CHold
import Glibc

/// The figures of all pairs of windows.
struct Windows {
    /// CPU a request, with the probe's thread running ÷ held.
    var ratios = Series()
    /// What the thread itself used, of all CPU, while it ran.
    var shares = Series()

    private static let length = 0.2
    private static let settling = 0.02

    /// Loads one service and measures `pairs` pairs of windows.
    mutating func measure(_ program: String, pairs: Int) {
        let server = Server(program, port: 18092, isProbed: true)
        defer { server.stop() }
        let seconds = Int(Double(2 * pairs) * (Self.length + Self.settling) * 1.1) + 4
        let wrk = spawn(
            ["wrk", "-t1", "-c16", "-d\(seconds)s", "http://127.0.0.1:\(server.port)/orders"],
            output: open("/dev/null", O_WRONLY | O_CLOEXEC))
        defer {
            kill(wrk, SIGKILL)
            waitpid(wrk, nil, 0)
        }
        pause(seconds: 2)
        for pair in 0..<pairs {
            // Whoever is second finds another machine, so they take turns in that, too.
            let first = window(server, isHeld: pair % 2 == 0)
            let second = window(server, isHeld: pair % 2 != 0)
            let (held, free) = pair % 2 == 0 ? (first, second) : (second, first)
            ratios.append(free.cpuPerByte / held.cpuPerByte)
            shares.append(free.share)
        }
    }

    private func window(_ server: Server, isHeld: Bool) -> (cpuPerByte: Double, share: Double) {
        if isHeld { server.holdWatchdog() }
        defer { if isHeld { server.releaseWatchdog() } }
        pause(seconds: Self.settling)
        let before = (server.cpuSeconds, server.bytesWritten, server.watchdogSeconds)
        pause(seconds: Self.length)
        let cpu = server.cpuSeconds - before.0
        let bytes = server.bytesWritten - before.1
        guard bytes > 0 else {
            print("ServiceOverhead: the service answered nothing for \(Self.length) s")
            exit(3)
        }
        return (cpu / bytes, (server.watchdogSeconds - before.2) / cpu)
    }
}

extension Server {
    func holdWatchdog() { demand(hold_thread(watchdog ?? 0) == 0, "cannot hold the probe's thread") }
    func releaseWatchdog() { demand(release_thread(watchdog ?? 0) == 0, "cannot let the probe's thread go") }

    /// To sockets and files, since it began.
    var bytesWritten: Double { procField("wchar", "/proc/\(pid)/io") ?? 0 }

    private func demand(_ isDone: Bool, _ complaint: String) {
        guard !isDone else { return }
        print("ServiceOverhead: \(complaint) (errno \(errno))")
        exit(3)
    }
}
