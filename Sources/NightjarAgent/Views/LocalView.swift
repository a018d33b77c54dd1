import Glibc
import NightjarModel
import NightjarSources

// What commands show where no agent runs: the same sources read twice, the same tables.

/// Views without an agent.
public enum LocalView {
    /// Two readings a second apart, then rows; growth and verdicts need an agent.
    public static func processes(_ request: APIRequest) throws(AgentError) -> String {
        let observatory: Observatory
        do { observatory = try Observatory(roots: Roots("/"), config: Config()) } catch { throw AgentError("\(error)") }
        let clock = SteadyClock()
        _ = observatory.round(at: clock.now)
        sleep(.seconds(1))
        _ = observatory.round(at: clock.now)
        let rows = ProcessQuery(request).select(observatory.rows(alerts: []))
        if request.query["format"] == "json" { return ProcessTable.json(rows).text + "\n" }
        let width = request.query["width"].flatMap { Int($0) } ?? 120
        return ProcessTable.text(rows, width: width, colour: request.query["color"] == "1")
    }

    static func sleep(_ span: Duration) {
        usleep(UInt32(clamping: span.nanosecondCount / 1_000))
    }
}
