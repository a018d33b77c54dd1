import NightjarModel
import NightjarSinks

// What is watched beside processes: file systems, logs, services with the probe, and the census that is asked for when
// one of them grows. Each part is optional: what is switched off or cannot be opened is gone without, and said.

final class Watches {
    private let log: OwnLog
    private var census: CensusDesk

    init(config: Config, paths: Paths, roots: Roots, log: OwnLog) {
        self.log = log
        census = CensusDesk(runner: CensusRunner(procRoot: roots.proc))
    }

    /// What the detectors say, completed by what a census knows of the same process.
    func completed(_ answers: [WatchAnswer]) -> [WatchAnswer] { answers.compactMap { census.completed($0) } }

    func attach(to loop: EventLoop) {}
    func apply(_ config: Config) {}
    func takeLimitations() -> [String] { limitations }
    func answers(at now: Moment, _ observatory: Observatory) -> [WatchAnswer] { [] }
    func round(at now: Moment, _ observatory: Observatory) -> [WatchAnswer] {
        for process in observatory.ended { census.ended(process) }
        let answers = census.round(at: now, suspects: observatory.suspects)
        for note in census.takeNotes() { log.info(note) }
        return answers
    }
    func states() -> [(key: String, bytes: [UInt8])] { [] }
    func restore(_ states: [(key: String, bytes: [UInt8])]) {}
    func finish() { census.finish() }
    var limitations: [String] { [census.limitation].compactMap(\.self) }
    var errors: [SwallowedErrors] {
        census.failures > 0 ? [SwallowedErrors(room: "census", code: "refused", count: census.failures)] : []
    }
    var metrics: [MetricFamily] { [] }
}
