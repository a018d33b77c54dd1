// An agent that is killed, one that is hostile, and a service that is killed while it hangs: the service lives on and finds
// the next agent by itself, and the agent reads from the page what the service had been doing.

import Foundation
import Glibc
import NightjarSources
import NightjarWire

enum Lives {
    /// The probe tries again after five seconds.
    private static let patience: UInt64 = 15_000_000_000

    /// In the child: its main queue serves, and hangs once the file `hang` lies in its folder.
    static func begin(_ folder: String) {
        while access(folder + "/hang", F_OK) != 0 { usleep(20_000) }
        DispatchQueue.main.async { Planted.plantedSleep(60) }
        usleep(60_000_000)
    }

    static func measure() -> Int32 {
        let folder = FileManager.default.temporaryDirectory.appending(path: "nightjar-lives-\(getpid())")
        defer { try? FileManager.default.removeItem(at: folder) }
        let socket = folder.appending(path: "probe.sock").path(percentEncoded: false)
        let child = Process()
        child.executableURL = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
        child.arguments = ["lives-child", folder.path(percentEncoded: false)]
        child.environment = ProcessInfo.processInfo.environment.merging(["NIGHTJAR_SOCKET": socket]) { _, new in new }
        do {
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            return try live(child, socket, folder.appending(path: "hang"))
        } catch {
            print("failed\tlives\t\(error)")
            return 1
        }
    }

    private static func live(_ child: Process, _ socket: String, _ hang: URL) throws -> Int32 {
        var failures: Int32 = 0
        func check(_ name: String, _ isRight: Bool) {
            print("lives\t\(name)\t\(isRight ? "detected\tnamed\tright" : "missed\t-\t-")\t-\t-\t-\t-\t")
            if !isRight { failures += 1 }
        }
        var agent: ProbeListener? = try ProbeListener(path: socket)
        try child.run()
        defer { kill(child.processIdentifier, SIGKILL) }
        check("joins", event(agent) { if case .joined = $0 { true } else { false } })
        // Without a goodbye, as kill -9 leaves it: the descriptors are closed, no word is said.
        agent = nil
        try hostileAgent(socket)
        check("outlives a hostile agent", kill(child.processIdentifier, 0) == 0)
        agent = try ProbeListener(path: socket)
        check("finds the next agent", event(agent) { if case .joined = $0 { true } else { false } })
        _ = FileManager.default.createFile(atPath: hang.path(percentEncoded: false), contents: nil)
        check("tells while it hangs", event(agent) { if case .stall = $0 { true } else { false } })
        kill(child.processIdentifier, SIGKILL)
        check(
            "its last page says what it did",
            event(agent) { event in
                guard case .left(_, let page?) = event else { return false }
                return page.slots.contains {
                    $0.name == "main queue" && $0.openSince != 0 && $0.openCause == .systemCall
                }
            })
        return failures == 0 ? 0 : 1
    }

    private static func event(_ listener: ProbeListener?, _ isWanted: (ProbeEvent) -> Bool) -> Bool {
        let began = now()
        while let listener, now() - began < patience {
            if listener.look(now: now()).contains(where: isWanted) { return true }
            usleep(5_000)
        }
        return false
    }

    /// Takes the probe's call and answers with 500 messages that are none, half-true or too large, and hangs up.
    private static func hostileAgent(_ path: String) throws {
        unlink(path)
        let listening = socket(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue), 0)
        defer { close(listening) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { raw in raw.copyBytes(from: Array(path.utf8) + [0]) }
        let bound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listening, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard bound == 0, listen(listening, 4) == 0 else { throw POSIXError(.EADDRINUSE) }
        var asked = pollfd(fd: listening, events: Int16(POLLIN), revents: 0)
        guard poll(&asked, 1, Int32(patience / 1_000_000)) == 1 else { throw POSIXError(.ETIMEDOUT) }
        let peer = accept(listening, nil, nil)
        defer { close(peer) }
        let welcome = Frame.welcome(Welcome(reportsPerMinute: 60)).encoded()
        let please = Frame.stacksPlease(StacksPlease(request: 7)).encoded()
        var state: UInt64 = 11
        for round in 0..<500 {
            var bytes = round % 3 == 0 ? welcome : round % 3 == 1 ? please : [UInt8](repeating: 0x4E, count: 4000)
            for _ in 0..<3 {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                bytes[Int(state >> 40) % bytes.count] = UInt8(truncatingIfNeeded: state >> 20)
            }
            _ = send(peer, bytes, bytes.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
            if round % 50 == 0 { usleep(20_000) }
        }
    }

    private static func now() -> UInt64 { DispatchTime.now().uptimeNanoseconds }
}
