public import NightjarModel
import NightjarSources

/// A walk over one file system and what could be freed on it; seconds of idle I/O, on a side thread.
struct DiskSurvey: Sendable {
    var walk: FolderWalk
    /// What grew since the survey before, filled in when both are known.
    var grown: GrownFolder?
    var recent: [FolderWalk.RecentFile]
    var reclaimable: [Reclaimable]
    var cost: Duration

    static func take(_ mountPoint: String, device: UInt64, root: String, at time: Moment, wall: Int64) -> DiskSurvey {
        let begin = monotonicNow()
        let walk = FolderWalk.walk(mountPoint, at: time, wallNow: wall)
        return DiskSurvey(
            walk: walk, recent: Array(walk.recent.prefix(8)), reclaimable: Reclaimable.look(device: device),
            cost: monotonicNow() - begin)
    }
}

/// A folder that grew between two surveys.
public struct GrownFolder: Hashable, Sendable {
    public var path: String
    public var growth: Bytes
    public var span: Duration
}

/// Everything that is known about who fills a file system.
struct DiskCulprit {
    var files: [GrowingFile] = []
    var deleted: [HeldDeletedFile] = []
    var folder: GrownFolder?
    var recent: [FolderWalk.RecentFile] = []
    var reclaimable: [Reclaimable] = []

    /// Follows the finding's sentence: `; most of it /var/log/app.log (48 MiB/s) by checkout (checkout.service, pid 4242)`.
    var clause: String? {
        guard let file = files.first else {
            return folder.map { "; most of it below \($0.path) (\(Self.pace($0.growth, $0.span)))" }
        }
        let writer = file.writers.first.map { " by \($0.label)" } ?? ""
        return "; most of it \(file.path) (\(Self.pace(file.growth, file.span)))\(writer)"
    }

    static func pace(_ growth: Bytes, _ span: Duration) -> String {
        guard span > .zero else { return "\(growth)" }
        let second = Double(growth.count) / span.inSeconds
        if second >= 1024 { return "\(Bytes(Int64(min(second, 9e18)))) a second" }
        return "\(Bytes(Int64(second * 3600))) an hour"
    }

    /// Lines below the sentence, most important first.
    var details: [String] {
        var lines: [String] = []
        if let file = files.first, let template = file.template {
            let level = template.level.map { "\($0.word) " } ?? ""
            lines.append("\(Self.percent(template.share)) of it is one \(level)message: \(template.text)")
        }
        if let file = files.first, file.debugShare >= 0.5 { lines.append("a debug log was left on") }
        for file in files.dropFirst().prefix(2) {
            let writer = file.writers.first.map { " by \($0.label)" } ?? ""
            lines.append("\(file.path) grows by \(Self.pace(file.growth, file.span))\(writer)")
        }
        if let folder, !files.isEmpty {
            lines.append("\(folder.path) grew by \(folder.growth) in \(folder.span.spoken)")
        }
        for file in deleted.prefix(3) {
            let holder = file.holders.first.map { " by \($0.label)" } ?? ""
            lines.append("\(file.path) is deleted but held open\(holder): \(file.held)")
        }
        for advice in reclaimable.prefix(3) {
            lines.append("\(advice.what) could give back up to \(advice.bytes): \(advice.command)")
        }
        return lines
    }

    static func percent(_ share: Double) -> String { "\(Int((min(max(share, 0), 1) * 100).rounded())) %" }

    var evidence: [EvidenceField] {
        var fields: [EvidenceField] = []
        if !files.isEmpty {
            fields.append(
                EvidenceField(
                    "growing",
                    .list(
                        files.prefix(4).map { file in
                            var row = [
                                EvidenceField("file", .text(file.path)),
                                EvidenceField("pace", .bytesPerSecond(file.pace.rounded())),
                                EvidenceField("size", .bytes(file.size)),
                            ]
                            if let writer = file.writers.first {
                                row.append(EvidenceField("process", .text(writer.name)))
                                row.append(EvidenceField("pid", .count(Int64(writer.pid))))
                                if let unit = writer.unit { row.append(EvidenceField("unit", .text(unit))) }
                            }
                            if let template = file.template {
                                row.append(EvidenceField("template", .text(template.text)))
                                row.append(EvidenceField("share", .ratio(template.share)))
                                if let level = template.level { row.append(EvidenceField("level", .text(level.word))) }
                            }
                            return row
                        })))
        }
        if !deleted.isEmpty {
            fields.append(
                EvidenceField(
                    "deleted_but_open",
                    .list(
                        deleted.prefix(4).map { file in
                            var row = [
                                EvidenceField("file", .text(file.path)), EvidenceField("held", .bytes(file.held)),
                            ]
                            if let holder = file.holders.first {
                                row.append(EvidenceField("process", .text(holder.name)))
                                row.append(EvidenceField("pid", .count(Int64(holder.pid))))
                                if let unit = holder.unit { row.append(EvidenceField("unit", .text(unit))) }
                            }
                            return row
                        })))
        }
        return fields
    }
}
