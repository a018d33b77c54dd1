// What `nightjar disk`, `/api/v1/disks` and the metrics show of the disks.

import NightjarDetectors
public import NightjarModel
import NightjarSources

/// The disks at one moment.
public struct DiskSnapshot: Hashable, Sendable {
    /// One file system.
    public struct Row: Hashable, Sendable {
        public var mountPoint: String
        public var type: String
        public var device: String
        public var size: Bytes?
        public var available: Bytes?
        public var inodes: Int64?
        public var inodesFree: Int64?
        public var isReadOnly: Bool
        /// How long it has not answered; nil where it does.
        public var silentFor: Duration?
        /// Bytes a second it fills with now; negative where space comes back.
        public var pace: Double
        /// The forecasts; nil where there is none.
        public var timeToFull: Duration?
        public var timeToNoInodes: Duration?
        /// `full`, `burst`, `forecast`, `backstop`; nil where nothing holds.
        public var stage: String?
        public var growing: [GrowingFile]
        public var deleted: [HeldDeletedFile]
        public var folder: GrownFolder?
        public var advice: [Advice]
    }

    /// What could be freed, and how.
    public struct Advice: Hashable, Sendable {
        public var what: String
        public var bytes: Bytes
        public var command: String
    }

    public var time: Moment
    public var rows: [Row]
    /// What could not be seen, in whole lines.
    public var notes: [String]
}

extension DiskWatch {
    /// What is known now; asks nothing.
    public func snapshot() -> DiskSnapshot {
        let rows = mounts.values.map { mount in
            let culprit = culprit(of: mount)
            return DiskSnapshot.Row(
                mountPoint: mount.mountPoint, type: mount.type, device: mount.source, size: mount.sample?.size,
                available: mount.sample?.available, inodes: mount.sample?.inodes,
                inodesFree: mount.sample?.inodesFree, isReadOnly: mount.sample?.readOnly ?? false,
                silentFor: mount.silentFor, pace: mount.pace, timeToFull: mount.disk.timeToFull,
                timeToNoInodes: mount.inode.timeToFull, stage: mount.disk.state.stage?.rawValue,
                growing: culprit.files, deleted: culprit.deleted, folder: culprit.folder,
                advice: culprit.reclaimable.map { .init(what: $0.what, bytes: $0.bytes, command: $0.command) })
        }
        return DiskSnapshot(time: now, rows: rows.sorted { $0.mountPoint < $1.mountPoint }, notes: notes)
    }

    private var notes: [String] {
        var notes: [String] = []
        if let open = lastLook?.open, open.unseenProcesses > 0 {
            notes.append(
                "cannot see the open files of \(open.unseenProcesses) processes; "
                    + "needs CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH")
        }
        if lastLook?.open.isCut == true { notes.append("too many open files to look at all of them") }
        if reader.unwatched > 0 { notes.append("\(reader.unwatched) file systems over the limit are not watched") }
        return notes
    }
}

extension DiskSnapshot {
    /// The whole snapshot as one JSON object.
    public var json: JSON {
        .object([
            ("time_s", .double(time.seconds)), ("disks", .array(rows.map(\.json))),
            ("notes", .array(notes.map(JSON.string))),
        ])
    }

    /// Gauges for `/metrics`: at most seven a file system, 20 file systems.
    public var metrics: [(name: String, labels: [(String, String)], value: Double)] {
        var out: [(name: String, labels: [(String, String)], value: Double)] = []
        for row in rows.prefix(20) {
            let labels = [("mount", row.mountPoint)]
            func add(_ name: String, _ value: Double?) {
                if let value { out.append((name, labels, value)) }
            }
            add("nightjar_mount_answers", row.silentFor == nil ? 1 : 0)
            add("nightjar_mount_size_bytes", row.size.map { Double($0.count) })
            add("nightjar_mount_available_bytes", row.available.map { Double($0.count) })
            add("nightjar_mount_inodes", row.inodes.map(Double.init))
            add("nightjar_mount_inodes_free", row.inodesFree.map(Double.init))
            add("nightjar_disk_fill_eta_seconds", row.timeToFull?.inSeconds)
            add("nightjar_inode_fill_eta_seconds", row.timeToNoInodes?.inSeconds)
        }
        return out
    }
}

extension DiskSnapshot.Row {
    var json: JSON {
        .object([
            ("mount", .string(mountPoint)), ("type", .string(type)), ("device", .string(device)),
            ("size_bytes", .optional(size?.count)), ("available_bytes", .optional(available?.count)),
            ("inodes", .optional(inodes)), ("inodes_free", .optional(inodesFree)), ("read_only", .bool(isReadOnly)),
            ("silent_seconds", .optional(silentFor?.inSeconds)), ("pace_bytes_per_second", .double(pace.rounded())),
            ("eta_seconds", .optional(timeToFull?.inSeconds.rounded())),
            ("inode_eta_seconds", .optional(timeToNoInodes?.inSeconds.rounded())), ("stage", .optional(stage)),
            ("growing", .array(growing.map(\.json))), ("deleted_but_open", .array(deleted.map(\.json))),
            (
                "folder",
                folder.map {
                    .object([
                        ("path", .string($0.path)), ("growth_bytes", .int($0.growth.count)),
                        ("span_seconds", .double($0.span.inSeconds)),
                    ])
                } ?? .null
            ),
            (
                "advice",
                .array(
                    advice.map {
                        .object([
                            ("what", .string($0.what)), ("bytes", .int($0.bytes.count)),
                            ("command", .string($0.command)),
                        ])
                    })
            ),
        ])
    }
}

extension NamedProcess {
    var json: JSON {
        .object([("name", .string(name)), ("unit", .optional(unit)), ("pid", .int(Int64(pid)))])
    }
}

extension GrowingFile {
    var json: JSON {
        .object([
            ("file", .string(path)), ("deleted", .bool(isDeleted)), ("size_bytes", .int(size.count)),
            ("growth_bytes", .int(growth.count)), ("span_seconds", .double(span.inSeconds)),
            ("writers", .array(writers.map(\.json))), ("template", template?.json ?? .null),
            ("debug_share", .double(debugShare)),
        ])
    }
}

extension HeldDeletedFile {
    var json: JSON {
        .object([
            ("file", .string(path)), ("held_bytes", .int(held.count)), ("holders", .array(holders.map(\.json))),
        ])
    }
}

extension LogTemplate {
    var json: JSON {
        .object([
            ("text", .string(text)), ("share", .double((share * 1000).rounded() / 1000)),
            ("level", .optional(level?.word)), ("first_seen_s", .double(firstSeen.seconds)),
        ])
    }
}
