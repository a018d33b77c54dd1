import NightjarModel
import NightjarSinks

// What is watched beside processes: file systems, logs, services with the probe, and the census that is asked for when
// one of them grows. Each part is optional: what is switched off or cannot be opened is gone without, and said.

final class Watches {
    private let log: OwnLog

    init(config: Config, paths: Paths, roots: Roots, log: OwnLog) {
        self.log = log
    }

    func attach(to loop: EventLoop) {}
    func apply(_ config: Config) {}
    func takeLimitations() -> [String] { [] }
    func answers(at now: Moment, _ observatory: Observatory) -> [WatchAnswer] { [] }
    func round(at now: Moment, _ observatory: Observatory) -> [WatchAnswer] { [] }
    func states() -> [(key: String, bytes: [UInt8])] { [] }
    func restore(_ states: [(key: String, bytes: [UInt8])]) {}
    func finish() {}
    var limitations: [String] { [] }
    var errors: [SwallowedErrors] { [] }
    var metrics: [MetricFamily] { [] }
}
