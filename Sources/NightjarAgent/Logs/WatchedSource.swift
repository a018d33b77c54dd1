import NightjarDetectors
import NightjarModel
import NightjarSources

/// One log source: its detector, its totals of the last day, and what is known of its messages.
struct WatchedSource {
    static let hours = 24
    /// A source that wrote nothing for so long is forgotten, with its history.
    static let forgottenAfter: Duration = .days(8)

    let isFile: Bool
    var flood = LogFlood()
    var floodSettings = LogFlood.Settings()
    var settings: DetectorSettings? {
        didSet { if let settings { floodSettings = LogFlood.Settings(settings.values(for: LogFlood.card)) } }
    }
    var detail: LogDetail?
    var size: Bytes?
    var suppressed: Int64 = 0
    /// All bytes since it is watched.
    private(set) var total = 0.0
    private(set) var lastSample: LogSample?
    private var wroteAt: Moment?
    /// Bytes by hour, a ring.
    private var byHour: [Float] = []
    private var hour: Int64 = -1
    /// Bytes a second over the last rounds, smoothed over about a minute.
    private(set) var pace = 0.0

    init(isFile: Bool) { self.isFile = isFile }

    mutating func take(_ volume: LogVolume?, name: String, at time: Moment, span: Duration) {
        let bytes = volume?.bytes ?? 0
        if let size = volume?.size { self.size = size }
        suppressed += volume?.suppressed ?? 0
        total += bytes
        if bytes > 0 || wroteAt == nil { wroteAt = time }
        let sample = LogSample(
            time: time, source: name, unit: isFile ? nil : name, span: span, bytes: Bytes(Int64(bytes)),
            lines: volume?.lines.map { Int64($0) })
        lastSample = sample
        _ = flood.step(sample, floodSettings)
        count(bytes, at: time)
        let weight = min(1, span.inSeconds / 60)
        if span > .zero { pace += (bytes / span.inSeconds - pace) * max(weight, 0.15) }
    }

    private mutating func count(_ bytes: Double, at time: Moment) {
        let now = time.nanoseconds / 3_600_000_000_000
        if byHour.isEmpty { byHour = [Float](repeating: 0, count: Self.hours) }
        if hour >= 0, now > hour {
            for passed in (hour + 1)...min(now, hour + Int64(Self.hours)) { byHour[Int(passed) % Self.hours] = 0 }
        }
        hour = max(hour, now)
        byHour[Int(hour) % Self.hours] += Float(bytes)
    }

    /// Bytes of this hour and so many before it.
    func bytes(hours: Int) -> Bytes {
        guard hour >= 0, !byHour.isEmpty else { return .zero }
        let sum = (0..<min(hours, Self.hours)).reduce(0.0) { sum, back in
            sum + Double(byHour[Int((hour - Int64(back)) % Int64(Self.hours) + Int64(Self.hours)) % Self.hours])
        }
        return Bytes(Int64(min(sum, 9e18)))
    }

    func isForgotten(at time: Moment) -> Bool { wroteAt.map { time - $0 > Self.forgottenAfter } ?? false }

    // MARK: The answer

    func answer(_ name: String, _ settings: DetectorSettings, timeScale: Double, now: Moment) -> WatchAnswer {
        let subject = Subject(.log, name: name, unit: isFile ? nil : name)
        let answer: Answer
        if flood.state.isFlood, let sample = lastSample {
            answer = .found(finding(sample, settings, timeScale: timeScale, now: now))
        } else {
            answer = flood.state.isTooEarly ? .tooEarly : .quiet
        }
        return WatchAnswer(detector: LogFlood.card.name, subject: subject, answer: answer)
    }

    private func finding(_ sample: LogSample, _ settings: DetectorSettings, timeScale: Double, now: Moment) -> Finding {
        // Detectors may see a shortened clock; people read the real one.
        var state = flood.state
        state.pace /= timeScale
        state.since = state.since.map { sample.time - (sample.time - $0) * timeScale }
        state.usual = state.usual.map { $0 / timeScale }
        var finding = LogFlood.finding(state, sample, floodSettings)
        if let cap = settings.severityCap(LogFlood.card.name) { finding.severity = min(finding.severity, cap) }
        guard let detail else { return finding }
        if detail.debugShare >= 0.5 {
            finding.verdict = "debug log left on"
            finding.sentence += "; a debug log was left on"
        }
        finding.details = lines(detail, at: now)
        finding.evidence += evidence(detail)
        return finding
    }

    private func lines(_ detail: LogDetail, at time: Moment) -> [String] {
        var lines = detail.templates.prefix(2).map { template in
            let level = template.level.map { "\($0.word): " } ?? ""
            return "\(DiskCulprit.percent(template.share)) \(level)\(template.text)"
                + "   first seen \((time - template.firstSeen).spoken) ago"
        }
        if let writer = detail.writer { lines.append("written by \(writer.label)") }
        if suppressed > 0 { lines.append("journald held back \(suppressed) more entries of it") }
        return lines
    }

    private func evidence(_ detail: LogDetail) -> [EvidenceField] {
        var fields: [EvidenceField] = []
        if let writer = detail.writer {
            fields.append(EvidenceField("process", .text(writer.name)))
            if let unit = writer.unit { fields.append(EvidenceField("unit", .text(unit))) }
        }
        if !detail.templates.isEmpty {
            fields.append(
                EvidenceField(
                    "templates",
                    .list(
                        detail.templates.map { template in
                            var row = [
                                EvidenceField("template", .text(template.text)),
                                EvidenceField("share", .ratio(template.share)),
                            ]
                            if let level = template.level { row.append(EvidenceField("level", .text(level.word))) }
                            return row
                        })))
        }
        if detail.debugShare > 0 { fields.append(EvidenceField("debug_share", .ratio(detail.debugShare))) }
        if suppressed > 0 { fields.append(EvidenceField("suppressed", .count(suppressed))) }
        return fields
    }
}
