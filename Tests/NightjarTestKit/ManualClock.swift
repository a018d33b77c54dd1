public import NightjarModel

/// A clock that moves only when it is told to.
public struct ManualClock: Sendable {
    public private(set) var now: Moment

    public init(_ start: Moment = Moment(seconds: 1_700_000_000)) { now = start }

    public mutating func advance(by duration: Duration) { now = now + duration }

    /// Advances, and answers the new time.
    public mutating func tick(_ duration: Duration = .seconds(1)) -> Moment {
        advance(by: duration)
        return now
    }
}
