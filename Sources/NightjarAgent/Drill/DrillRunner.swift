import Glibc
import NightjarModel

// A drill starts an incident and waits for the running agent to name it. The agent treats processes called `drill-*`
// with shortened horizons (a built-in section, shown by `nightjar config`); everything else is the live path:
// same sources, same detectors, same alert book, same journal.

/// Starts incidents and judges the agent.
public struct DrillRunner {
    private let client: AgentClient
    private let isVerbose: Bool
    private let report: (String) -> Void

    public init(socket: String?, isVerbose: Bool, report: @escaping (String) -> Void) {
        client = AgentClient(socket: socket)
        self.isVerbose = isVerbose
        self.report = report
    }

    /// True where the agent named the incident in time, or stayed quiet where it must.
    public func run(_ incident: DrillIncident, limit: Duration) throws(DrillError) -> Bool {
        let program = try DrillIncident.program()
        let folder = try Self.temporaryFolder()
        defer { Self.remove(folder) }
        let began = try ask("/api/v1/now")
        report("\(incident.name): \(incident.story)")
        // One that must stay quiet ends by itself before the limit, and its status says how it fared.
        let seconds = incident.detector == nil ? limit.components.seconds * 9 / 10 : limit.components.seconds + 30
        let words = [incident.name, "--seconds", "\(seconds)", "--directory", folder]
        guard let child = Programs.start(program, words, isQuiet: !isVerbose) else {
            throw DrillError("cannot start '\(program)': \(String(cString: strerror(errno)))")
        }
        var hasEnded = false
        var status: Int32 = 0
        defer { if !hasEnded { Programs.stop(child) } }
        let clock = ContinuousClock()
        let start = clock.now
        while clock.now - start < limit {
            usleep(500_000)
            if let text = try alert(about: incident, since: began, child) {
                let took = (clock.now - start).spoken
                report(text)
                report(
                    incident.detector == nil
                        ? "  failed: \(incident.silentDetector ?? "it") must stay quiet"
                        : "  named after \(took) (limit \(limit.spoken))")
                return incident.detector != nil
            }
            if !hasEnded, waitpid(child, &status, WNOHANG) == child { hasEnded = true }
            if hasEnded, status != 0 {
                report(
                    "  failed: the incident itself ended early (status \(status)); run it by hand: \(program) \(incident.name)"
                )
                return false
            }
        }
        report(
            incident.detector == nil
                ? "  stayed quiet for \(limit.spoken), as it must"
                : "  failed: not named within \(limit.spoken); see nightjar doctor")
        return incident.detector == nil
    }

    private func alert(about incident: DrillIncident, since: String, _ child: pid_t) throws(DrillError) -> String? {
        var query = "since=\(since)&pid=\(child)"
        if let detector = incident.detector ?? incident.silentDetector { query += "&detector=\(detector)" }
        if !incident.mustSay.isEmpty {
            query += "&says=\(APIRequest.escaped(incident.mustSay.joined(separator: ",")))"
        } else {
            query += "&says=\(APIRequest.escaped(incident.processName))"
        }
        let text = try ask("/api/v1/alerts/match?\(query)&color=\(isatty(1))")
        return text.isEmpty ? nil : text
    }

    private func ask(_ path: String) throws(DrillError) -> String {
        do { return ConfigSyntax.trimmed(String(decoding: try client.get(path), as: UTF8.self)) } catch {
            throw DrillError(error.description)
        }
    }

    private static func temporaryFolder() throws(DrillError) -> String {
        let base = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(base)/nightjar-drill.XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw DrillError("cannot make a folder below \(base): \(String(cString: strerror(errno)))")
        }
        return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private static func remove(_ folder: String) {
        _ = Programs.output(of: "/bin/rm", ["-rf", "--", folder])
    }
}
