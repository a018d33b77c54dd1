// A sink tells somebody of an alert. Whatever may wait — a daemon, a mail program, a terminal — waits on a thread of the
// sink's own behind a bounded queue, so that `deliver` returns at once and a sampling round is never late because of it.
// What does not fit is counted, and said by the sink itself once it can speak again.

public import NightjarModel

/// A place that alerts are told to.
public protocol Sink: AnyObject, Sendable {
    /// `journald`, `mail`: as configuration, logs and metrics call it.
    var name: String { get }
    /// Hands one piece of news over. Never waits.
    func deliver(_ action: AlertAction, at now: Moment) -> Delivery
    /// Once a round: what was held back is said, what could not be sent is tried again. Never waits.
    func tick(at now: Moment)
    /// Sends a real test message and waits until it arrived or failed, at most its own time limit.
    func prove(at now: Moment) -> Proof
    var counters: SinkCounters { get }
    /// Sends what is queued, for at most `limit`; what is then left is counted as overflowed.
    func finish(within limit: Duration)
}

extension Sink {
    /// Most sinks have nothing to do between messages.
    public func tick(at now: Moment) {}
}

/// What became of one piece of news.
public enum Delivery: Hashable, Sendable {
    /// Handed to the sink's worker; `counters` tell how it ended.
    case queued
    /// Beyond the messages that the sink sends in its span; counted, and said later.
    case heldBack
    /// Below the severity from which this sink tells.
    case notWanted
    /// The queue is full: the sink hangs.
    case overflowed
}

/// The answer to "does it work?", one line for a person.
public enum Proof: Hashable, Sendable {
    case proved(String)
    case failed(String)
}

/// What a sink did since the agent began.
public struct SinkCounters: Hashable, Sendable {
    public var delivered: Int64 = 0
    public var failed: Int64 = 0
    public var heldBack: Int64 = 0
    public var overflowed: Int64 = 0
    /// Queued and not yet sent.
    public var waiting: Int64 = 0
    public var lastError: SinkError?

    public init() {}
}

/// Why a message did not arrive.
public struct SinkError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What kind of failure it is, for metrics.
    public enum Code: String, Hashable, Sendable {
        /// The other side is not there, or refuses.
        case away
        /// It took longer than its time limit.
        case late
        /// It ended with an error of its own.
        case refused
        /// It cannot even be started.
        case cannotStart
    }

    public var code: Code
    /// The program or socket.
    public var about: String
    public var detail: String

    public init(_ code: Code, _ about: String, _ detail: String) {
        self.code = code
        self.about = about
        self.detail = detail
    }

    public var description: String { "\(about): \(detail)" }
}

extension AlertAction {
    public var alert: Alert {
        switch self {
        case .open(let alert), .update(let alert), .resolve(let alert): alert
        }
    }

    /// The word of NIGHTJAR_STATE and of a hook's first argument.
    public var word: String {
        switch self {
        case .open: "firing"
        case .update: "worse"
        case .resolve: "resolved"
        }
    }
}
