// A small service with a probe that does what a test tells it, a line at a time, and answers with a line:
//
//     hold       a job on the queue "requests" that reads from a pipe until "release"
//     release    lets it go on
//     fork       a child that says what it sees of the probe, and stays until "reap"
//     reap
//     exec       becomes the same program anew, under the same pid
//     crash      ends by abort()
//     closeall   closes all descriptors but its own three, as closefrom(3) does, and opens sockets in their place
//     look       says what became of those
//
// Nothing here goes by the clock: a stall lasts until the test has seen what it wanted to see.

import Dispatch
import Foundation
import NightjarProbe

@main enum Service {
    /// Sockets that were there before the probe.
    static let inherited = probeDescriptors()
    static let probe = Probe.start(service: CommandLine.arguments.dropFirst().first ?? "service")
    static let requests = DispatchQueue(label: "requests")
    /// The gate that the job on `requests` waits at. Only the thread of commands touches it, and the list of children.
    nonisolated(unsafe) static var held: (reading: Int32, writing: Int32) = (-1, -1)
    nonisolated(unsafe) static var children: [(pid: Int32, gate: Int32)] = []
    nonisolated(unsafe) static var opened: [Int32] = []

    static func main() {
        _ = inherited
        probe.watch(requests)
        Thread.detachNewThread {
            say("ready \(getpid())")
            while let line = readLine() { obey(line) }
            exit(0)
        }
        dispatchMain()
    }

    private static func obey(_ command: String) {
        switch command {
        case "hold": hold()
        case "release": _ = write(held.writing, "x", 1)
        case "fork": forkChild()
        case "reap": reap()
        case "exec":
            var words = CommandLine.arguments.map { strdup($0) } + [nil]
            execv("/proc/self/exe", &words)
            say("cannot exec: \(errno)")
        case "crash": abort()
        case "closeall": closeAll()
        case "look": look()
        default: say("what is '\(command)'?")
        }
    }

    private static func hold() {
        let gate = makePipe()
        held = gate
        requests.async {
            say("held")
            let answer = Receipts.load(from: gate.reading)
            close(gate.reading)
            close(gate.writing)
            say(answer > 0 ? "released" : "cut short")
        }
    }

    private static func forkChild() {
        let gate = makePipe()
        let child = plainFork()
        if child == 0 {
            close(gate.writing)
            // The probe may be called as in the parent; nothing may come of it, and nothing may wait.
            probe.watch(name: "in the child") { $0() }
            let worked = probe.withKnownLongWork { 7 }
            say(
                "child \(getpid()) threads \(count("/proc/self/task")) running \(probe.isRunning) "
                    + "descriptors \(probeDescriptors() - inherited) worked \(worked)")
            var byte: UInt8 = 0
            _ = read(gate.reading, &byte, 1)
            _exit(0)
        }
        close(gate.reading)
        children.append((child, gate.writing))
    }

    private static func closeAll() {
        for number in 3..<Int32(256) { close(number) }
        for _ in 0..<100 {
            var ends: [Int32] = [-1, -1]
            if socketpair(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue), 0, &ends) == 0 { opened += ends }
        }
        // What comes from one end must arrive at the other, and nothing else.
        for end in opened.indices where end % 2 == 0 { _ = write(opened[end], "own", 3) }
        say("closed")
    }

    private static func look() {
        var (whole, lost, foreign) = (0, 0, 0)
        for end in opened.indices {
            var bytes = [UInt8](repeating: 0, count: 65_536)
            while true {
                let got = recv(opened[end], &bytes, bytes.count, Int32(MSG_DONTWAIT))
                if got < 0, errno != EAGAIN { lost += 1 }
                if got <= 0 { break }
                if got == 3, end % 2 == 1 { whole += 1 } else { foreign += 1 }
            }
        }
        say("sockets \(opened.count) whole \(whole) lost \(lost) foreign \(foreign)")
    }

    private static func reap() {
        for child in children {
            close(child.gate)
            var status: Int32 = 0
            waitpid(child.pid, &status, 0)
            say("reaped \(child.pid) status \(status)")
        }
        children = []
    }
}

/// The function to be blamed: it reads what nobody has written yet.
enum Receipts {
    @inline(never) static func load(from descriptor: Int32) -> UInt8 {
        var byte: UInt8 = 0
        while true {
            let count = read(descriptor, &byte, 1)
            if count == 1 { return byte &+ 1 }
            // The Swift runtime holds all threads by a signal while it prints the stack of a crash.
            guard count < 0, errno == EINTR else { return 0 }
        }
    }
}

@_silgen_name("fork") func plainFork() -> Int32

func say(_ line: String) {
    let bytes = Array((line + "\n").utf8)
    _ = write(1, bytes, bytes.count)
}

func makePipe() -> (reading: Int32, writing: Int32) {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else { fatalError("no pipe") }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    return (ends[0], ends[1])
}

func count(_ folder: String, where isCounted: (String) -> Bool = { !$0.hasPrefix(".") }) -> Int {
    guard let stream = opendir(folder) else { return -1 }
    defer { closedir(stream) }
    var count = 0
    while let entry = readdir(stream) {
        let name = withUnsafeBytes(of: entry.pointee.d_name) { raw in
            String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
        }
        if isCounted(name) { count += 1 }
    }
    return count
}

/// Descriptors of the probe's page or of a socket.
func probeDescriptors() -> Int {
    count("/proc/self/fd") { name in
        var buffer = [CChar](repeating: 0, count: 256)
        let length = readlink("/proc/self/fd/\(name)", &buffer, buffer.count)
        guard length > 0 else { return false }
        let target = String(decoding: buffer.prefix(length).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return target.hasPrefix("socket:") || target.contains("nightjar-probe")
    }
}
