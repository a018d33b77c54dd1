// One round of reading logs, on a side thread: files that grew, the journal by unit, the messages that make most of it,
// and who holds the files open. Everything here belongs to that thread; only results leave it.

import Glibc
import NightjarModel
import NightjarSources

/// What one source wrote in one round.
struct LogVolume: Sendable {
    var source: String
    var isFile: Bool
    var bytes: Double
    var lines: Double?
    var size: Bytes?
    var suppressed: Int64 = 0
}

/// What is known of a source besides its volume.
struct LogDetail: Sendable {
    var templates: [LogTemplate] = []
    var debugShare = 0.0
    var writer: NamedProcess?
}

struct LogRound: Sendable {
    var time: Moment
    var span: Duration
    var volumes: [LogVolume] = []
    var details: [String: LogDetail] = [:]
    /// All watched files, so that those that are still count as silent.
    var files = 0
    var notes: [String] = []
    var failures = 0
}

/// Reads logs round by round. Used by one side thread at a time.
final class LogCollector: @unchecked Sendable {
    /// Templates are mined for so many sources; the one that was quiet for longest gives way.
    static let maximumMiners = 64
    static let lookEvery: Duration = .minutes(1)

    private struct Mined {
        var miner = TemplateMiner()
        var usedAt: Moment
    }

    private let root: String
    private let wantsJournal: Bool
    private let files: LogFiles
    private var journal: JournalVolume?
    private var journalThread: pthread_t?
    private var mined: [String: Mined] = [:]
    private var writers: [String: NamedProcess] = [:]
    private var lastRound: Moment?
    private var open: OpenFiles?
    private var nextLook = Moment(nanoseconds: .min)

    init(root: String, patterns: [String], journal: Bool) {
        self.root = root
        wantsJournal = journal
        files = LogFiles(patterns: patterns)
    }

    func round(at now: Moment, devices: Set<UInt64>) -> LogRound {
        var round = LogRound(time: now, span: lastRound.map { now - $0 } ?? .zero)
        lastRound = now
        lookForWriters(devices, at: now)
        for growth in files.round(at: now) {
            round.volumes.append(
                LogVolume(source: growth.path, isFile: true, bytes: Double(growth.grown.count), size: growth.size))
            mine(growth.path, growth.lines, weight: growth.weight, at: now)
        }
        readJournal(into: &round, at: now)
        for (source, entry) in mined {
            round.details[source] = LogDetail(
                templates: entry.miner.top(3), debugShare: entry.miner.debugShare, writer: writers[source])
        }
        for (source, writer) in writers where round.details[source] == nil {
            round.details[source] = LogDetail(writer: writer)
        }
        round.files = files.count
        round.failures = files.failures
        note(into: &round)
        return round
    }

    // MARK: Journal

    private func readJournal(into round: inout LogRound, at now: Moment) {
        guard wantsJournal, let journal = openJournal() else { return }
        let found = journal.round()
        for share in found.shares.values {
            round.volumes.append(
                LogVolume(
                    source: share.source, isFile: false, bytes: share.bytes, lines: share.entries,
                    suppressed: share.suppressed))
        }
        for line in found.lines {
            miner(for: line.source, at: now) { miner in
                line.message.withUnsafeBufferPointer {
                    miner.observe(
                        $0, weight: line.weight, level: line.priority.flatMap { LogLevel(priority: $0) }, at: now)
                }
            }
        }
    }

    /// libsystemd's handles belong to the thread that made them; if another thread took over, the old ones are left.
    private func openJournal() -> JournalVolume? {
        if let journalThread, pthread_equal(journalThread, pthread_self()) != 0 { return journal }
        if let journal { _ = Unmanaged.passRetained(journal) }
        journalThread = pthread_self()
        journal = JournalVolume()
        return journal
    }

    // MARK: Templates

    private func mine(_ source: String, _ lines: [[UInt8]], weight: Double, at now: Moment) {
        guard !lines.isEmpty else { return }
        miner(for: source, at: now) { miner in
            for line in lines {
                line.withUnsafeBufferPointer { miner.observe($0, weight: weight * Double(line.count + 1), at: now) }
            }
        }
    }

    private func miner(for source: String, at now: Moment, _ use: (inout TemplateMiner) -> Void) {
        if mined[source] == nil, mined.count >= Self.maximumMiners,
            let oldest = mined.min(by: { $0.value.usedAt < $1.value.usedAt }), oldest.value.usedAt < now
        {
            mined[oldest.key] = nil
        }
        guard mined[source] != nil || mined.count < Self.maximumMiners else { return }
        use(&mined[source, default: Mined(usedAt: now)].miner)
        mined[source]?.usedAt = now
    }

    // MARK: Writers

    /// Once a minute, and never more than one part in two hundred of the time: who holds growing files open.
    private func lookForWriters(_ devices: Set<UInt64>, at now: Moment) {
        guard now >= nextLook, !devices.isEmpty else { return }
        let begin = monotonicNow()
        let look = OpenFiles.look(devices: devices, root: root, at: now)
        if let open { take(look, after: open, devices: devices, at: now) }
        open = look
        nextLook = now + max(Self.lookEvery, (monotonicNow() - begin) * 200)
    }

    private func take(_ look: OpenFiles, after open: OpenFiles, devices: Set<UInt64>, at now: Moment) {
        let watched = Dictionary(files.watched.map { ($0.key, $0.path) }) { first, _ in first }
        for device in devices {
            for file in FileGrowth.between(open, look, device: device, limit: 64) where !file.isDeleted {
                guard let holder = look.files[file.key]?.holders.first(where: \.mayWrite) else { continue }
                let path = watched[file.key] ?? file.path
                if watched[file.key] == nil {
                    guard holder.appends || Self.looksLikeLog(path) else { continue }
                    files.follow(path, access: access(path, file.key, holder.pid), at: now)
                }
                writers[path] = file.writers.first.map { NamedProcess.read($0.pid, root: root) }
            }
        }
        if writers.count > LogFiles.maximumFiles { writers = [:] }
    }

    /// The path itself, or the path below the holder's root where that is another one.
    private func access(_ path: String, _ key: FileKey, _ pid: Int32) -> String {
        FileKey.of(path) == key ? path : "\(root)/\(pid)/root\(path)"
    }

    static func looksLikeLog(_ path: String) -> Bool {
        let name = path.split(separator: "/").last.map { $0.lowercased() } ?? ""
        return name.contains("log") || name.hasSuffix(".out") || name.hasSuffix(".err") || path.contains("/log/")
            || path.contains("/logs/")
    }

    private func note(into round: inout LogRound) {
        if wantsJournal, journal == nil { round.notes.append("no journal that can be read") }
        if let open, open.unseenProcesses > 0 {
            round.notes.append(
                "cannot see which files \(open.unseenProcesses) processes write; "
                    + "needs CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH")
        }
        if files.unwatched > 0 { round.notes.append("\(files.unwatched) log files over the limit are not watched") }
    }
}
