import NightjarModel

/// At most `count` in any `span`, and how many more were asked for. Remembers `count` moments.
struct RateLimit: Sendable {
    let count: Int
    let span: Duration
    private var granted: [Moment] = []
    /// Refused since this was last taken.
    private(set) var refused: Int64 = 0

    init(_ count: Int, per span: Duration) {
        self.count = max(count, 1)
        self.span = span
    }

    mutating func admits(at now: Moment) -> Bool {
        granted.removeAll { now - $0 >= span || $0 > now }
        guard granted.count < count else {
            refused += 1
            return false
        }
        granted.append(now)
        return true
    }

    /// How many were refused, once there is room to say so.
    mutating func takeRefused(at now: Moment) -> Int64 {
        guard refused > 0 else { return 0 }
        granted.removeAll { now - $0 >= span || $0 > now }
        guard granted.count < count else { return 0 }
        defer { refused = 0 }
        return refused
    }
}
