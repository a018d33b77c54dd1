import CNightjarLinux
@preconcurrency import Glibc

setvbuf(stdout, nil, _IOLBF, 0)

let words = Array(CommandLine.arguments.dropFirst())

func fail(_ sentence: String) -> Never {
    fputs("nightjar-incident: \(sentence)\n", stderr)
    exit(2)
}

guard let name = words.first, name != "--help" else {
    print("usage: nightjar-incident NAME [--seconds N] | --list\n")
    for incident in incidents {
        let padding = String(repeating: " ", count: max(1, 20 - incident.name.count))
        print("  \(incident.name)\(padding)\(incident.story)")
    }
    exit(words.isEmpty ? 2 : 0)
}
if name == "--list" {
    // Name, detector ("-": none may fire, "-LoopStall": that one may not), limit in seconds, words the alert must contain,
    // story.
    for incident in incidents {
        let columns = [
            incident.name, incident.detector ?? "-\(incident.silentDetector ?? "")",
            "\(incident.limit.components.seconds)",
            incident.mustSay.joined(separator: ","), incident.story,
        ]
        print(columns.joined(separator: "\t"))
    }
    exit(0)
}
guard let incident = incidents.first(where: { $0.name == name }) else {
    fail("no incident '\(name)'; --list names them all")
}
// The name that the agent sees, and by which its settings for drills apply; and nobody outlives the drill.
"drill-\(incident.name)".withCString { _ = nj_prctl(PR_SET_NAME, UInt(bitPattern: $0)) }
_ = nj_prctl(PR_SET_PDEATHSIG, UInt(SIGTERM))
do {
    try incident.run(Arguments(words: Array(words.dropFirst())))
} catch {
    fail("\(incident.name): \(error)")
}
