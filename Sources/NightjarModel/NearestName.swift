// The name somebody meant when they mistyped one. What is not known is answered with what is nearest to it.

extension Sequence where Element == String {
    /// The element that is fewest letters away from `name`, upper and lower case alike: at most a third of its letters,
    /// and two of a short one. Nil where none is that near; of equals the first in the alphabet. Reads 64 bytes of each;
    /// quadratic in their length: for messages, not for the sample path.
    public func nearest(to name: String) -> String? {
        let meant = name.lowercased()
        let scored = map { (letters: editDistance(meant, $0.lowercased()), name: $0) }
        let farthest = Swift.max(2, name.utf8.count / 3)
        return scored.min { $0 < $1 }.flatMap { $0.letters <= farthest ? $0.name : nil }
    }
}

/// How many bytes must be added, removed or changed to make one text of the other (Levenshtein 1966).
private func editDistance(_ a: String, _ b: String) -> Int {
    let b = Array(b.utf8.prefix(64))
    var row = Array(0...b.count)
    for (i, x) in a.utf8.prefix(64).enumerated() {
        var diagonal = row[0]
        row[0] = i + 1
        for (j, y) in b.enumerated() {
            let above = row[j + 1]
            row[j + 1] = min(above + 1, row[j] + 1, diagonal + (x == y ? 0 : 1))
            diagonal = above
        }
    }
    return row[b.count]
}
