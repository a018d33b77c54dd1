import Glibc
import NightjarModel

// Incidents as `nightjar-incident --list` names them; that program is the only registry.

/// Why a drill cannot run.
public struct DrillError: Error, Hashable, Sendable, CustomStringConvertible {
    public var description: String

    init(_ description: String) { self.description = description }
}

/// One incident that can be started.
public struct DrillIncident: Hashable, Sendable {
    public var name: String
    /// The detector that must fire; nil: nothing may.
    public var detector: String?
    /// Where `detector` is nil: the one that must stay quiet; nil where all must.
    public var silentDetector: String?
    public var limit: Duration
    /// Words that the alert must contain.
    public var mustSay: [String]
    public var story: String

    /// The name its process goes by, at most 15 bytes: `drill-leak`.
    public var processName: String { String(decoding: "drill-\(name)".utf8.prefix(15), as: UTF8.self) }

    /// `(must stay quiet)`, or `(not LoopStall)` where others may speak.
    private var quietness: String { silentDetector.map { "(not \($0))" } ?? "(must stay quiet)" }

    /// Where the program lies: beside this one, or on PATH.
    public static func program() throws(DrillError) -> String {
        if let found = Programs.locate("nightjar-incident") { return found }
        throw DrillError("no nightjar-incident beside nightjar or on PATH; install it: packaging/install.sh")
    }

    /// All incidents of the installed program.
    public static func all() throws(DrillError) -> [DrillIncident] {
        let program = try program()
        guard let output = Programs.output(of: program, ["--list"]) else {
            throw DrillError("'\(program) --list' failed; reinstall it: packaging/install.sh")
        }
        return output.split(separator: "\n").compactMap(parse)
    }

    /// Name, detector ("-": none may fire, "-LoopStall": that one may not), limit in seconds, words separated by commas, story; separated by tabs.
    static func parse(_ line: Substring) -> DrillIncident? {
        let columns = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
        guard columns.count == 5, let limit = Int64(columns[2]) else { return nil }
        let silent = columns[1].hasPrefix("-") ? String(columns[1].dropFirst()) : nil
        return DrillIncident(
            name: columns[0], detector: silent == nil ? columns[1] : nil,
            silentDetector: silent?.isEmpty == true ? nil : silent, limit: .seconds(limit),
            mustSay: columns[3].split(separator: ",").map(String.init), story: columns[4])
    }

    /// What `nightjar drill` prints without a name; lines of at most 120 characters.
    public static func table(_ incidents: [DrillIncident]) -> String {
        var table = TextTable([
            .init("INCIDENT"), .init("NAMED BY"), .init("WITHIN"), .init("THE STORY", isFlexible: true),
        ])
        for incident in incidents {
            table.add([incident.name, incident.detector ?? incident.quietness, incident.limit.spoken, incident.story])
        }
        return table.text(width: 120, colour: false) + "\nStart one: nightjar drill NAME\n"
    }
}
