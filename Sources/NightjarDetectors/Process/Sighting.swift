public import NightjarModel

/// What a detector sees in one sample, before it is put into words: no text, no allocation.
///
/// An `Answer` is made of it only where somebody is told; most samples of most processes are quiet.
public enum Sighting: Hashable, Sendable {
    case quiet, tooEarly
    case found(Severity)

    /// True where there is something to tell.
    @inlinable public var isFound: Bool {
        if case .found = self { true } else { false }
    }
}
