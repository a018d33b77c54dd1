// Without an agent: two readings some seconds apart, as `nightjar disk` and `nightjar logs` take them themselves.

import Glibc
import NightjarModel
import NightjarSources

extension DiskSnapshot {
    /// Watches for `span`, looks for who writes, and tells. Blocks for a little longer than `span`.
    public static func measure(root: String = "/proc", also: Set<String> = [], span: Duration) -> DiskSnapshot {
        var settings = DiskWatch.Settings()
        settings.root = root
        settings.alsoTypes = also
        settings.patience = .milliseconds(500)
        var watch = DiskWatch(settings: settings)
        _ = watch.round(at: monotonicNow())
        watch.look(at: monotonicNow(), waiting: .seconds(5))
        usleep(UInt32(min(span.inSeconds, 3600) * 1e6))
        _ = watch.round(at: monotonicNow())
        watch.look(at: monotonicNow(), waiting: .seconds(5))
        return watch.snapshot()
    }
}

extension DiskWatch {
    /// One look at all file systems now, moving or not, waiting for it.
    mutating func look(at time: Moment, waiting patience: Duration) {
        let devices = Set(mounts.values.filter { $0.sample != nil }.map(\.device))
        let (before, root) = (lastLook?.open, settings.root)
        looks.submit("look") { DiskLook.take(devices: devices, after: before, root: root, at: time) }
        for (_, look) in looks.collect(patience: patience) { lastLook = look }
    }
}

extension LogSnapshot {
    /// Watches for `span` and tells. Blocks for a little longer than `span`.
    public static func measure(root: String = "/proc", patterns: [String]? = nil, span: Duration) -> LogSnapshot {
        var settings = LogWatch.Settings()
        settings.root = root
        if let patterns { settings.patterns = patterns }
        settings.patience = .seconds(5)
        var watch = LogWatch(settings: settings)
        _ = watch.round(at: monotonicNow())
        usleep(UInt32(min(span.inSeconds, 3600) * 1e6))
        _ = watch.round(at: monotonicNow())
        return watch.snapshot()
    }
}
