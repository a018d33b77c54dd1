import ArgumentParser
import NightjarAgent
import NightjarDetectors
import NightjarModel

struct SilenceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "silence", abstract: "Mutes an alert for a time, or says up to where it is no leak.",
        discussion: """
            nightjar silence 3f09a1c2 --for 4h --because "load test"
            nightjar silence 3f09a1c2 --up-to 2G --because "this cache may hold 2 GiB"
            nightjar silence --list
            nightjar silence --end ID

            A silence always has an end: a time, a bound, or both. It survives a restart of the agent.
            """)

    @Argument(help: "id of the alert")
    var id: String?

    @Option(name: .customLong("for"), help: "how long, such as 4h or 2d")
    var span: String?

    @Option(name: .customLong("up-to"), help: "no leak while it holds less than this, such as 2G")
    var bound: String?

    @Option(name: .customLong("because"), help: "why; others will read it")
    var reason: String = ""

    @Flag(help: "what is silenced now")
    var list = false

    @Option(help: "ends the silence of this id")
    var end: String?

    @OptionGroup var agent: AgentOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        let chosen = [id != nil, list, end != nil].filter { $0 }.count
        guard chosen == 1 else { throw ValidationError("give the id of an alert, or --list, or --end ID") }
        guard id != nil else { return }
        guard span != nil || bound != nil else {
            throw ValidationError("a silence needs an end: --for 4h, or --up-to 2G")
        }
        if let span, SettingText.duration(span) == nil {
            throw ValidationError("--for takes a span such as 30min, 4h or 2d, not '\(span)'")
        }
        if let bound, SettingText.bytes(bound) == nil {
            throw ValidationError("--up-to takes a size such as 512M or 2G, not '\(bound)'")
        }
    }

    func run() throws {
        if list { return say(try agent.get("/api/v1/silences?\(output.query)")) }
        if let end {
            return say(try agent.get("/api/v1/silences/\(APIRequest.escaped(end))", method: "DELETE"))
        }
        var query = "because=\(APIRequest.escaped(reason))"
        if let span { query += "&for=\(APIRequest.escaped(span))" }
        if let bound { query += "&up-to=\(APIRequest.escaped(bound))" }
        say(try agent.get("/api/v1/alerts/\(APIRequest.escaped(id ?? ""))/silence?\(query)", method: "POST"))
    }
}
