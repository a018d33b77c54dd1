import NightjarModel
import NightjarTestKit

// The histories that the detectors of a process are held against: each a story that an operator would recognise, made
// from a seed, kept as a file under Traces and also fed to `nightjar replay`.

/// One made history, with its rows.
struct ProcessStory {
    var name: String
    /// One line, for the head.
    var about: String
    var nice = 0
    /// Seconds between rows, row by row.
    var times: [Double]
    var descriptors: [Int]?
    var descriptorLimit = 1024
    var threads: [Int]?
    var tasksLimit: Int?
    /// Cores used since the row before.
    var cores: [Double]?

    /// The trace file: one row a reading, memory level all the time.
    var text: String {
        var head = ["t", "anon"]
        if descriptors != nil { head += ["descriptors", "descriptor_limit"] }
        if threads != nil { head.append("threads") }
        if tasksLimit != nil { head.append("tasks_limit") }
        if cores != nil { head.append("cpu_seconds") }
        var text = "# nightjar-trace v1; source=made; speedup=1; kind=memory; \(about)"
        text += nice == 0 ? "\n" : "; nice=\(nice)\n"
        text += head.joined(separator: ",") + "\n"
        var used = 0.0
        for (row, time) in times.enumerated() {
            var cells = ["\(Int(time))", "65536"]
            if let descriptors { cells += ["\(descriptors[row])", "\(descriptorLimit)"] }
            if let threads { cells.append("\(threads[row])") }
            if let tasksLimit { cells.append("\(tasksLimit)") }
            if let cores {
                used += cores[row] * (row > 0 ? time - times[row - 1] : 0)
                cells.append("\((used * 100).rounded() / 100)")
            }
            text += cells.joined(separator: ",") + "\n"
        }
        return text
    }

    static func descriptors(_ name: String, _ about: String, _ history: String, every: Double, limit: Int = 1024)
        -> Self
    {
        let values = counts(history)
        return Self(
            name: name, about: about, times: steps(values.count, every), descriptors: values, descriptorLimit: limit)
    }

    static func threads(_ name: String, _ about: String, _ history: String, every: Double, tasks: Int? = nil) -> Self {
        let values = counts(history)
        return Self(
            name: name, about: about, times: steps(values.count, every), threads: values, tasksLimit: tasks)
    }

    static func cores(_ name: String, _ about: String, nice: Int = 0, _ minutes: [Double]) -> Self {
        Self(name: name, about: about, nice: nice, times: steps(minutes.count, 60), cores: minutes)
    }

    private static func steps(_ count: Int, _ every: Double) -> [Double] { (0..<count).map { Double($0) * every } }
}

extension ProcessStory {
    static let all: [ProcessStory] = descriptorStories + threadStories + coreStories

    private static let descriptorStories: [ProcessStory] = [
        .descriptors("sockets-never-closed", "one a minute, limit 1024", "40 +5x196", every: 300),
        .descriptors("descriptors-gone-in-minutes", "ten a second, limit 1024", "30 +20x49", every: 2),
        late,
        .descriptors("two-files-an-hour", "two an hour for forty hours", "40 +1x80", every: 1800),
        .descriptors(
            "pool-that-settles", "fills for four hours, then stays", "20 +4x45 =x500", every: 300, limit: 4096),
        .descriptors(
            "connections-by-day", "five days of connections that follow the day",
            Array(repeating: "50 +30x40 =x16 -30x40 =x48", count: 5).joined(separator: " "), every: 600, limit: 65_536),
        .descriptors(
            "accept-burst", "bursts to two thirds of the limit, given back",
            Array(repeating: "40x20 +60x10 =x10 -60x10", count: 12).joined(separator: " "), every: 10),
        .descriptors("two-deploys", "a step at each of two deploys", "40x120 120x120 220x300", every: 600, limit: 4096),
        .descriptors("descriptors-at-rest", "never moves", "12x400", every: 300),
    ]

    /// Three days at rest, read every ten minutes; then one a second, read every ten seconds.
    private static var late: ProcessStory {
        let quiet = (0..<432).map { Double($0) * 600 }
        let leak = (1...82).map { 431 * 600 + Double($0) * 10 }
        return ProcessStory(
            name: "late-descriptor-leak", about: "three days at rest, then one a second, limit 1024",
            times: quiet + leak, descriptors: counts("200x432 +10x82"))
    }

    private static let threadStories: [ProcessStory] = [
        .threads("thread-a-request", "a thread every forty minutes that never ends", "12 +1x60", every: 2400),
        .threads("threads-until-tasksmax", "eight a minute until 4096", "16 +16x254", every: 120, tasks: 4096),
        .threads("thread-pool-that-settles", "one every five minutes to 64", "8 +1x56 =x300", every: 300),
        .threads(
            "worker-bursts", "workers that come and go",
            Array(repeating: "8x10 +8x5 =x5 -8x5", count: 20).joined(separator: " "), every: 30),
        .threads(
            "threads-by-day", "a thread for each connection, five days",
            Array(repeating: "20 +10x40 =x16 -10x40 =x48", count: 5).joined(separator: " "), every: 600, tasks: 4096),
    ]

    private static let coreStories: [ProcessStory] = [
        .cores("hot-key", "one thread busy from the third hour on", minutes(180, 0.02, 0.2) + flat(300)),
        .cores(
            "endless-retry", "a retry without a pause, seen once the night before", minutes(600, 0.0, 0.05) + flat(90)),
        .cores(
            "spin-beside-load", "a thread in circles beside ordinary load",
            minutes(120, 0.2, 0.5) + zip(minutes(90, 0.2, 0.5), flat(90)).map { $0 + $1 }),
        .cores("build", "busy from the first minute", flat(400, 1.9)),
        .cores(
            "nightly-batch", "twenty minutes of one core every night",
            (0..<3).flatMap { _ in minutes(600, 0.02, 0.2) + flat(20) }),
        .cores(
            "busy-server", "load between one and two and a half cores", minutes(120, 0.1, 0.4) + minutes(300, 1, 2.5)),
        .cores("niced-worker", "a background worker that is niced", nice: 10, minutes(120, 0.02, 0.1) + flat(300)),
        .cores("jit-warm-up", "five busy minutes, then calm", flat(5, 1.8) + minutes(400, 0.1, 0.3)),
        .cores("calm-service", "never more than a tenth of a core", minutes(500, 0.0, 0.1)),
    ]

    private static func minutes(_ count: Int, _ low: Double, _ high: Double) -> [Double] {
        var random = SplitMix(seed: UInt64(count) &* 31 &+ UInt64(high * 100))
        return (0..<count).map { _ in low + random.unit() * (high - low) }
    }

    private static func flat(_ count: Int, _ cores: Double = 1) -> [Double] {
        var random = SplitMix(seed: UInt64(count))
        return (0..<count).map { _ in cores - random.unit() * 0.02 }
    }
}
