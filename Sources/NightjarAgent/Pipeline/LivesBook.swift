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

    /// What changed since the last call, as bytes for the history.
    mutating func takeChanged() -> [(subject: String, bytes: [UInt8])] {
        defer { changed = [] }
        return changed.compactMap { key in
            guard let unit = lives[key] else { return nil }
            var bytes: [UInt8] = []
            unit.encode(into: &bytes)
            return (key, bytes)
        }
    }

    /// Takes over what an earlier run of the agent wrote; what cannot be read is left out.
    mutating func restore(_ records: [(subject: String, bytes: [UInt8])]) {
        for record in records.suffix(Self.limit) {
            var reader = ByteReader(record.bytes)
            if let unit = UnitLives(decoding: &reader) { lives[record.subject] = unit }
        }
    }
}

extension Moment {
    fileprivate static let distantPast = Moment(nanoseconds: .min)
}
