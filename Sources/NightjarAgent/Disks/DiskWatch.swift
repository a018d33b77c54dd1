// Disks, from the kernel to the answer: readings, detectors, and, once something moves, the one who moves it.
//
//     DiskReader ─▶ MountSample ─▶ DiskFill, InodeFill ─▶ Answer ─╮
//         │ a mount drains, or a condition holds                   ├─▶ the finding names file, process, unit, message
//         ╰─▶ side thread: DiskLook, FolderWalk, Reclaimable ──────╯
//
// Looking for the culprit costs milliseconds, so it happens only while a file system drains or a condition holds, and
// never takes more than one part in a hundred of the time. A round waits for nobody longer than its patience.

public import NightjarDetectors
public import NightjarModel
public import NightjarSources

/// The file systems of this host, watched. Call `round` on one thread.
public struct DiskWatch: ~Copyable {
    /// What is watched and how long it may take.
    public struct Settings: Sendable {
        /// `/proc`, or a tree that looks like it.
        public var root = "/proc"
        /// Types that are watched besides those with a disk: `["tmpfs"]`.
        public var alsoTypes: Set<String> = []
        /// A file system that does not answer for so long is reported.
        public var deadline: Duration = .seconds(5)
        /// A round waits for answers no longer than this.
        public var patience: Duration = .milliseconds(20)
        /// File systems that are not watched at all.
        public var ignores: @Sendable (_ mountPoint: String) -> Bool = { _ in false }
        public var detectors: @Sendable (_ mountPoint: String) -> DetectorSettings = { _ in .defaults }
        /// Takes the place of `statvfs` in tests.
        public var ask: @Sendable (String) -> FileSystemStatus? = { FileSystemStatus.ask($0) }

        public init() {}
    }

    var settings: Settings
    let reader: DiskReader
    var mounts: [String: WatchedMount] = [:]
    let looks: SideWorker<DiskLook>
    let walks: SideWorker<DiskSurvey>
    var lastLook: DiskLook?
    /// Histories of an earlier run, until their file systems are seen.
    var restored: [String: RestoredMount] = [:]
    var nextLook = Moment(nanoseconds: .min)
    var now = Moment(nanoseconds: 0)

    public init(settings: Settings = Settings()) {
        self.settings = settings
        reader = DiskReader(
            root: settings.root, also: settings.alsoTypes, deadline: settings.deadline, ask: settings.ask)
        looks = SideWorker(deadline: .seconds(30))
        walks = SideWorker(deadline: .seconds(60))
    }

    /// New settings, as after a reload; histories stay.
    public mutating func apply(_ settings: Settings) {
        self.settings.ignores = settings.ignores
        self.settings.detectors = settings.detectors
        self.settings.patience = settings.patience
        mounts = mounts.mapValues { mount in
            var mount = mount
            mount.apply(settings.detectors(mount.mountPoint))
            return mount
        }
    }

    /// When the next round is wanted: sooner while a file system drains fast.
    public var wantedInterval: Duration {
        mounts.values.contains { $0.drains } ? .seconds(1) : .seconds(10)
    }

    /// One round: every watched file system's answers. `identify` may know names better than `/proc/PID/comm`.
    public mutating func round(at now: Moment, identify: ((Int32) -> ProcessIdentity?)? = nil) -> [WatchAnswer] {
        self.now = now
        let readings = reader.round(at: now, patience: settings.patience).filter {
            !settings.ignores($0.mount.mountPoint)
        }
        let seen = Set(readings.map(\.mount.mountPoint))
        mounts = mounts.filter { seen.contains($0.key) }
        collectLooks(identify)
        var answers: [WatchAnswer] = []
        for reading in readings {
            let path = reading.mount.mountPoint
            var mount = mounts.removeValue(forKey: path) ?? newMount(reading)
            mount.take(reading)
            answers += mount.answers(settings.detectors(path), culprit: culprit(of: mount))
            mounts[path] = mount
        }
        lookIfNeeded()
        return answers
    }

    /// With the history of an earlier run, if it is the same source that is mounted there.
    private mutating func newMount(_ reading: DiskReading) -> WatchedMount {
        let path = reading.mount.mountPoint
        var mount = WatchedMount(settings.detectors(path))
        if let known = restored.removeValue(forKey: path), known.source == reading.mount.source {
            mount.disk = known.disk
            mount.inode = known.inode
        }
        return mount
    }

    // MARK: The culprit

    /// Looks are shared by all devices that move; the next one waits a hundred times as long as the last one took, ten
    /// times while a disk drains.
    private mutating func lookIfNeeded() {
        let moving = mounts.values.filter { $0.isSuspicious }
        guard !moving.isEmpty else {
            // Nothing moves: the next movement begins with a fresh comparison.
            if let look = lastLook, now - look.open.time > .minutes(5) { lastLook = nil }
            return
        }
        let devices = Set(moving.map(\.device))
        if now >= nextLook {
            let (before, root, time) = (lastLook?.open, settings.root, now)
            if looks.submit("look", { DiskLook.take(devices: devices, after: before, root: root, at: time) }) {
                nextLook = now + (moving.contains { $0.drains } ? .seconds(2) : .seconds(30))
            }
        }
        for mount in moving where mount.needsSurvey(at: now) {
            let (path, device, time, root) = (mount.mountPoint, mount.device, now, settings.root)
            walks.submit(path) { DiskSurvey.take(path, device: device, root: root, at: time, wall: wallSeconds()) }
        }
    }

    private mutating func collectLooks(_ identify: ((Int32) -> ProcessIdentity?)?) {
        for (_, look) in looks.collect(patience: .zero) {
            var look = look
            if let identify { look.rename(identify) }
            // While a disk drains, who does it matters more than a tenth of a core for a few seconds.
            let pause = mounts.values.contains { $0.drains } ? 10 : 100
            nextLook = max(nextLook, now + look.cost * pause)
            // A look without anything grown since the last one does not erase what was known a moment ago.
            for (device, files) in lastLook?.growing ?? [:] where look.growing[device, default: []].isEmpty {
                look.growing[device] = now - look.open.time < .minutes(2) ? files : []
            }
            lastLook = look
        }
        for (path, survey) in walks.collect(patience: .zero) { mounts[path]?.take(survey) }
    }

    func culprit(of mount: borrowing WatchedMount) -> DiskCulprit {
        DiskCulprit(
            files: lastLook?.growing[mount.device] ?? [], deleted: lastLook?.deleted[mount.device] ?? [],
            folder: mount.survey?.grown, recent: mount.survey?.recent ?? [],
            reclaimable: mount.survey?.reclaimable ?? [])
    }
}

extension DiskLook {
    /// Better names, where the agent knows the processes.
    mutating func rename(_ identify: (Int32) -> ProcessIdentity?) {
        func better(_ process: NamedProcess) -> NamedProcess {
            guard let identity = identify(process.pid) else { return process }
            return NamedProcess(pid: process.pid, name: identity.name, unit: identity.unit ?? process.unit)
        }
        for device in growing.keys {
            for file in growing[device]!.indices {
                growing[device]![file].writers = growing[device]![file].writers.map(better)
            }
        }
        for device in deleted.keys {
            for file in deleted[device]!.indices {
                deleted[device]![file].holders = deleted[device]![file].holders.map(better)
            }
        }
    }
}
