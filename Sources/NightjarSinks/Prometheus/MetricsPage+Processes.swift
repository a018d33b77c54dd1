import NightjarModel

extension MetricsPage {
    /// Watched processes and the biggest by anonymous memory one by one, all others summed as `(other)`: the number of
    /// series does not depend on the number of processes.
    public mutating func add(watched processes: [WatchedProcess]) {
        let order = processes.sorted { a, b in
            if a.isWatched != b.isWatched { return a.isWatched }
            if a.anonymousMemory != b.anonymousMemory { return a.anonymousMemory > b.anonymousMemory }
            return (a.unit, a.process) < (b.unit, b.process)
        }
        var shown = Array(order.prefix(limits.watched))
        if order.count > shown.count { shown.append(Self.sum(order[shown.count...])) }
        addGauges(of: shown)
        // Not for the others: who belongs to them changes, and a counter that falls is read as a restart.
        addFamily(
            "nightjar_process_cpu_seconds_total", .counter, "CPU time used, user and system, by processes that live.",
            shown
        ) { $0.cpuSeconds }
    }

    private mutating func addGauges(of shown: [WatchedProcess]) {
        addFamily("nightjar_process_instances", .gauge, "Processes that the other series of these labels sum.", shown) {
            Double($0.count)
        }
        addFamily("nightjar_process_resident_memory_bytes", .gauge, "Resident memory.", shown) {
            Double($0.residentMemory.count)
        }
        addFamily("nightjar_process_anonymous_memory_bytes", .gauge, "Anonymous memory: heap and stacks.", shown) {
            Double($0.anonymousMemory.count)
        }
        addFamily("nightjar_process_threads", .gauge, "Threads.", shown) { $0.threads.map(Double.init) }
        addFamily(
            "nightjar_process_open_fds", .gauge, "Open descriptors; of several processes, the one nearest its limit.",
            shown
        ) {
            $0.openDescriptors.map(Double.init)
        }
        addFamily("nightjar_process_max_fds", .gauge, "The soft limit of open descriptors of the same process.", shown)
        {
            $0.maxDescriptors.map(Double.init)
        }
    }

    private mutating func addFamily(
        _ name: String, _ kind: MetricFamily.Kind, _ help: String, _ shown: [WatchedProcess],
        _ value: (WatchedProcess) -> Double?
    ) {
        let series = shown.compactMap { process in
            value(process).map {
                MetricFamily.Series($0, labels: [("unit", process.unit), ("process", process.process)])
            }
        }
        guard !series.isEmpty else { return }
        add(MetricFamily(name, kind, help: help, series))
    }

    private static let others = "(other)"

    private static func sum(_ rest: ArraySlice<WatchedProcess>) -> WatchedProcess {
        func total<T: AdditiveArithmetic>(_ value: (WatchedProcess) -> T?) -> T? {
            let known = rest.compactMap(value)
            return known.isEmpty ? nil : known.reduce(.zero, +)
        }
        let nearest = rest.max { $0.descriptorsUsed < $1.descriptorsUsed }
        return WatchedProcess(
            unit: "", process: others, count: total(\.count) ?? 0, residentMemory: total(\.residentMemory) ?? .zero,
            anonymousMemory: total(\.anonymousMemory) ?? .zero,
            threads: total(\.threads), openDescriptors: nearest?.openDescriptors,
            maxDescriptors: nearest?.maxDescriptors)
    }
}

extension WatchedProcess {
    /// Share of the descriptors that it may have open; below zero where that is not known.
    fileprivate var descriptorsUsed: Double {
        guard let openDescriptors, let maxDescriptors, maxDescriptors > 0 else { return -1 }
        return Double(openDescriptors) / Double(maxDescriptors)
    }
}
