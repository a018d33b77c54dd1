// Whom did the kernel kill for memory, and how large was it?
//
// The kernel counts its kills (`oom_kill` in a cgroup's memory.events, in /proc/vmstat for the host) but the counters
// do not say whom. So two streams are brought together:
//
//     counters   ──▶  a kill at 12:03:07 in /system.slice/checkout.service    ─┐
//     deaths     ──▶  checkout ended at 12:03:08, last seen with 511 MiB      ─┴─▶  the largest that vanished then
//
// A cgroup that belongs to a unit is often removed within milliseconds of the kill, its counter with it. The host's
// counter stays, so a kill that no cgroup explains is looked for among all that vanished: the one that was near its
// limit, or large on a host that was out of memory. Where none fits, it is said so and nobody is blamed.
//
// A kill is seen up to ten seconds before or after the death is noticed (idle processes are read that rarely), so a
// kill waits that long for its victim.

public import NightjarModel

/// A process that is gone, as it was when last read.
public struct VanishedProcess: Hashable, Sendable {
    public var identity: ProcessIdentity
    public var last: ProcessSample
    /// When it was noticed that it is gone.
    public var noticedAt: Moment

    public init(identity: ProcessIdentity, last: ProcessSample, noticedAt: Moment) {
        self.identity = identity
        self.last = last
        self.noticedAt = noticedAt
    }

    /// Resident and swapped out.
    var memory: Bytes { last.rss + (last.swap ?? .zero) }
}

/// Kills by the kernel for want of memory, each with its victim. One value for the host and all its cgroups.
///
/// Bounded: 4,096 cgroups, 32 deaths of the last 30 s (the largest), 16 kills without a victim yet, 64 open alerts.
public struct OutOfMemoryKill: Sendable {
    /// The card's settings.
    public struct Settings: Hashable, Sendable {
        /// How long an alert stays open after the last kill.
        let lasts: Duration
        /// That many kills within `lasts` are critical.
        let repeated: Int

        /// - Parameter timeScale: 1 in life; demonstrations shorten every span by it.
        public init(_ values: SettingValues = SettingValues(OutOfMemoryKill.card), timeScale: Double = 1) {
            let span = values.duration("Lasts")
            lasts = max(.seconds(30), .nanoseconds(Int64(Double(span.nanosecondCount) * timeScale)))
            repeated = max(1, Int(clamping: values.count("Repeated")))
        }
    }

    static let cgroupLimit = 4096
    static let deathLimit = 32
    static let pendingLimit = 16
    static let openLimit = 64
    /// How long before and after a kill its victim's death may be noticed.
    static let patience = Duration.seconds(15)
    static let lookback = Duration.seconds(30)

    var cgroups: [String: CgroupMemory] = [:]
    var host = HostMemory()
    /// Cgroups whose counter rose since the last `decide`.
    private var risen: Set<String> = []
    private var prunedAt = Moment(nanoseconds: 0)
    private(set) var deaths: [VanishedProcess] = []
    private(set) var pending: [PendingKill] = []
    private(set) var open: [String: OpenKill] = [:]
    /// Kills that came while sixteen others still waited for their victims.
    public private(set) var overlooked = 0

    public init() {}

    /// A process is gone. Costs nothing but a copy; the largest of the last half minute are kept.
    public mutating func vanished(_ process: VanishedProcess) {
        deaths.append(process)
        guard deaths.count > Self.deathLimit else { return }
        let smallest = deaths.indices.min { deaths[$0].memory < deaths[$1].memory }
        if let smallest { deaths.remove(at: smallest) }
    }

    /// Takes one reading of a cgroup, before `decide`.
    public mutating func observe(_ sample: borrowing CgroupSample) {
        let path = sample.path
        guard cgroups[path] != nil || cgroups.count < Self.cgroupLimit else { return }
        cgroups[path, default: CgroupMemory()].take(sample)
        if cgroups[path]?.newKills ?? 0 > 0 { risen.insert(path) }
    }

    /// Takes one reading of the host, before `decide`.
    public mutating func observe(_ sample: borrowing HostSample) { host.take(sample) }

    /// Once a round, after all readings of it: reports each kill with its victim, and the end of each alert.
    /// While an alert is open it is confirmed once a minute.
    public mutating func decide(
        at now: Moment, _ settings: borrowing Settings, report: (Subject, Answer) -> Void
    ) {
        collectKills(at: now)
        for kill in takeDecided(at: now) {
            let found = admit(kill, at: now, settings)
            if let found { report(found.subject, .found(found.finding(settings))) }
        }
        confirmAndClose(at: now, settings, report: report)
        forgetOld(at: now)
    }

