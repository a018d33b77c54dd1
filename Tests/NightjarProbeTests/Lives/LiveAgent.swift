import Foundation
import NightjarAgent
import NightjarTestKit

/// A real `nightjard` with sockets and state in a folder of its own, asked through `nightjar` as a user would.
final class LiveAgent {
    let folder: URL
    private var process: Process?
    private let nightjar = Program("nightjar")

    var probeSocket: String { folder.appending(path: "run/probe.sock").path }
    var apiSocket: String { folder.appending(path: "run/api.sock").path }

    init() throws {
        folder = URL(filePath: "/tmp/nightjar-lives-\(getpid())-\(UInt32.random(in: 0...(.max)))")
        for name in ["run", "state", "logs"] {
            try FileManager.default.createDirectory(
                at: folder.appending(path: name), withIntermediateDirectories: true)
        }
        let configuration = "[HTTP]\nSocket=\(apiSocket)\n[Probe]\nSocket=\(probeSocket)\n"
        try configuration.write(
            to: folder.appending(path: "nightjar.conf"), atomically: true, encoding: .utf8)
        try start()
    }

    deinit {
        end(with: SIGKILL)
        try? FileManager.default.removeItem(at: folder)
    }

    /// Starts it, and waits until it answers.
    func start() throws {
        process = try Program("nightjard").start(
            ["--config", folder.appending(path: "nightjar.conf").path],
            environment: [
                "RUNTIME_DIRECTORY": folder.appending(path: "run").path,
                "STATE_DIRECTORY": folder.appending(path: "state").path,
                "LOGS_DIRECTORY": folder.appending(path: "logs").path,
            ], log: folder.appending(path: "agent.log"))
        _ = eventually(within: .seconds(60)) { (try? ask("alerts", "--all").status) == 0 }
    }

    /// Sends it a signal and waits for its end.
    func end(with signal: Int32) {
        guard let process, process.isRunning else { return }
        kill(process.processIdentifier, signal)
        process.waitUntilExit()
    }

    /// `nightjar WORDS… --socket …`
    func ask(_ words: String...) throws -> Program.Outcome { try nightjar.run(words + ["--socket", apiSocket]) }

    /// What the service's probe answers to the agent's question for all stacks, over HTTP; empty where nothing came within a
    /// minute.
    func stacks(of pid: Int32, _ query: String = "") -> String {
        let client = AgentClient(socket: apiSocket)
        let path = "/api/v1/stacks?pid=\(pid)\(query)"
        var answer = ""
        // The probe answers five times a second at most, so a question may have to be asked again.
        _ = eventually(within: .seconds(60)) {
            guard (try? client.get(path + "&ask=1")) != nil else { return false }
            return eventually(within: .seconds(2)) {
                answer = (try? client.get(path)).map { String(decoding: $0, as: UTF8.self) } ?? ""
                return !answer.isEmpty
            }
        }
        return answer
    }

    /// Asks until the answer holds all of `parts`, for a minute at most; the last answer.
    func ask(_ words: String..., until parts: [String]) throws -> String {
        var last = ""
        _ = try eventually(within: .seconds(60)) {
            // An agent that is asked without a pause does little else.
            Thread.sleep(forTimeInterval: 0.2)
            let outcome = try nightjar.run(words + ["--socket", apiSocket])
            // Sentences are broken between words where a line is full.
            last = (outcome.output + outcome.errors).split(whereSeparator: \.isWhitespace).joined(separator: " ")
            return parts.allSatisfy(last.contains)
        }
        return last
    }
}
