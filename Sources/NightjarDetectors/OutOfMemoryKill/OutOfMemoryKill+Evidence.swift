// What is remembered between two readings of a counter, and the words for a kill.

import NightjarModel

/// No counter is believed beyond a million kills between two readings.
private func added(_ more: Int64, to kills: Int64) -> Int64 { min(1_000_000, kills + min(1_000_000, max(0, more))) }

/// One cgroup's counter and limit, as last read.
struct CgroupMemory: Hashable, Sendable {
    var time = Moment(nanoseconds: 0)
    var unit: String?
    var kills: Int64?
    var limit: Bytes?
    var limitedBy: String?
    var current: Bytes?
    /// Kills since the last `decide`.
    var newKills: Int64 = 0

    mutating func take(_ sample: borrowing CgroupSample) {
        if let now = sample.oomKills, now >= 0, let before = kills {
            // A smaller count is a new cgroup of the same name: what it counted so far is new.
            newKills = added(now >= before ? now - before : now, to: newKills)
        }
        kills = sample.oomKills.map { max(0, $0) } ?? kills
        time = sample.time
        unit = sample.unit
        limit = sample.memoryLimit
        limitedBy = sample.limitedBy
        current = sample.memoryCurrent
    }

    /// At its last reading seven tenths of its limit were in use: readings are seconds old when the kernel kills.
    func wasFull(of memory: Bytes) -> Bool {
        guard let limit else { return false }
        return Double(max(memory, current ?? .zero).count) >= 0.7 * Double(limit.count)
    }
}

/// The host's counter, and how much memory was left.
struct HostMemory: Hashable, Sendable {
    var total = Bytes.zero
    /// The least that was available in the last half minute: a kill frees memory at once, and its victim is known later.
    var available = Bytes.zero
    private var lowestAt = Moment(nanoseconds: -1_000_000_000_000)
    var kills: Int64?
    private var newKills: Int64 = 0
    /// Kills that the host counted and no cgroup did; they wait a few seconds, for the two are read one after the other.
    private var surplus: Int64 = 0
    private var surplusSince = Moment(nanoseconds: 0)

    static let grace = Duration.seconds(5)

    /// Less than a twentieth is left.
    var isShort: Bool { available.count * 20 < total.count }

    mutating func take(_ sample: borrowing HostSample) {
        total = sample.memoryTotal
        let age = sample.time - lowestAt
        if sample.memoryAvailable <= available || age > OutOfMemoryKill.lookback {
            (available, lowestAt) = (sample.memoryAvailable, sample.time)
        }
        if let now = sample.oomKills, now >= 0, let before = kills { newKills = added(now - before, to: newKills) }
        kills = sample.oomKills.map { max(0, $0) } ?? kills
    }

    /// Kills that no cgroup has explained for the length of the grace.
    mutating func takeUnexplained(_ explained: Int64, at now: Moment) -> Int64 {
        defer { newKills = 0 }
        if surplus == 0 { surplusSince = now }
        surplus += newKills - (kills == nil ? 0 : explained)
        guard surplus != 0, now - surplusSince >= Self.grace else { return 0 }
        defer { surplus = 0 }
        return max(0, surplus)
    }
}

/// A kill that was counted and whose victim is not known yet.
struct PendingKill: Hashable, Sendable {
    var at: Moment
    /// The cgroup that counted it; nil where only the host did.
    var cgroup: String?
}

struct DecidedKill: Hashable, Sendable {
    var kill: PendingKill
    var victim: VanishedProcess?
    var cgroup: CgroupMemory?
}

/// A kill, or several of one subject, that is still told of.
struct OpenKill: Hashable, Sendable {
    var subject: Subject
    var lastKill: Moment
    var toldAt: Moment
    /// The newest eight kills of this subject, oldest first.
    var kills: [Moment]
    /// Its memory at the last reading before it vanished.
    var size: Bytes?
    var anonymous: Bytes?
    var limit: Bytes?
    var limitedBy: String?
    var available: Bytes

    init(_ decided: DecidedKill, host: HostMemory, at now: Moment) {
        let unit = decided.cgroup?.unit ?? decided.victim?.identity.unit
        subject =
            decided.victim?.identity.subject
            ?? unit.map { Subject(.unit, name: $0, unit: $0) } ?? .host
        lastKill = decided.kill.at
        toldAt = now
        kills = [decided.kill.at]
        size = decided.victim?.memory
        anonymous = decided.victim?.last.anonymous
        limit = decided.cgroup?.limit
        limitedBy = decided.cgroup?.limitedBy
        available = host.available
    }

    init(
        subject: Subject, kills: [Moment], size: Bytes?, anonymous: Bytes?, limit: Bytes?, limitedBy: String?,
        available: Bytes
    ) {
        self.subject = subject
        self.kills = kills
        lastKill = kills.last ?? Moment(nanoseconds: 0)
        toldAt = lastKill
        (self.size, self.anonymous, self.limit, self.limitedBy) = (size, anonymous, limit, limitedBy)
        self.available = available
    }

    mutating func repeatWith(_ newer: OpenKill, at now: Moment, within span: Duration) {
        let times = (kills + newer.kills).filter { now - $0 < span }.suffix(8)
        self = newer
        kills = Array(times)
    }
}

extension OpenKill {
    private var isSeen: Bool { size != nil }

    private var verdict: String {
        if !isSeen && subject.kind == .host { return "killed, not seen" }
        return limit == nil ? "killed for the host" : "killed at its limit"
    }

    private func severity(_ settings: borrowing OutOfMemoryKill.Settings) -> Severity {
        if !isSeen && subject.kind == .host { return .notice }
        return kills.count >= settings.repeated || limit == nil ? .critical : .warning
    }

    private var sentence: String {
        var text = "killed by the kernel for want of memory"
        if let size { text += ", last seen with \(size)" }
        if !isSeen && subject.kind == .host { text = "the kernel killed a process that is not visible from here" }
        if let limit {
            text += ", at the limit of \(limitedBy ?? "its cgroup"), \(limit)"
        } else if isSeen || subject.kind == .unit {
            text += ", the host had \(available) left"
        }
        if kills.count > 1, let first = kills.first {
            text += "; \(kills.count == 8 ? "8 or more" : "\(kills.count)") times in \((lastKill - first).spoken)"
        }
        return text
    }

    func finding(_ settings: borrowing OutOfMemoryKill.Settings) -> Finding {
        var evidence = [EvidenceField("kills", .count(Int64(kills.count)))]
        if let size { evidence.append(EvidenceField("size", .bytes(size))) }
        if let anonymous { evidence.append(EvidenceField("anonymous", .bytes(anonymous))) }
        if let limit { evidence.append(EvidenceField("limit", .bytes(limit))) }
        if let limitedBy { evidence.append(EvidenceField("limited_by", .text(limitedBy))) }
        evidence.append(EvidenceField("available", .bytes(available)))
        return Finding(
            detector: OutOfMemoryKill.card.name, subject: subject, severity: severity(settings), verdict: verdict,
            sentence: sentence, evidence: evidence,
            nextStep: "journalctl -k -g 'oom-kill|Killed process' -n 20")
    }
}
