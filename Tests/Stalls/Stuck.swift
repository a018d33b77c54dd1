// A process in which every thread is taken, seen from an agent's end of the socket: how long from the question until all its
// stacks are there?

import Foundation
import NightjarSources
import NightjarSymbols
import NightjarWire

enum Stuck {
    private static let queues = 24

    /// In the child: the pool and 24 queues wait for ever, and so does the main thread.
    static func begin() {
        for _ in 0..<ProcessInfo.processInfo.activeProcessorCount * 2 { Task.detached { Planted.plantedSleep(60) } }
        for index in 0..<queues {
            DispatchQueue(label: "taken \(index)").async { Planted.plantedSemaphore(60) }
        }
        usleep(60_000_000)
    }

    /// One line, as of an injection, with the times until the pool's report and until the last stack in its last column.
    static func measure() -> Int32 {
        let folder = FileManager.default.temporaryDirectory.appending(path: "nightjar-stuck-\(getpid())")
        defer { try? FileManager.default.removeItem(at: folder) }
        let socket = folder.appending(path: "probe.sock").path(percentEncoded: false)
        let child = Process()
        child.executableURL = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
        child.arguments = ["stuck-child"]
        child.environment = ProcessInfo.processInfo.environment.merging(["NIGHTJAR_SOCKET": socket]) { _, new in new }
        do {
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            let listener = try ProbeListener(path: socket)
            try child.run()
            defer { kill(child.processIdentifier, SIGKILL) }
            return listen(listener, child.processIdentifier)
        } catch {
            print("failed\tstuck\t\(error)")
            return 1
        }
    }

    private static func listen(_ listener: ProbeListener, _ pid: Int32) -> Int32 {
        let began = now()
        var poolReport: UInt64?
        var asked: UInt64?
        var stacks: [ThreadReport] = []
        while now() - began < 20_000_000_000 {
            usleep(2_000)
            for event in listener.look(now: now()) {
                switch event {
                case .stall(let id, let report) where report.cause == .poolExhausted && asked == nil:
                    poolReport = now() - report.startedAt
                    asked = now()
                    _ = listener.askForStacks(of: id, request: 1)
                case .stacks(_, let part):
                    stacks += part.threads
                    if part.isLast, let asked, let poolReport { return tell(stacks, poolReport, now() - asked, pid) }
                default: break
                }
            }
        }
        print("stuck\tall\tmissed\t-\t-\t-\t-\t-\t-\t")
        return 1
    }

    private static func tell(_ stacks: [ThreadReport], _ pool: UInt64, _ took: UInt64, _ pid: Int32) -> Int32 {
        let symbolizer = Symbolizer(pid: pid)
        let sentences = stacks.map { StackStory([symbolizer.stack(of: $0.addresses)]).sentence }
        let named = sentences.count { $0.contains("planted") }
        let wanted = queues + ProcessInfo.processInfo.activeProcessorCount
        let isRight = named >= wanted && took < 1_000_000_000
        let said =
            "\(named) of \(stacks.count) threads named, all stacks after \(took / 1_000_000) ms, the pool told after \(pool / 1_000_000) ms"
        let name = named >= wanted ? "named" : "unnamed"
        print("stuck\tall\tdetected\t\(name)\t\(isRight ? "right" : "wrong")\t-\t-\t-\t-\t\(said)")
        return isRight ? 0 : 1
    }

    private static func now() -> UInt64 { DispatchTime.now().uptimeNanoseconds }
}
