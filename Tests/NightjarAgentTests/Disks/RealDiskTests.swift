import Foundation
import NightjarModel
import NightjarSources
import NightjarTestKit
import Testing

@testable import NightjarAgent

// Real small file systems, filled by real processes. Mounts need root and a mount namespace of their own, so the suite
// `Real disks` starts this test program again inside one, with only the suite `In the sandbox` chosen.

private let isInside = ProcessInfo.processInfo.environment["NIGHTJAR_DISK_SANDBOX"] == "1"

@Suite("Real disks", .enabled(if: getuid() == 0, "mounting small file systems needs root")) struct RealDiskTests {
    @Test(.disabled(if: isInside), .timeLimit(.minutes(5)))
    func `in a mount namespace of their own, small disks are filled and the culprit is named`() throws {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/unshare")
        process.arguments =
            ["--mount", "--propagation", "private", "--", "/usr/bin/env", "NIGHTJAR_DISK_SANDBOX=1"]
            + Self.sameProgram(filter: "RealDiskSandboxTests")
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(process.terminationStatus == 0, "\(text.suffix(4000))")
        // A filter that chose nothing would be a success that says nothing.
        #expect(text.contains("RealDiskSandboxTests") || text.contains("In the sandbox"), "\(text.suffix(2000))")
        #expect(!text.contains("0 tests"), "\(text.suffix(2000))")
    }

    /// The arguments that started this program, with another choice of tests.
    private static func sameProgram(filter: String) -> [String] {
        var kept: [String] = []
        var skipsNext = false
        for argument in ProcessInfo.processInfo.arguments {
            if skipsNext {
                skipsNext = false
                continue
            }
            let dropped = [
                "--filter", "--skip", "--event-stream-output-path", "--event-stream-version", "--xunit-output",
            ]
            if dropped.contains(argument) {
                skipsNext = true
            } else {
                kept.append(argument)
            }
        }
        return kept + ["--filter", filter]
    }
}

@Suite("In the sandbox", .enabled(if: isInside, "runs inside the suite Real disks")) struct RealDiskSandboxTests {
    @Test func `a debug log at 50 MB a second is named with file, process, unit and message before the disk is full`()
        throws
    {
        let disk = try SmallDisk(megabytes: 1500)
        let writer = try Filler(unit: "nightjar-test-flood.service")
        try writer.fill("\(disk.path)/app/debug.log", bytesPerSecond: 50_000_000)
        let seen = try disk.watchUntilNamed(every: 0.25)
        #expect(seen.available > .zero)
        #expect(seen.finding.sentence.contains("\(disk.path)/app/debug.log"))
        #expect(seen.finding.sentence.contains("perl (") && seen.finding.sentence.contains("pid \(writer.pid))"))
        if writer.hasUnit { #expect(seen.finding.sentence.contains("nightjar-test-flood.service")) }
        #expect(
            seen.finding.details.contains { $0.contains("debug message: DEBUG cache miss for key=<*> in shard <*>") })
        #expect(seen.finding.details.contains("a debug log was left on"))
    }

    @Test func `a slow writer of 100 kB a second is named before its small disk is full`() throws {
        let disk = try SmallDisk(megabytes: 3)
        disk.take(1_200_000)
        let writer = try Filler(unit: "nightjar-test-slow.service")
        try writer.fill("\(disk.path)/slow.log", bytesPerSecond: 100_000)
        let seen = try disk.watchUntilNamed(every: 0.5)
        #expect(seen.available > .zero)
        #expect(seen.finding.sentence.contains("\(disk.path)/slow.log"))
        #expect(seen.finding.sentence.contains("pid \(writer.pid))"))
    }

    @Test func `a deleted file that is still open is named with its holder and its bytes, on ext4`() throws {
        let disk = try SmallDisk(megabytes: 24, ext4: true)
        let holder = try Filler(unit: "nightjar-test-holder.service")
        try holder.holdDeleted("\(disk.path)/export.csv", megabytes: 21)
        let seen = try disk.watchUntil(every: 0.25) { finding, snapshot in
            snapshot.rows.contains { !$0.deleted.isEmpty } && !finding.details.isEmpty
        }
        let line = try #require(seen.finding.details.first { $0.contains("deleted but held open") })
        #expect(line.hasPrefix("\(disk.path)/export.csv is deleted but held open by perl ("))
        #expect(line.hasSuffix("pid \(holder.pid)): 21 MiB"))
        #expect(DiskTable.text(seen.snapshot).contains("export.csv (deleted)  holds 21 MiB"))
    }

    @Test func `root's reserved blocks are not free space`() throws {
        let disk = try SmallDisk(megabytes: 24, ext4: true, reserved: 20)
        let status = try #require(FileSystemStatus.ask(disk.path))
        var raw = statvfs()
        #expect(statvfs(disk.path, &raw) == 0)
        #expect(status.available.count == Int64(raw.f_bavail) * Int64(raw.f_frsize))
        #expect(status.available.count < Int64(raw.f_bfree) * Int64(raw.f_frsize))
        #expect(status.size.count < Int64(raw.f_blocks) * Int64(raw.f_frsize))
    }

    @Test func `the last inode gone is a finding though there is space`() throws {
        let disk = try SmallDisk(megabytes: 4, inodes: 40)
        for number in 0..<60 { _ = FileManager.default.createFile(atPath: "\(disk.path)/f\(number)", contents: nil) }
        var watch = DiskWatch(settings: disk.settings)
        var inode: Finding?
        for round in 0..<50 where inode == nil {
            for answer in watch.round(at: Moment(seconds: Double(round))) where answer.subject.name == disk.path {
                if case .found(let finding) = answer.answer { inode = finding }
            }
        }
        #expect(inode?.detector == "InodeFill")
        #expect(inode?.verdict == "full")
    }
}

