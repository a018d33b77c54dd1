// `/proc/PID/cgroup`: one line a tree. With v2 there is one, `0::/path`. With v1 there is one a controller, and systemd's
// own names are in the tree `name=systemd`; where both exist, memory may still be counted in v1.

/// What the lines of `/proc/PID/cgroup` say.
struct CgroupMembership {
    private(set) var unified: String?
    private(set) var memory: String?
    private(set) var systemd: String?

    init(_ bytes: borrowing ByteSpan) {
        var start = 0
        while start < bytes.count {
            var end = start
            while end < bytes.count, bytes[end] != newline { end += 1 }
            take(bytes, start..<end)
            start = end + 1
        }
    }

    /// `4:memory:/system.slice/x.service`: number, controllers, path; the path may hold colons.
    private mutating func take(_ bytes: borrowing ByteSpan, _ line: Range<Int>) {
        guard let first = colon(bytes, line), let second = colon(bytes, first + 1..<line.upperBound) else { return }
        let path = text(bytes, second + 1..<line.upperBound)
        guard path.hasPrefix("/") else { return }
        let controllers = text(bytes, first + 1..<second)
        if controllers.isEmpty {
            unified = path
        } else if controllers == "name=systemd" {
            systemd = path
        } else if controllers.split(separator: ",").contains("memory") {
            memory = path
        }
    }

    private func colon(_ bytes: borrowing ByteSpan, _ range: Range<Int>) -> Int? {
        for position in range where bytes[position] == UInt8(ascii: ":") { return position }
        return nil
    }

    private func text(_ bytes: borrowing ByteSpan, _ range: Range<Int>) -> String {
        printable(range.map { bytes[$0] })
    }

    /// The path in the tree that counts memory.
    var memoryPath: String? { memory ?? unified }

    /// systemd's own tree first; where it says nothing, the one that a container runtime has written to.
    var place: UnitPlace {
        let places = [systemd, unified, memory].compactMap(\.self).map { UnitPlace(cgroup: $0) }
        return places.first { $0.kind != .none && $0.kind != .slice } ?? places.first { $0.kind != .none }
            ?? UnitPlace()
    }
}
