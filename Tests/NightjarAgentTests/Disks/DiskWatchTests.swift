import Glibc
import NightjarDetectors
import NightjarModel
import NightjarSources
import NightjarTestKit
import Synchronization
import Testing

@testable import NightjarAgent

private final class Used: Sendable { let gibibytes = Mutex(0.0) }

/// A host whose disk says what the test wants.
private final class FakeDisk {
    let folder = TemporaryFolder()
    private let used = Used()

    init(_ lines: String...) {
        let mounts = lines.isEmpty ? ["1 0 8:1 / /data rw - ext4 /dev/vdb rw"] : lines
        folder.write("self/mountinfo", mounts.joined(separator: "\n") + "\n")
    }

    func use(_ gibibytes: Double) { used.gibibytes.withLock { $0 = gibibytes } }

    func settings(size: Double = 100) -> DiskWatch.Settings {
        var settings = DiskWatch.Settings()
        settings.root = folder.path
        settings.patience = .seconds(5)
        settings.ask = { [used] _ in
            let free = size - used.gibibytes.withLock { $0 }
            return FileSystemStatus(
                size: Bytes(Int64(size * 1_073_741_824)), available: Bytes(Int64(free * 1_073_741_824)), inodes: 1000,
                inodesFree: 500)
        }
        return settings
    }
}

extension [WatchAnswer] {
    fileprivate func finding(_ detector: String) -> Finding? {
        for answer in self where answer.detector == detector {
            if case .found(let finding) = answer.answer { return finding }
        }
        return nil
    }
}

@Suite("DiskWatch") struct DiskWatchTests {
    @Test func `a file system that fills becomes a finding about its mount point`() throws {
        let disk = FakeDisk()
        var watch = DiskWatch(settings: disk.settings())
        disk.use(50)
        #expect(watch.round(at: Moment(seconds: 0)).map(\.answer) == [.tooEarly, .tooEarly])
        disk.use(100)
        let finding = try #require(watch.round(at: Moment(seconds: 10)).finding("DiskFill"))
        #expect(finding.subject.identity == "mount:/data")
        #expect(finding.verdict == "full")
        #expect(watch.snapshot().rows.map(\.stage) == ["full"])
    }

    @Test func `a restart keeps what was known of each file system`() throws {
        let disk = FakeDisk()
        var watch = DiskWatch(settings: disk.settings())
        for hour in 0..<180 {
            disk.use(30 + Double(hour) * 9 / 24)
            _ = watch.round(at: Moment(seconds: Double(hour) * 3600))
        }
        let state = watch.encodedState()
        var again = DiskWatch(settings: disk.settings())
        let isRestored = again.restore(state)
        #expect(isRestored)
        let finding = again.round(at: Moment(seconds: 180 * 3600)).finding("DiskFill")
        #expect(finding?.verdict == "filling")
        var broken = DiskWatch(settings: disk.settings())
        let isBrokenRestored = broken.restore(Array(state.dropLast(9)))
        #expect(!isBrokenRestored)
        let isEmptyRestored = broken.restore([])
        #expect(!isEmptyRestored)
    }

    @Test func `a detector that is off says nothing, and ignored mounts are not there`() throws {
        let disk = FakeDisk(
            "1 0 8:1 / /data rw - ext4 /dev/vdb rw", "2 0 8:2 / /mnt/scratch rw - ext4 /dev/vdc rw")
        disk.use(100)
        var settings = disk.settings()
        let off = try DetectorSettings(overrides: ["DiskFill": "off"])
        settings.detectors = { _ in off }
        settings.ignores = { $0.hasPrefix("/mnt") }
        var watch = DiskWatch(settings: settings)
        let answers = watch.round(at: Moment(seconds: 0))
        #expect(answers.map(\.detector) == ["InodeFill"])
        #expect(watch.snapshot().rows.map(\.mountPoint) == ["/data"])
    }

    @Test func `a mount that does not answer is a finding of its own beside what was known`() throws {
        let disk = FakeDisk("1 0 8:1 / /data rw - ext4 /dev/vdb rw", "2 0 0:40 / /mnt/nas rw - nfs4 nas:/x rw")
        var settings = disk.settings()
        let ask = settings.ask
        let isHung = Mutex(true)
        let release: @Sendable () -> Void = { isHung.withLock { $0 = false } }
        settings.ask = { path in
            while path == "/mnt/nas", isHung.withLock({ $0 }) { usleep(2000) }
            return ask(path)
        }
        settings.deadline = .milliseconds(30)
        settings.patience = .milliseconds(50)
        var watch = DiskWatch(settings: settings)
        var finding: Finding?
        for round in 0..<200 where finding == nil {
            finding = watch.round(at: Moment(seconds: Double(round))).first {
                $0.subject.name == "/mnt/nas" && $0.answer != .quiet && $0.answer != .tooEarly
            }
            .flatMap { if case .found(let finding) = $0.answer { finding } else { nil } }
            usleep(10_000)
        }
        #expect(finding?.cause == "not answering")
        #expect(finding?.sentence.hasPrefix("/mnt/nas has not answered for") == true)
        #expect(finding?.sentence.hasSuffix("(nfs4 from nas:/x)") == true)
        #expect(watch.snapshot().rows.first { $0.mountPoint == "/data" }?.silentFor == nil)
        release()
    }
}