// MARK: The parts

/// A small file system of its own, unmounted at the end. Only inside the sandbox.
private final class SmallDisk {
    let path: String
    private let folder = TemporaryFolder()

    init(megabytes: Int, ext4: Bool = false, reserved: Int = 0, inodes: Int? = nil) throws {
        folder.makeFolder("disk")
        path = "\(folder.path)/disk"
        if ext4 {
            let image = "\(folder.path)/image"
            try run("/usr/bin/truncate", "-s", "\(megabytes)M", image)
            try run("/sbin/mkfs.ext4", "-q", "-F", "-m", "\(reserved)", "-O", "^has_journal", image)
            try run("/bin/mount", "-o", "loop", image, path)
        } else {
            let count = inodes.map { ",nr_inodes=\($0)" } ?? ""
            try run("/bin/mount", "-t", "tmpfs", "-o", "size=\(megabytes)m\(count)", "tmpfs", path)
        }
    }

    deinit { try? run("/bin/umount", "-l", path) }

    func take(_ bytes: Int) {
        _ = FileManager.default.createFile(atPath: "\(path)/ballast", contents: Data(count: bytes))
    }

    var settings: DiskWatch.Settings {
        var settings = DiskWatch.Settings()
        settings.alsoTypes = ["tmpfs"]
        settings.patience = .milliseconds(500)
        let mine = path
        settings.ignores = { $0 != mine }
        return settings
    }

    struct Seen {
        var finding: Finding
        var available: Bytes
        var snapshot: DiskSnapshot
    }

    /// Until a finding names a file and who writes it.
    func watchUntilNamed(every seconds: Double) throws -> Seen {
        try watchUntil(every: seconds) { finding, _ in
            finding.sentence.contains("most of it") && finding.sentence.contains("pid ") && !finding.details.isEmpty
        }
    }

    func watchUntil(every seconds: Double, _ isEnough: (Finding, DiskSnapshot) -> Bool) throws -> Seen {
        var watch = DiskWatch(settings: settings)
        let begin = ContinuousClock.now
        while ContinuousClock.now - begin < .seconds(60) {
            let now = Moment(
                nanoseconds: Moment(seconds: 1e9).nanoseconds + (ContinuousClock.now - begin).nanosecondCount)
            for answer in watch.round(at: now) where answer.detector == "DiskFill" {
                guard case .found(let finding) = answer.answer, isEnough(finding, watch.snapshot()) else { continue }
                let available = watch.snapshot().rows.first?.available ?? .zero
                return Seen(finding: finding, available: available, snapshot: watch.snapshot())
            }
            Thread.sleep(forTimeInterval: seconds)
        }
        throw NotNamed(snapshot: DiskTable.text(watch.snapshot()))
    }

    struct NotNamed: Error { var snapshot: String }
}

/// A process of its own that writes, in a cgroup that looks like a unit's where that can be had.
private final class Filler {
    private let process = Process()
    private let unit: String
    private var group: String?

    var pid: Int32 { process.processIdentifier }
    var hasUnit: Bool { group != nil }

    init(unit: String) throws { self.unit = unit }

    func fill(_ path: String, bytesPerSecond: Int) throws {
        try FileManager.default.createDirectory(
            atPath: URL(filePath: path).deletingLastPathComponent().path, withIntermediateDirectories: true)
        try start(
            """
            use Time::HiRes qw(sleep time); open(my $f, '>>', $ARGV[0]) or die; my ($n, $sent, $begin) = (0, 0, time);
            while (1) {
                my $due = (time - $begin) * $ARGV[1] - $sent;
                if ($due < 4000) { sleep(0.01); next }
                my $block = ''; my $want = $due > 1000000 ? 1000000 : $due;
                while (length($block) < $want) { $n++;
                    $block .= "DEBUG cache miss for key=${n}f3a in shard " . ($n % 7) . ' ' . ('7' x 80) . "\\n" }
                my $done = syswrite($f, $block); if (!$done) { sleep(0.1); next } $sent += $done;
            }
            """, path, "\(bytesPerSecond)")
    }

    func holdDeleted(_ path: String, megabytes: Int) throws {
        try start(
            """
            open(my $f, '>', $ARGV[0]) or die; for (1..$ARGV[1]) { syswrite($f, 'x' x 1048576) } unlink $ARGV[0];
            sleep 120;
            """, path, "\(megabytes)")
    }

    private func start(_ program: String, _ arguments: String...) throws {
        process.executableURL = URL(filePath: "/usr/bin/perl")
        process.arguments = ["-e", program] + arguments
        try process.run()
        guard let root = Self.unified else { return }
        let group = "\(root)/system.slice/\(unit)"
        try? FileManager.default.createDirectory(atPath: group, withIntermediateDirectories: true)
        if (try? "\(pid)".write(toFile: "\(group)/cgroup.procs", atomically: false, encoding: .utf8)) != nil {
            self.group = group
        }
    }

    /// Where the v2 tree is mounted.
    private static var unified: String? {
        let mounts = (try? String(contentsOfFile: "/proc/self/mounts", encoding: .utf8)) ?? ""
        for line in mounts.split(separator: "\n") {
            let fields = line.split(separator: " ")
            if fields.count > 2, fields[2] == "cgroup2" { return String(fields[1]) }
        }
        return nil
    }

    deinit {
        guard process.isRunning else { return }
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        if let group { rmdir(group) }
    }
}

private struct CommandFailed: Error {
    var command: String
    var status: Int32
}

private func run(_ command: String...) throws {
    let process = Process()
    process.executableURL = URL(filePath: command[0])
    process.arguments = Array(command.dropFirst())
    try process.run()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
        throw CommandFailed(command: command.joined(separator: " "), status: process.terminationStatus)
    }
}
