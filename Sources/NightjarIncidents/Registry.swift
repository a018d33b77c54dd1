// Incidents: the stories Nightjar comes from, each a small real program that goes wrong on demand.
// `nightjar drill NAME` starts one beside the running agent and waits for the alert that names it.

/// One incident: what goes wrong, and what the agent must say of it.
struct Incident: Sendable {
    /// What people type: `leak`.
    var name: String
    /// Ends the sentence "This is what happens when …".
    var story: String
    /// The detector that must fire; nil for a healthy twin, which must stay quiet.
    var detector: String?
    /// Of a healthy twin: the one detector that must stay quiet; nil where all of them must.
    var silentDetector: String?
    /// Within this time an agent with drill settings must have named it.
    var limit: Duration
    /// Words that subject, sentence or details of the alert must contain.
    var mustSay: [String]
    /// Goes wrong for `--seconds N`, then returns.
    var run: @Sendable (Arguments) throws -> Void
}

/// What stands after the incident's name on the command line.
struct Arguments: Sendable {
    var words: [String]

    /// The word after `--name`, where there is one.
    func value(_ name: String) -> String? {
        guard let index = words.firstIndex(of: name), index + 1 < words.count else { return nil }
        return words[index + 1]
    }

    /// How long to go on: `--seconds N`, ten minutes where nothing is said.
    var seconds: Double { value("--seconds").flatMap(Double.init) ?? 600 }
}

/// Every incident, in the order in which `nightjar drill` runs them.
let incidents: [Incident] = [
    leak,
    leakTwin,
    retainCycle,
    dictionaryCache,
    taskLeak,
    timerLeak,
    healthyCache,
    debugLog,
    debugLogTamed,
    loopBlockedByJSON,
    catastrophicRegex,
    blockingRead,
    lockHeldElsewhere,
    lockOrderDeadlock,
    exhaustedPool,
    starvedTwin,
]
