// How much of the journal each unit writes, cheaply.
//
// Reading an entry costs 2 to 4 µs, so ten thousand entries a second would cost several per cent of a core. Up to
// `exactEntries` a round are read one by one. Beyond that the rest of the round's time is cut into equal stretches, of
// each only the first entries are read, and each read entry stands for as many as the stretch holds: the sequence number
// in a cursor (`i=`) says how many there are, so the total is exact and only the shares are estimated.
//
//     last round ──────────────────────────────────────────────▶ now
//     ████ read ╎ ██ ········ ╎ ██ ········ ╎ ██ ········ ╎ ██ ········
//
// What journald itself held back is not in the journal, but said there: an entry with MESSAGE_ID a596d6fe… and
// N_DROPPED, about OBJECT_SYSTEMD_UNIT. A second handle with a match on that id finds these without reading the rest.
//
// libsystemd's handles belong to the thread that made them: make, use and drop this object on one thread.

import CNightjarSystemd
import Glibc

/// What one unit wrote to the journal since the last round.
public struct JournalShare: Hashable, Sendable {
    /// The unit, or the syslog identifier where there is none, or `kernel`.
    public var source: String
    public var isUnit: Bool
    /// Bytes of MESSAGE; the journal's files grow by several times that.
    public var bytes: Double
    public var entries: Double
    /// Entries that journald held back for its rate limit.
    public var suppressed: Int64
}

/// A journal entry that was read, for the template miner.
public struct JournalLine: Sendable {
    public var source: String
    public var message: [UInt8]
    public var priority: Int?
    /// How many bytes of the log it stands for.
    public var weight: Double
}

/// Follows the journal and counts its volume by source.
public final class JournalVolume {
    /// So many entries are read one by one in a round before it is estimated, and in how many stretches.
    public static let exactEntries = 1_500
    static let stretches = 6
    static let entriesPerStretch = 150
    public static let maximumSources = 512
    static let maximumLines = 256
    static let maximumMessage = 1024

    private let journal: OpaquePointer
    private let suppressions: OpaquePointer
    private var cursor: JournalCursor?

    /// One round's result.
    public struct Round: Sendable {
        public var shares: [String: JournalShare] = [:]
        public var lines: [JournalLine] = []
        /// All entries since the last round, exactly, where the journal numbers them.
        public var entries = 0.0
        public var isEstimated = false
        /// Entries whose source was not counted for the limit.
        public var dropped = 0.0
    }

    /// Opens the local journal, or the files of one folder; starts at its end. Nil where there is none or it may not be read.
    public init?(directory: String? = nil) {
        guard let journal = Self.open(directory) else { return nil }
        guard let suppressions = Self.open(directory) else {
            sd_journal_close(journal)
            return nil
        }
        self.journal = journal
        self.suppressions = suppressions
        sd_journal_add_match(suppressions, "MESSAGE_ID=a596d6fe7bfa4994828e72309e95d61e", 0)
        sd_journal_seek_tail(suppressions)
        sd_journal_previous(suppressions)
        sd_journal_seek_tail(journal)
        if sd_journal_previous(journal) > 0 { cursor = currentCursor() }
    }

    deinit {
        sd_journal_close(journal)
        sd_journal_close(suppressions)
    }

    private static func open(_ directory: String?) -> OpaquePointer? {
        var handle: OpaquePointer?
        let code =
            directory.map { sd_journal_open_directory(&handle, $0, 0) }
            ?? sd_journal_open(&handle, Int32(SD_JOURNAL_LOCAL_ONLY))
        guard code >= 0, let handle else { return nil }
        sd_journal_set_data_threshold(handle, 65_536)
        // Registers for changes: without it new files are never noticed.
        _ = sd_journal_get_fd(handle)
        return handle
    }

    /// Everything since the last round.
    public func round() -> Round {
        var round = Round()
        _ = sd_journal_process(journal)
        _ = sd_journal_process(suppressions)
        let before = cursor
        var read = 0.0
        while read < Double(Self.exactEntries), sd_journal_next(journal) > 0 {
            count(into: &round, weight: 1)
            read += 1
        }
        round.entries = read
        if read > 0 { cursor = currentCursor() }
        if read >= Double(Self.exactEntries) { estimateRest(into: &round, since: before) }
        countSuppressed(into: &round)
        return round
    }

    // MARK: Estimating

    private func estimateRest(into round: inout Round, since: JournalCursor?) {
        guard let here = cursor else { return }
        sd_journal_seek_tail(journal)
        guard sd_journal_previous(journal) > 0, let last = currentCursor() else { return }
        defer { stand(at: last) }
        guard last.series == here.series, last.number > here.number, last.time > here.time else { return }
        round.isEstimated = true
        round.entries += Double(last.number - here.number)
        var marks = [here]
        let length = (last.time - here.time) / UInt64(Self.stretches)
        for stretch in 1..<Self.stretches where length > 0 {
            sd_journal_seek_realtime_usec(journal, here.time + UInt64(stretch) * length)
            guard sd_journal_next(journal) > 0, let mark = currentCursor(), mark.series == here.series,
                mark.number > marks[marks.count - 1].number
            else { continue }
            marks.append(mark)
        }
        for (position, mark) in marks.enumerated() {
            let end = position + 1 < marks.count ? marks[position + 1].number : last.number
            readStretch(from: mark, entries: Int64(end - mark.number), into: &round)
        }
    }

