import ArgumentParser
@preconcurrency import Glibc
import NightjarAgent
import NightjarModel
import NightjarSinks

// What every command shares: where the agent is, how the answer is printed, how a refusal is said.

/// `table` for people, `json` for programs.
enum Format: String, ExpressibleByArgument, CaseIterable {
    case table, json
}

/// Whether to colour.
enum Colour: String, ExpressibleByArgument, CaseIterable {
    case auto, always, never
}

/// It cannot be done: one line with what and what to do, exit status 3.
struct Cannot: Error, CustomStringConvertible {
    var description: String

    init(_ description: String) { self.description = description }
}

/// Options of commands that print data.
struct OutputOptions: ParsableArguments {
    @Option(help: "table for people, json for programs")
    var format: Format = .table

    @Option(help: "auto, always or never; auto also heeds NO_COLOR")
    var color: Colour = .auto

    var isColoured: Bool {
        switch color {
        case .always: true
        case .never: false
        case .auto: TerminalBlock.wantsColour(descriptor: 1)
        }
    }

    /// Columns of the terminal, or 120 where the output is no terminal.
    var width: Int { isatty(1) == 1 ? TerminalBlock.width(of: 1) : 120 }

    /// The query that tells the agent how to print.
    var query: String { "format=\(format.rawValue)&width=\(width)&color=\(isColoured ? 1 : 0)" }
}

/// Options of commands that talk to the agent.
struct AgentOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("the agent's socket", discussion: "Default: /run/nightjar/api.sock, then your own agent's."))
    var socket: String?

    var client: AgentClient { AgentClient(socket: socket) }

    /// What the agent answers, or, where no agent runs and none was named, what can be said without one.
    func get(_ path: String, otherwise local: () throws -> String) throws -> String {
        do { return String(decoding: try client.get(path), as: UTF8.self) } catch {
            guard error.isAbsent, socket == nil else { throw Cannot(error.description) }
        }
        do { return try local() } catch { throw Cannot("\(error)") }
    }

    /// What the agent answers, as text; its refusal as ours.
    func get(_ path: String, method: String = "GET") throws -> String {
        do { return String(decoding: try client.get(path, method: method), as: UTF8.self) } catch {
            throw Cannot(error.description)
        }
    }
}

/// Prints without a newline of its own.
func say(_ text: String) {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
        let count = bytes.withUnsafeBytes { write(1, $0.baseAddress, $0.count) }
        if count < 0, errno == EINTR { continue }
        if count <= 0 { exit(errno == EPIPE ? 0 : 3) }
        bytes = bytes.dropFirst(count)
    }
}

/// One line on standard error.
func warn(_ text: String) { fputs("nightjar: \(text)\n", stderr) }

/// A whole file, for commands that are handed one.
func contents(of path: String) throws -> [UInt8] {
    let descriptor = path == "-" ? 0 : open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
        throw Cannot("cannot read '\(path)': \(String(cString: strerror(errno)))")
    }
    defer { if descriptor > 0 { close(descriptor) } }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 18)
    while true {
        let count = read(descriptor, &chunk, chunk.count)
        if count < 0, errno == EINTR { continue }
        guard count >= 0 else { throw Cannot("cannot read '\(path)': \(String(cString: strerror(errno)))") }
        if count == 0 { return bytes }
        bytes += chunk.prefix(count)
    }
}

/// File name without folder and suffix: a trace's name.
func stem(of path: String) -> String {
    let file = path.split(separator: "/").last.map(String.init) ?? path
    guard let dot = file.lastIndex(of: "."), dot != file.startIndex else { return file }
    return String(file[..<dot])
}
