import Glibc
public import NightjarModel
import Synchronization

/// Alerts → a terminal or a pipe, as blocks: `nightjard` in the foreground, the demo.
///
/// A terminal that is stopped (Ctrl-S) or a pipe that nobody reads holds up the worker, not the agent.
public final class TerminalSink: Sink {
    public let name = "terminal"

    private let descriptor: Int32
    private let block: TerminalBlock?
    private let severity: Severity
    private let state = Mutex(SinkCounters())
    private let worker = Worker(name: "nj-terminal", limit: 64)

    /// `block` nil asks the terminal for width and colour anew at each alert, since windows are resized.
    public init(descriptor: Int32 = 1, block: TerminalBlock? = nil, from severity: Severity = .info) {
        self.descriptor = descriptor
        self.block = block
        self.severity = severity
    }

    /// Hands the news to the worker that speaks to the terminal.
    public func deliver(_ action: AlertAction, at now: Moment) -> Delivery {
        guard action.alert.worst >= severity else { return .notWanted }
        let isQueued = worker.submit { [self] in
            let text = style.text(action.alert, at: now)
            let error = write(text + "\n")
            state.withLock { counters in
                if let error {
                    counters.failed += 1
                    counters.lastError = error
                } else {
                    counters.delivered += 1
                }
            }
        }
        guard isQueued else {
            state.withLock { $0.overflowed += 1 }
            return .overflowed
        }
        return .queued
    }

    /// A test message to the terminal, and what came of it.
    public func prove(at now: Moment) -> Proof {
        if let error = write("nightjar: test message\n") { return .failed("terminal: \(error.detail)") }
        return .proved("the terminal took a test message")
    }

    public var counters: SinkCounters {
        var counters = state.withLock { $0 }
        counters.waiting = Int64(worker.waiting)
        return counters
    }

    /// Sends what waits, at most `limit`, and takes nothing more.
    public func finish(within limit: Duration) {
        let waiting = worker.waiting
        if !worker.finish(within: limit) { state.withLock { $0.overflowed += Int64(waiting) } }
    }

    private var style: TerminalBlock {
        block
            ?? TerminalBlock(
                width: TerminalBlock.width(of: descriptor), colour: TerminalBlock.wantsColour(descriptor: descriptor))
    }

    private func write(_ text: String) -> SinkError? {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let written = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if written > 0 {
                bytes = bytes.dropFirst(written)
            } else if errno != EINTR {
                return SinkError(.refused, "terminal", String(cString: strerror(errno)))
            }
        }
        return nil
    }
}
