import NightjarDetectors
import NightjarModel
import NightjarSources

/// One file system's detectors, and whether it moves.
struct WatchedMount {
    var mountPoint = ""
    var device: UInt64 = 0
    var type = ""
    var source = ""
    var sample: MountSample?
    var silentFor: Duration?
    var disk = DiskFill()
    var inode = InodeFill()
    var diskSettings: DiskFill.Settings
    var inodeSettings: InodeFill.Settings
    var survey: DiskSurvey?
    /// Available a little while ago, for telling whether it drains.
    private var earlier: (time: Moment, available: Bytes)?
    /// Bytes a second over the last seconds; negative where space came back.
    private(set) var pace = 0.0
    private var drainedAt: Moment?
    private var surveyWanted = Moment(nanoseconds: .min)

    init(_ settings: DetectorSettings) {
        (diskSettings, inodeSettings) = (DiskFill.Settings(), InodeFill.Settings())
        apply(settings)
    }

    mutating func apply(_ settings: DetectorSettings) {
        diskSettings = DiskFill.Settings(settings.values(for: DiskFill.card))
        inodeSettings = InodeFill.Settings(settings.values(for: InodeFill.card))
    }

    /// True while at the pace of the last seconds nothing would be left within a day, and shortly after.
    var drains: Bool {
        guard let drainedAt, let sample else { return false }
        return sample.time - drainedAt < .seconds(20)
    }

    /// Worth looking for who does it.
    var isSuspicious: Bool {
        guard let sample, !sample.readOnly else { return false }
        return drains || disk.state.stage != nil || inode.state.stage != nil
    }

    mutating func take(_ reading: DiskReading) {
        mountPoint = reading.mount.mountPoint
        device = reading.mount.deviceNumber
        type = reading.mount.type
        source = reading.mount.source
        silentFor = reading.silentFor
        guard let new = reading.sample, new.time > sample?.time ?? Moment(nanoseconds: .min) else { return }
        measurePace(new)
        sample = new
        _ = disk.step(new, diskSettings)
        _ = inode.step(new, inodeSettings)
    }

    private mutating func measurePace(_ new: MountSample) {
        guard let before = earlier else {
            earlier = (new.time, new.available)
            return
        }
        let span = (new.time - before.time).inSeconds
        guard span >= 0.9 else { return }
        pace = Double(before.available.count - new.available.count) / span
        if pace > 0, Double(new.available.count) / pace < 86_400 { drainedAt = new.time }
        if span >= 5 { earlier = (new.time, new.available) }
    }

    // MARK: Surveys

    /// Every ten minutes while a condition holds, never more than one part in two hundred of the time.
    func needsSurvey(at now: Moment) -> Bool { disk.state.stage != nil && now >= surveyWanted }

    mutating func take(_ new: DiskSurvey) {
        var new = new
        if let before = survey, let grown = FolderWalk.grown(before.walk, new.walk) {
            new.grown = GrownFolder(path: grown.folder, growth: grown.growth, span: new.walk.time - before.walk.time)
        }
        // The second walk follows soon, so that there is a rate; later ones are rare.
        let pause: Duration = survey == nil ? .seconds(20) : .minutes(10)
        surveyWanted = new.walk.time + max(pause, new.cost * 200)
        survey = new
    }

    // MARK: Answers

    func answers(_ settings: DetectorSettings, culprit: DiskCulprit) -> [WatchAnswer] {
        let subject = Subject(.mount, name: mountPoint)
        var answers: [WatchAnswer] = []
        if settings.isOn(DiskFill.card.name) {
            answers.append(
                WatchAnswer(detector: DiskFill.card.name, subject: subject, answer: diskAnswer(settings, culprit)))
            if let silent = silentFor {
                answers.append(
                    WatchAnswer(detector: DiskFill.card.name, subject: subject, answer: .found(silence(silent))))
            }
        }
        if settings.isOn(InodeFill.card.name), sample?.inodes != nil {
            answers.append(
                WatchAnswer(detector: InodeFill.card.name, subject: subject, answer: inodeAnswer(settings)))
        }
        return answers
    }

    private func diskAnswer(_ settings: DetectorSettings, _ culprit: DiskCulprit) -> Answer {
        guard let sample, var finding = disk.finding(sample) else { return disk.state.isTooEarly ? .tooEarly : .quiet }
        if let clause = culprit.clause { finding.sentence += clause }
        finding.details += culprit.details
        finding.evidence += culprit.evidence
        return .found(capped(finding, settings))
    }

    private func inodeAnswer(_ settings: DetectorSettings) -> Answer {
        guard let sample, let finding = inode.finding(sample) else {
            return inode.state.isTooEarly ? .tooEarly : .quiet
        }
        return .found(capped(finding, settings))
    }

    private func capped(_ finding: Finding, _ settings: DetectorSettings) -> Finding {
        guard let cap = settings.severityCap(finding.detector) else { return finding }
        var finding = finding
        finding.severity = min(finding.severity, cap)
        return finding
    }

    /// A file system that does not answer is an outage of its own.
    private func silence(_ span: Duration) -> Finding {
        Finding(
            detector: DiskFill.card.name, subject: Subject(.mount, name: mountPoint), cause: "not answering",
            severity: .warning, verdict: "not answering",
            sentence: "\(mountPoint) has not answered for \(span.spoken) (\(type) from \(source))",
            details: ["whoever opens a file there waits too; nothing else of this agent does"],
            evidence: [
                EvidenceField("silent", .duration(span)), EvidenceField("type", .text(type)),
                EvidenceField("device", .text(source)),
            ],
            nextStep: "sudo umount -l \(mountPoint)   # or bring \(source) back")
    }
}
