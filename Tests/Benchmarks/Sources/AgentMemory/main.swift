// What does the agent itself weigh, and what does each further process add? The real nightjard, started afresh beside
// 200, 1,000 and 5,000 processes that do nothing, with its own folders and default settings.
//
//     --agent PATH    the agent to weigh; packaging/bench.sh builds the one that is shipped (static Swift library)
//     --settle N      seconds until it is weighed

import BenchmarkKit
import Glibc

let settle = Arguments.value(of: "--settle").flatMap { Double($0) } ?? (Arguments.isQuick ? 15 : 60)
let steps = Arguments.isQuick ? [200, 1000] : [200, 1000, 5000]

guard let agent = Arguments.value(of: "--agent"), access(agent, X_OK) == 0 else {
    print("AgentMemory: which agent? --agent PATH; packaging/bench.sh gives it the one that it builds")
    exit(3)
}

struct Weight {
    var processes: Int
    /// KiB.
    var resident: Double
    var anonymous: Double
    var threads: Double
    /// CPU seconds a second, of the first thread.
    var cpu: Double
}

/// User and system time of a process's first thread in seconds: the one that samples.
func cpuSeconds(_ pid: pid_t) -> Double { (procNumber("/proc/\(pid)/schedstat") ?? 0) / 1e9 }

/// Starts the agent in a folder of its own, lets it settle, weighs and ends it.
func weigh(beside count: Int, in folder: String) -> Weight {
    let herd = Herd(max(0, count - procEntries("/proc", numeric: true)))
    defer { herd.end() }
    let configuration = "\(folder)/nightjar.conf"
    close(open(configuration, O_WRONLY | O_CREAT | O_TRUNC, 0o644))
    let words = [agent, "--config", configuration]
    var arguments: [UnsafeMutablePointer<CChar>?] = words.map { word in strdup(word) }
    arguments.append(nil)
    let places = [
        "RUNTIME_DIRECTORY=\(folder)/run", "STATE_DIRECTORY=\(folder)/state-\(count)", "LOGS_DIRECTORY=\(folder)/log",
        "PATH=/usr/bin:/bin",
    ]
    var environment: [UnsafeMutablePointer<CChar>?] = places.map { place in strdup(place) }
    environment.append(nil)
    defer { for text in arguments + environment { free(text) } }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 2, "\(folder)/stderr", O_WRONLY | O_CREAT | O_APPEND, 0o644)
    var pid: pid_t = 0
    let failed = posix_spawn(&pid, agent, &actions, nil, arguments, environment)
    guard failed == 0 else { fatalError("cannot start \(agent): \(failed)") }
    defer {
        kill(pid, SIGTERM)
        waitpid(pid, nil, 0)
    }
    pause(seconds: settle / 2)
    let before = cpuSeconds(pid)
    pause(seconds: settle / 2)
    let cpu = (cpuSeconds(pid) - before) / (settle / 2)
    guard let resident = procField("VmRSS", "/proc/\(pid)/status"),
        let anonymous = procField("RssAnon", "/proc/\(pid)/status"),
        let threads = procField("Threads", "/proc/\(pid)/status")
    else {
        print("AgentMemory: the agent ended by itself; its last words are in \(folder)/stderr")
        exit(1)
    }
    return Weight(
        processes: procEntries("/proc", numeric: true), resident: resident, anonymous: anonymous, threads: threads,
        cpu: cpu)
}

var template = Array("/tmp/nightjar-bench.XXXXXX".utf8CString)
guard let made = mkdtemp(&template) else { fatalError("cannot make a folder below /tmp") }
let folder = String(cString: made)
let weights = steps.map { weigh(beside: $0, in: folder) }

let report = Report("AgentMemory: \(agent), \(Int(settle)) s after its start")
for weight in weights {
    let isFirst = weight.processes == weights[0].processes
    let name = "\(weight.processes) processes"
    report.add("\(name): resident", weight.resident / 1024, "MiB", isFirst ? .atMost(15) : nil)
    report.add("\(name): anonymous", weight.anonymous / 1024, "MiB", isFirst ? .atMost(6) : nil)
    report.add("\(name): threads", weight.threads, "")
    report.add("\(name): CPU of the sampling thread", weight.cpu * 1000, "ms a second")
}
if let first = weights.first, let last = weights.last, last.processes > first.processes {
    let further = Double(last.processes - first.processes)
    report.add(
        "a further process: resident", (last.resident - first.resident) * 1024 / further, "bytes", .atMost(1536))
    report.add("a further process: anonymous", (last.anonymous - first.anonymous) * 1024 / further, "bytes")
}
report.finish()
