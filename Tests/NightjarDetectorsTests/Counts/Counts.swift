import NightjarDetectors
import NightjarModel

/// A history of a count as text: `"40 +1x30 =x10 -5x3 90"` is 40, then thirty readings each one higher, ten that stay,
/// three each five lower, and 90.
func counts(_ text: String) -> [Int] {
    var values: [Int] = []
    for word in text.split(separator: " ") {
        let parts = word.split(separator: "x")
        let times = parts.count > 1 ? Int(parts[1])! : 1
        let last = values.last ?? 0
        switch parts[0].first {
        case "+", "-": for step in 1...times { values.append(last + Int(parts[0])! * step) }
        case "=": values.append(contentsOf: Array(repeating: last, count: times))
        default: values.append(contentsOf: Array(repeating: Int(parts[0])!, count: times))
        }
    }
    return values
}

let checkout = ProcessIdentity(
    key: ProcessKey(pid: 4242, startTime: 99), name: "checkout", unit: "checkout.service",
    cgroup: "/system.slice/checkout.service", startedAt: Moment(nanoseconds: 0))

/// One sample of the checkout service.
func sample(
    at seconds: Double, descriptors: Int? = nil, limit: Int? = nil, threads: Int? = nil, cpu: Duration? = nil,
    runDelay: Duration? = nil
) -> ProcessSample {
    ProcessSample(
        key: checkout.key, time: Moment(seconds: seconds), rss: .mebi(64), anonymous: .mebi(32), cpuTime: cpu,
        runDelay: runDelay, threads: threads, descriptors: descriptors, descriptorLimit: limit)
}

/// What a detector said, each time that it changed: `[.quiet, .found(.warning)]`.
struct Spoken: Equatable {
    var at: Double
    var said: Sighting
}

/// Runs descriptors through a fresh detector, one reading every `every` seconds.
func descriptorLeak(_ text: String, every: Double, limit: Int? = 1024) -> [Spoken] {
    var detector = DescriptorLeak()
    let settings = DescriptorLeak.Settings()
    return changes(counts(text), every: every) { count, time in
        detector.step(sample(at: time, descriptors: count, limit: limit), settings)
    }
}

/// Runs threads through a fresh detector, one reading every `every` seconds.
func threadLeak(_ text: String, every: Double, tasks: (Int) -> TaskBound? = { _ in nil }) -> [Spoken] {
    var detector = ThreadLeak()
    let settings = ThreadLeak.Settings()
    return changes(counts(text), every: every) { count, time in
        detector.step(sample(at: time, threads: count), under: tasks(count), settings)
    }
}

private func changes(_ values: [Int], every: Double, _ step: (Int, Double) -> Sighting) -> [Spoken] {
    var spoken: [Spoken] = []
    for (index, value) in values.enumerated() {
        let said = step(value, Double(index) * every)
        if spoken.last?.said != said { spoken.append(Spoken(at: Double(index) * every, said: said)) }
    }
    return spoken
}

extension [Spoken] {
    /// The first time that something was found, in hours.
    var foundAfterHours: Double? { first { $0.said.isFound }.map { $0.at / 3600 } }
    var everFound: Bool { contains { $0.said.isFound } }
    var worst: Severity? {
        compactMap { if case .found(let severity) = $0.said { severity } else { nil } }.max()
    }
}
