import ArgumentParser
@preconcurrency import Glibc
import NightjarAgent
import NightjarModel

struct Top: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "A live view: what fires, what grows, who uses what.",
        discussion: """
            Keys: m memory, g growth, c CPU, d descriptors, t threads, n name; / filter; space pauses; q ends.
            Not on a terminal it prints once and ends.
            """)

    @Option(name: .shortAndLong, help: "memory, growth, cpu, descriptors, threads or name")
    var sort: SortKey = .memory

    @Option(help: "seconds between pictures")
    var interval = 1.0

    @OptionGroup var agent: AgentOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard (0.1...3600).contains(interval) else { throw ValidationError("--interval must be 0.1 to 3600 seconds") }
    }

    func run() throws {
        guard isatty(1) == 1, isatty(0) == 1 else {
            return say(try agent.get("/api/v1/top?\(output.query)&sort=\(sort.rawValue)&rows=40"))
        }
        var screen = TopScreen(
            client: agent.client, sort: sort.rawValue, interval: interval, isColoured: output.isColoured)
        do { try screen.run() } catch { throw Cannot("\(error)") }
    }
}

/// The screen of `nightjar top`: raw keys in, one picture a second out, the terminal as it was afterwards.
private struct TopScreen {
    let client: AgentClient
    var sort: String
    let interval: Double
    let isColoured: Bool

    private var filter = ""
    private var isTyping = false
    private var isPaused = false
    private var last = ""

    init(client: AgentClient, sort: String, interval: Double, isColoured: Bool) {
        self.client = client
        self.sort = sort
        self.interval = interval
        self.isColoured = isColoured
    }

    mutating func run() throws(ClientError) {
        var saved = termios()
        tcgetattr(0, &saved)
        var raw = saved
        raw.c_lflag &= ~tcflag_t(ICANON | ECHO)
        tcsetattr(0, TCSANOW, &raw)
        // The alternate screen, without a cursor.
        say("\u{1B}[?1049h\u{1B}[?25l")
        defer {
            say("\u{1B}[?25h\u{1B}[?1049l")
            tcsetattr(0, TCSANOW, &saved)
        }
        while true {
            if !isPaused { last = try picture() }
            draw()
            if try waitForKey() { return }
        }
    }

    private func size() -> (rows: Int, columns: Int) {
        var window = winsize()
        guard ioctl(1, UInt(TIOCGWINSZ), &window) == 0, window.ws_row > 0 else { return (24, 80) }
        return (Int(window.ws_row), Int(window.ws_col))
    }

    private func picture() throws(ClientError) -> String {
        let (rows, columns) = size()
        let match = filter.isEmpty ? "" : "&match=\(APIRequest.escaped("*\(filter)*"))"
        let query = "format=table&width=\(columns)&color=\(isColoured ? 1 : 0)&sort=\(sort)&rows=\(rows - 1)\(match)"
        return String(decoding: try client.get("/api/v1/top?\(query)"), as: UTF8.self)
    }

    /// Overwrites line by line, so that nothing flickers.
    private func draw() {
        let (rows, _) = size()
        var lines = last.split(separator: "\n", omittingEmptySubsequences: false).prefix(rows - 1).map {
            "\($0)\u{1B}[K"
        }
        while lines.count < rows - 1 { lines.append("\u{1B}[K") }
        let help =
            isTyping
            ? "filter: \(filter)_" : "m g c d t n sort   / filter   space \(isPaused ? "go on" : "pause")   q quit"
        let shown = filter.isEmpty || isTyping ? help : "filter: \(filter)   " + help
        say("\u{1B}[H" + lines.joined(separator: "\r\n") + "\r\n\u{1B}[2m\(shown)\u{1B}[0m\u{1B}[K")
    }

    /// True where it is time to end.
    private mutating func waitForKey() throws(ClientError) -> Bool {
        var poll = pollfd(fd: 0, events: Int16(POLLIN), revents: 0)
        let ready = Glibc.poll(&poll, 1, Int32(interval * 1000))
        if ready < 0 { return errno != EINTR }
        guard ready > 0 else { return false }
        var bytes = [UInt8](repeating: 0, count: 64)
        let count = read(0, &bytes, bytes.count)
        guard count > 0 else { return true }
        // A function key arrives as one escape sequence; none of them means anything here.
        if bytes[0] == 27, count > 1 { return false }
        for byte in bytes.prefix(count) where press(byte) { return true }
        return false
    }

    private mutating func press(_ byte: UInt8) -> Bool {
        if isTyping {
            switch byte {
            case 10, 13: isTyping = false
            case 27:
                isTyping = false
                filter = ""
            case 8, 127: if !filter.isEmpty { filter.removeLast() }
            case 32...126: if filter.count < 40 { filter.unicodeScalars.append(Unicode.Scalar(byte)) }
            default: break
            }
            return false
        }
        let sorts: [UInt8: String] = [
            109: "memory", 103: "growth", 99: "cpu", 100: "descriptors", 116: "threads", 110: "name",
        ]
        if let chosen = sorts[byte] { sort = chosen }
        switch byte {
        case UInt8(ascii: "/"): isTyping = true
        case UInt8(ascii: " "): isPaused.toggle()
        case UInt8(ascii: "q"), 3, 4: return true
        default: break
        }
        return false
    }
}
