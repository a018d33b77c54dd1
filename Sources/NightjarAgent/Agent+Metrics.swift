import Glibc
import NightjarAlerts
import NightjarDetectors
import NightjarHistory
import NightjarModel
import NightjarSinks
import NightjarSources

// `/metrics`: bounded whatever the number of processes. Watched ones and the largest are named, the rest is summed.

extension Agent {
    func metrics(_ request: APIRequest) -> APIResponse {
        var page = MetricsPage()
        page.add(ownHealth)
        page.add(sinks: sinks.map { ($0.name, $0.counters) })
        let counters = book.counters
        page.add(
            alerts: book.open,
            totals: AlertTotals(opened: counters.opened, resolved: counters.resolved, dropped: counters.dropped),
            cards: DetectorRegistry.all)
        page.add(detectors: DetectorRegistry.all.map { ($0.name, observatory.isOn($0.name)) })
        if let host = observatory.host { page.add(host) }
        page.add(watched: watchedProcesses)
        for family in observatory.groupMetrics { page.add(family) }
        for family in watches.metrics { page.add(family) }
        let format = MetricsFormat.negotiate(accept: request.accept)
        return APIResponse(contentType: format.contentType, body: page.text(format))
    }

    private var ownHealth: OwnHealth {
        let memory = SelfWatch.memory()
        let isOnDisk = history.condition == .disk
        return OwnHealth(
            version: agentVersion, cpuSeconds: SteadyClock.processCPU.inSeconds, residentMemory: memory?.rss ?? .zero,
            virtualMemory: memory?.virtual ?? .zero, openDescriptors: SelfWatch.descriptors,
            maxDescriptors: SelfWatch.descriptorLimit, threads: SelfWatch.threads, startedAt: startedAt,
            rounds: selfWatch.rounds, lateRounds: selfWatch.lateRounds, roundDuration: selfWatch.lastRound,
            roundInterval: selfWatch.interval, subjects: observatory.processCount, historyInMemory: !isOnDisk,
            errors: observatory.errors + watches.errors)
    }

    /// Processes by unit and name, summed where several share both.
    private var watchedProcesses: [WatchedProcess] {
        let watch = config.list("Processes", "Watch").map { Glob($0) }
        let alarmed = Set(book.open.compactMap(\.finding.subject.process))
        var merged: [String: WatchedProcess] = [:]
        for row in observatory.rows(alerts: []) {
            let (name, unit) = (row.identity.name, row.identity.unit ?? "")
            let isWatched =
                alarmed.contains(row.identity.key)
                || watch.contains { $0.matches(name) || (!unit.isEmpty && $0.matches(unit)) }
            let one = WatchedProcess(row, isWatched: isWatched)
            let key = "\(unit)\u{0}\(name)"
            merged[key] = merged[key].map { $0.merged(with: one) } ?? one
        }
        return Array(merged.values)
    }
}

extension WatchedProcess {
    init(_ row: ProcessRow, isWatched: Bool) {
        self.init(
            unit: row.identity.unit ?? "", process: row.identity.name, residentMemory: row.sample.rss,
            anonymousMemory: row.sample.anonymous, cpuSeconds: row.sample.cpuTime?.inSeconds,
            threads: row.sample.threads,
            openDescriptors: row.sample.descriptors, maxDescriptors: row.sample.descriptorLimit, isWatched: isWatched)
    }

    /// Sums, with the descriptors of the one that is nearest its limit.
    func merged(with other: WatchedProcess) -> WatchedProcess {
        func fill(_ process: WatchedProcess) -> Double {
            guard let open = process.openDescriptors, let limit = process.maxDescriptors, limit > 0 else { return -1 }
            return Double(open) / Double(limit)
        }
        let nearest = fill(other) > fill(self) ? other : self
        return WatchedProcess(
            unit: unit, process: process, count: count + other.count,
            residentMemory: residentMemory + other.residentMemory,
            anonymousMemory: anonymousMemory + other.anonymousMemory,
            cpuSeconds: (cpuSeconds ?? 0) + (other.cpuSeconds ?? 0), threads: (threads ?? 0) + (other.threads ?? 0),
            openDescriptors: nearest.openDescriptors, maxDescriptors: nearest.maxDescriptors,
            isWatched: isWatched || other.isWatched)
    }
}

extension SelfWatch {
    /// Open descriptors of this process; the kernel answers by `stat` since 6.2, before that they are counted.
    static var descriptors: Int {
        var status = stat()
        if stat("/proc/self/fd", &status) == 0, status.st_size > 0 { return Int(status.st_size) }
        guard let folder = opendir("/proc/self/fd") else { return 0 }
        defer { closedir(folder) }
        var count = -3  // ".", "..", and the descriptor of the folder itself
        while readdir(folder) != nil { count += 1 }
        return max(0, count)
    }

    static var descriptorLimit: Int {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(UInt32(RLIMIT_NOFILE.rawValue)), &limit)
        return Int(clamping: limit.rlim_cur)
    }

    static var threads: Int {
        var status = stat()
        return stat("/proc/self/task", &status) == 0 ? max(1, Int(status.st_nlink) - 2) : 1
    }
}