@Suite("DiskTable") struct DiskTableTests {
    private var snapshot: DiskSnapshot {
        let checkout = NamedProcess(pid: 4242, name: "checkout", unit: "checkout.service")
        let file = GrowingFile(
            path: "/data/log/app.log", isDeleted: false, size: .gibi(4), growth: .mebi(48), span: .seconds(10),
            writers: [checkout],
            template: LogTemplate(
                text: "cache miss for key=<*>", share: 0.92, level: .debug, firstSeen: Moment(seconds: 0), sampled: 90),
            debugShare: 0.95)
        let deleted = HeldDeletedFile(
            path: "/data/old.csv", held: .mebi(800), holders: [NamedProcess(pid: 77, name: "python3", unit: nil)])
        let data = DiskSnapshot.Row(
            mountPoint: "/data", type: "ext4", device: "/dev/vdb", size: .gibi(20), available: .gibi(7), inodes: 1000,
            inodesFree: 880, isReadOnly: false, silentFor: nil, pace: 5_033_164, timeToFull: .hours(6.1),
            timeToNoInodes: nil, stage: "forecast", growing: [file], deleted: [deleted],
            folder: GrownFolder(path: "/data/log", growth: .mebi(600), span: .minutes(2)),
            advice: [.init(what: "the journal", bytes: .gibi(2), command: "sudo journalctl --vacuum-size=500M")])
        let nas = DiskSnapshot.Row(
            mountPoint: "/mnt/nas", type: "nfs4", device: "nas:/x", size: nil, available: nil, inodes: nil,
            inodesFree: nil, isReadOnly: false, silentFor: .minutes(12), pace: 0, timeToFull: nil, timeToNoInodes: nil,
            stage: nil, growing: [], deleted: [], folder: nil, advice: [])
        return DiskSnapshot(
            time: Moment(seconds: 0), rows: [data, nas],
            notes: ["cannot see the open files of 3 processes; needs CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH"])
    }

    @Test func `one line a file system, and below it who fills it`() {
        #expect(
            DiskTable.text(snapshot, width: 120) == """
                MOUNT     SIZE    FREE          NOW         FULL IN  INODES
                /data     20 GiB  7.0 GiB 35 %  +4.8 MiB/s  6.1 h    12 %    filling
                  ├─ /data/log/app.log  +4.8 MiB a second, 4.0 GiB   checkout (checkout.service, pid 4242)
                  │    92 % debug: cache miss for key=<*>
                  │    a debug log was left on
                  ├─ /data/log  grew by 600 MiB in 2 min
                  ├─ /data/old.csv (deleted)  holds 800 MiB   python3 (pid 77)
                  ╰─ the journal  2.0 GiB   sudo journalctl --vacuum-size=500M
                /mnt/nas  ?       ?             still       -                not answering for 12 min
                note: cannot see the open files of 3 processes; needs CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH

                """)
    }

    @Test func `hostile names cannot break the table, and lines end at the terminal's edge`() {
        var hostile = snapshot
        hostile.rows[0].mountPoint = "/data\n\u{1B}[2J"
        let text = DiskTable.text(hostile, width: 40)
        #expect(!text.contains("\u{1B}"))
        #expect(text.split(separator: "\n").allSatisfy { $0.count <= 40 })
    }

    @Test func `the same as JSON, and as metrics`() {
        let json = snapshot.json.text
        #expect(
            json.hasPrefix(
                #"{"time_s":0,"disks":[{"mount":"/data","type":"ext4","device":"/dev/vdb","size_bytes":21474836480,"#))
        #expect(json.contains(#""writers":[{"name":"checkout","unit":"checkout.service","pid":4242}]"#))
        #expect(
            json.contains(
                #""template":{"text":"cache miss for key=<*>","share":0.92,"level":"debug","first_seen_s":0}"#))
        let names = snapshot.metrics.map(\.name)
        #expect(names.filter { $0 == "nightjar_mount_answers" }.count == 2)
        #expect(snapshot.metrics.first { $0.name == "nightjar_disk_fill_eta_seconds" }?.value == 21_960)
    }
}
