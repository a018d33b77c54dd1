// Answers are kept by query so that they need not be computed twice. Every query is a little different (a time stamp, a
// page token), so nothing is ever found again, and nothing is ever taken out.

/// What was computed for one query.
final class Profile {
    let query: Int
    let picture: [UInt8]

    init(query: Int, size: Int) {
        self.query = query
        picture = [UInt8](repeating: UInt8(truncatingIfNeeded: query), count: size)
    }
}

/// Keeps every profile that was ever asked for.
final class ProfileDirectory {
    private var profiles: [String: Profile] = [:]

    func profile(_ query: Int, size: Int) -> Profile {
        let key = "user \(query % 1_000), asked at tick \(query)"
        if let known = profiles[key] { return known }
        let profile = Profile(query: query, size: size)
        profiles[key] = profile
        return profile
    }
}

nonisolated(unsafe) let profileDirectory = ProfileDirectory()

let dictionaryCache = Incident(
    name: "dictionary-cache", story: "a dictionary keeps every answer that was ever given", detector: "HeapGrowth",
    limit: .seconds(180), mustSay: ["drill-"]
) { arguments in
    let size = max(16, arguments.value("--size").flatMap(Int.init) ?? 1_000)
    var checksum = 0
    pace(arguments) { checksum &+= profileDirectory.profile($0, size: size).picture.count }
    print("checksum \(checksum)")
}
