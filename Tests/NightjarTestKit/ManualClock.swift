public import NightjarModel

/// A clock that moves only when it is told to.
public struct ManualClock: Sendable {
    /// The time that it shows.
    public private(set) var now: Moment

    /// Begins at some moment of 2023.
    public init(_ start: Moment = Moment(seconds: 1_700_000_000)) { now = start }

    /// Moves it.
    public mutating func advance(by duration: Duration) { now = now + duration }

    /// Advances, and answers the new time.
    public mutating func tick(_ duration: Duration = .seconds(1)) -> Moment {
        advance(by: duration)
        return now
    }
}
