import Foundation
import NightjarTestKit
import Synchronization

/// `nightjar-test-service`, started, told what to do, and heard.
final class LiveService {
    private let process = Process()
    private let commands = Pipe()
    private let answers = Answers()
    private let complaints = Answers()
    private(set) var pid: Int32 = 0

    /// Starts it as `name`, with its probe looking for an agent at `socket`.
    init(_ name: String, socket: String) throws {
        process.executableURL = Program("nightjar-test-service").path
        process.arguments = [name]
        process.environment = ProcessInfo.processInfo.environment.merging(["NIGHTJAR_SOCKET": socket]) { $1 }
        let output = Pipe()
        process.standardInput = commands
        process.standardOutput = output
        let complaining = Pipe()
        process.standardError = complaining
        complaints.read(complaining.fileHandleForReading)
        // Who writes to one that has ended must not end as well.
        Foundation.signal(SIGPIPE, SIG_IGN)
        answers.read(output.fileHandleForReading)
        try process.run()
        pid = process.processIdentifier
    }

    deinit { end() }

    /// kill -9, and waits for it.
    func end() {
        if process.isRunning { kill(pid, SIGKILL) }
        process.waitUntilExit()
    }

    func tell(_ command: String) { try? commands.fileHandleForWriting.write(contentsOf: Data((command + "\n").utf8)) }

    /// The first line that begins so, which is not given out again; nil where none came within a minute.
    func answer(_ beginning: String) -> String? { first(beginning, of: answers) }

    /// The same of what it wrote to standard error.
    func complaint(_ beginning: String) -> String? { first(beginning, of: complaints) }

    private func first(_ beginning: String, of lines: Answers) -> String? {
        var found: String?
        _ = eventually(within: .seconds(60)) {
            found = lines.take(beginning)
            return found != nil
        }
        return found
    }

    var isAlive: Bool { process.isRunning }

    /// How it ended: the signal, or nil where it ended by itself.
    var signal: Int32? {
        process.waitUntilExit()
        return process.terminationReason == .uncaughtSignal ? process.terminationStatus : nil
    }
}

/// Lines as they come, read on a thread of their own.
private final class Answers: Sendable {
    private let lines = Mutex<[String]>([])

    func read(_ handle: FileHandle) {
        Thread.detachNewThread { [self] in
            var rest = ""
            while true {
                let data = handle.availableData
                if data.isEmpty { return }
                rest += String(decoding: data, as: UTF8.self)
                let parts = rest.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
                rest = parts.last ?? ""
                lines.withLock { $0 += parts.dropLast() }
            }
        }
    }

    func take(_ beginning: String) -> String? {
        lines.withLock { lines in
            lines.firstIndex { $0.hasPrefix(beginning) }.map { lines.remove(at: $0) }
        }
    }
}