    /// Reads the first entries after `mark`; they stand for all of the stretch.
    private func readStretch(from mark: JournalCursor, entries: Int64, into round: inout Round) {
        guard entries > 0 else { return }
        stand(at: mark)
        let wanted = min(Int(entries), Self.entriesPerStretch)
        let weight = Double(entries) / Double(wanted)
        var left = wanted
        while left > 0, sd_journal_next(journal) > 0 {
            count(into: &round, weight: weight)
            left -= 1
        }
    }

    private func stand(at mark: JournalCursor) {
        sd_journal_seek_cursor(journal, mark.text)
        sd_journal_next(journal)
        cursor = mark
    }

    private func currentCursor() -> JournalCursor? {
        var text: UnsafeMutablePointer<CChar>?
        guard sd_journal_get_cursor(journal, &text) >= 0, let text else { return nil }
        defer { free(text) }
        var time: UInt64 = 0
        sd_journal_get_realtime_usec(journal, &time)
        return JournalCursor(String(cString: text), time: time)
    }

    // MARK: Counting

    private func count(into round: inout Round, weight: Double) {
        guard let message = field("MESSAGE", of: journal) else { return }
        let bytes = Double(message.count) * weight
        let (source, isUnit) = source(of: journal)
        if round.shares[source] == nil, round.shares.count >= Self.maximumSources {
            round.dropped += weight
            return
        }
        var share =
            round.shares[source]
            ?? JournalShare(source: source, isUnit: isUnit, bytes: 0, entries: 0, suppressed: 0)
        share.bytes += bytes
        share.entries += weight
        round.shares[source] = share
        // Every tenth line at most is kept when there are many: the miner needs a sample.
        guard round.lines.count < Self.maximumLines, Int(share.entries) % (weight > 1 ? 1 : 7) == 0 || share.entries < 9
        else { return }
        // The first pointer died with the next call on the handle.
        guard let again = field("MESSAGE", of: journal) else { return }
        let copied = Array(again.prefix(Self.maximumMessage))
        let priority = field("PRIORITY", of: journal)?.first.map { Int($0) - 48 }
        round.lines.append(JournalLine(source: source, message: copied, priority: priority, weight: max(1, bytes)))
    }

    private func source(of handle: OpaquePointer) -> (String, Bool) {
        if let unit = text("_SYSTEMD_UNIT", of: handle) {
            if unit.hasPrefix("user@"), let inner = text("_SYSTEMD_USER_UNIT", of: handle) {
                return ("\(unit)/\(inner)", true)
            }
            return (unit, true)
        }
        if let identifier = text("SYSLOG_IDENTIFIER", of: handle) { return (identifier, false) }
        return ("(unnamed)", false)
    }

    private func countSuppressed(into round: inout Round) {
        var left = 1_000
        while left > 0, sd_journal_next(suppressions) > 0 {
            left -= 1
            guard let number = text("N_DROPPED", of: suppressions).flatMap(Int64.init), number > 0 else { continue }
            let source = text("OBJECT_SYSTEMD_UNIT", of: suppressions) ?? "(unnamed)"
            var share =
                round.shares[source] ?? JournalShare(source: source, isUnit: true, bytes: 0, entries: 0, suppressed: 0)
            share.suppressed += number
            round.shares[source] = share
        }
    }

    private func text(_ name: String, of handle: OpaquePointer) -> String? {
        field(name, of: handle).map { String(decoding: $0.prefix(256), as: UTF8.self) }
    }

    /// The field's value without its name; valid until the next call on the handle.
    private func field(_ name: String, of handle: OpaquePointer) -> UnsafeRawBufferPointer? {
        var data: UnsafeRawPointer?
        var length = 0
        guard sd_journal_get_data(handle, name, &data, &length) >= 0, let data, length > name.utf8.count else {
            return nil
        }
        return UnsafeRawBufferPointer(start: data, count: length).dropFirst(name.utf8.count + 1).rebased
    }
}

extension Slice where Base == UnsafeRawBufferPointer {
    fileprivate var rebased: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: self) }
}

/// A place in the journal: `s=<series>;i=<number, hex>;…`.
struct JournalCursor {
    var text: String
    var series: Substring
    var number: UInt64
    /// Microseconds since 1970.
    var time: UInt64

    init?(_ text: String, time: UInt64) {
        var series: Substring?
        var number: UInt64?
        for part in text.split(separator: ";") {
            if part.hasPrefix("s=") { series = part.dropFirst(2) }
            if part.hasPrefix("i=") { number = UInt64(part.dropFirst(2), radix: 16) }
        }
        guard let series, let number else { return nil }
        self.text = text
        self.series = series
        self.number = number
        self.time = time
    }
}