    /// Turns counters that rose into kills that wait for a victim.
    private mutating func collectKills(at now: Moment) {
        var explained: Int64 = 0
        let above = risen.isEmpty ? [] : Self.ancestors(of: risen)
        for path in risen {
            let kills = cgroups[path]?.newKills ?? 0
            cgroups[path]?.newKills = 0
            // Counters of cgroup v2 include everything below: the deepest one that rose is the one that is meant.
            if above.contains(path) { continue }
            explained += kills
            for _ in 0..<min(kills, Int64(Self.pendingLimit)) { wait(PendingKill(at: now, cgroup: path)) }
        }
        risen = []
        for _ in 0..<min(host.takeUnexplained(explained, at: now), Int64(Self.pendingLimit)) {
            wait(PendingKill(at: now, cgroup: nil))
        }
    }

    /// `/a/b/c` has `/a/b`, `/a` and `/` above it.
    private static func ancestors(of paths: Set<String>) -> Set<String> {
        var above: Set<String> = []
        for path in paths where path != "/" {
            var rest = path[...]
            while let slash = rest.lastIndex(of: "/") {
                rest = rest[..<slash]
                above.insert(rest.isEmpty ? "/" : String(rest))
            }
        }
        return above
    }

    /// Cgroups that were not read for ten minutes are gone.
    private mutating func forgetOld(at now: Moment) {
        deaths.removeAll { now - $0.noticedAt > Self.lookback }
        guard now - prunedAt >= .minutes(1) else { return }
        prunedAt = now
        cgroups = cgroups.filter { now - $0.value.time < .minutes(10) }
    }

    private mutating func wait(_ kill: PendingKill) {
        if pending.count < Self.pendingLimit { pending.append(kill) } else { overlooked += 1 }
    }

    /// Kills whose victim is known, or which have waited long enough.
    private mutating func takeDecided(at now: Moment) -> [DecidedKill] {
        var decided: [DecidedKill] = []
        var waiting: [PendingKill] = []
        for kill in pending {
            if let index = victim(of: kill) {
                let victim = deaths.remove(at: index)
                decided.append(DecidedKill(kill: kill, victim: victim, cgroup: cgroup(of: kill, victim)))
            } else if now - kill.at >= Self.patience {
                decided.append(DecidedKill(kill: kill, victim: nil, cgroup: cgroup(of: kill, nil)))
            } else {
                waiting.append(kill)
            }
        }
        pending = waiting
        return decided
    }

    /// Where it was counted, or else the victim's own, if that was nearly full.
    private func cgroup(of kill: PendingKill, _ victim: VanishedProcess?) -> CgroupMemory? {
        if let counted = kill.cgroup.flatMap({ cgroups[$0] }) { return counted }
        guard let victim, let own = victim.identity.cgroup.flatMap({ cgroups[$0] }), own.wasFull(of: victim.memory)
        else { return nil }
        return own
    }

    /// The largest that vanished where the kill was counted; for the host's count, the largest that was near a limit.
    private func victim(of kill: PendingKill) -> Int? {
        let fitting = deaths.indices.filter { index in
            let death = deaths[index]
            guard let path = death.identity.cgroup else { return kill.cgroup == nil && wasInNeed(death) }
            guard let cgroup = kill.cgroup else { return wasInNeed(death) }
            return path == cgroup || path.hasPrefix(cgroup == "/" ? "/" : cgroup + "/")
        }
        return fitting.max { deaths[$0].memory < deaths[$1].memory }
    }

    /// Whether memory can have been the reason: its cgroup was nearly full, or the host was and it was large; or it was so
    /// large that the host can have been full between two readings.
    private func wasInNeed(_ death: VanishedProcess) -> Bool {
        if let own = death.identity.cgroup.flatMap({ cgroups[$0] }), own.wasFull(of: death.memory) { return true }
        let share = Double(death.memory.count) / Double(max(1, host.total.count))
        return share >= (host.isShort ? 0.05 : 0.25)
    }

    private mutating func admit(_ kill: DecidedKill, at now: Moment, _ settings: borrowing Settings) -> OpenKill? {
        let fresh = OpenKill(kill, host: host, at: now)
        let key = fresh.subject.identity
        guard var known = open[key] else {
            guard open.count < Self.openLimit else {
                overlooked += 1
                return nil
            }
            open[key] = fresh
            return fresh
        }
        known.repeatWith(fresh, at: now, within: settings.lasts)
        open[key] = known
        return known
    }

    private mutating func confirmAndClose(
        at now: Moment, _ settings: borrowing Settings, report: (Subject, Answer) -> Void
    ) {
        for (key, kill) in open {
            if now - kill.lastKill >= settings.lasts {
                open[key] = nil
                report(kill.subject, .quiet)
            } else if now - kill.toldAt >= .minutes(1) {
                open[key]?.toldAt = now
                report(kill.subject, .found(kill.finding(settings)))
            }
        }
    }

    mutating func restore(cgroups: [String: CgroupMemory], host: HostMemory, open: [String: OpenKill]) {
        (self.cgroups, self.host, self.open) = (cgroups, host, open)
    }
}
