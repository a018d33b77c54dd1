import Foundation
import Logging
import Testing

@testable import NightjarLogFile

@Suite("Several processes on one file") struct ManyProcessesTests {
    let scratch = Scratch()

    /// Writes `count` lines as one of several processes; ends by exit, or by SIGKILL once all is flushed.
    static func write(_ path: String, process: Int, count: Int, packed: Bool) -> LogFile {
        let (file, logger) = makeLog(path) {
            $0.rotation.bytes = 64 << 10
            $0.retention = .init(totalBytes: 16 << 20)
            $0.flushInterval = .milliseconds(2)
            $0.compression = packed ? .gzip() : .none
            $0.errorFile = .init()
        }
        for index in 0..<count {
            logger.info("line \(process) \(index) \(String(repeating: "z", count: index % 200))")
            if index % 100 == 0 { logger.error("line \(process) \(index)") }
            if index % 50 == 0 { file.flush(within: .seconds(20)) }
        }
        file.flush(within: .seconds(20))
        return file
    }

    private func seen(_ paths: [String], level: String) -> [Int: [Int]] {
        var seen: [Int: [Int]] = [:]
        for record in records(paths) where record["level"] as? String == level {
            let words = (record["message"] as? String ?? "").split(separator: " ")
            guard words.count >= 3, let process = Int(words[1]), let index = Int(words[2]) else { continue }
            seen[process, default: []].append(index)
        }
        return seen
    }

    @Test func `two processes one log: every line of each, whole and in order, over many rotations`() async {
        async let first = #expect(processExitsWith: .success) { [path = scratch("a.log") as String] in
            ManyProcessesTests.write(path, process: 1, count: 4_000, packed: false).close(within: .seconds(20))
            exit(0)
        }
        async let second = #expect(processExitsWith: .signal(SIGKILL)) { [path = scratch("a.log") as String] in
            _ = ManyProcessesTests.write(path, process: 2, count: 4_000, packed: false)
            kill(getpid(), SIGKILL)
        }
        async let third = #expect(processExitsWith: .success) { [path = scratch("a.log") as String] in
            ManyProcessesTests.write(path, process: 3, count: 4_000, packed: false).close(within: .seconds(20))
            exit(0)
        }
        _ = await (first, second, third)
        let all = files(scratch("a.log"))
        #expect(all.count > 10)
        let infos = seen(all, level: "info")
        for process in 1...3 { #expect(infos[process] == Array(0..<4_000), "process \(process)") }
        let errors = seen(files(scratch("a-error.log")), level: "error")
        for process in 1...3 { #expect(errors[process] == Array(stride(from: 0, to: 4_000, by: 100))) }
    }

    @Test func `two processes one log: compression never takes a file that the other still writes`() async throws {
        async let first = #expect(processExitsWith: .success) { [path = scratch("a.log") as String] in
            let file = ManyProcessesTests.write(path, process: 1, count: 3_000, packed: true)
            _ = eventually { !file.core.packer.isRunning }
            file.close(within: .seconds(20))
            exit(0)
        }
        async let second = #expect(processExitsWith: .success) { [path = scratch("a.log") as String] in
            let file = ManyProcessesTests.write(path, process: 2, count: 3_000, packed: true)
            _ = eventually { !file.core.packer.isRunning }
            file.close(within: .seconds(20))
            exit(0)
        }
        _ = await (first, second)
        for name in scratch.names where name.hasPrefix("a.log.") && name.hasSuffix(".gz") {
            #expect(output("gzip", ["-d", scratch(name)]) != nil)
        }
        let infos = seen(files(scratch("a.log")), level: "info")
        for process in 1...2 { #expect(infos[process] == Array(0..<3_000), "process \(process)") }
    }
}
