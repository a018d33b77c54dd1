import Foundation
import Logging
import Synchronization
import Testing

@testable import NightjarLogFile

/// A real file system that begins to refuse writes, and takes them again.
enum RefusingDisk: String, Sendable, CaseIterable, CustomTestStringConvertible {
    /// btrfs whose quota group is used up: EDQUOT.
    case quota
    /// ext4 that was shut down, as after a device that died: EIO.
    case dead
    /// ext4 that found an error in itself and made itself read-only: EROFS.
    case readOnly

    var testDescription: String { rawValue }

    var says: String {
        switch self {
        case .quota: "Disk quota exceeded"
        case .dead: "Input/output error"
        case .readOnly: "Read-only file system"
        }
    }

    var notice: LogNotice.Kind { self == .quota ? .diskFull : .unwritable }

    /// Mounts it. Only inside `PrivateMounts.run`.
    func mount(_ image: String, at path: String) -> Bool {
        mkdir(path, 0o755)
        switch self {
        case .quota:
            return PrivateMounts.shell(
                """
                truncate -s 128M \(image) && mkfs.btrfs -q -M -m single \(image) && mount -o loop \(image) \(path) \
                && btrfs quota enable \(path) && btrfs subvolume create \(path)/logs \
                && btrfs qgroup limit 12M \(path)/logs
                """)
        case .dead, .readOnly:
            return PrivateMounts.shell(
                """
                truncate -s 32M \(image) && mkfs.ext4 -q -m 0 \(image) \
                && mount -o loop,errors=remount-ro \(image) \(path) && mkdir -p \(path)/logs
                """)
        }
    }

    func refuse(_ path: String) -> Bool {
        switch self {
        case .quota: return fillUp(path + "/logs/foreign") > 1 << 20
        case .dead:
            // EXT4_IOC_SHUTDOWN, without writing back.
            return PrivateMounts.shell(
                "perl -e 'open(F, \"<\", $ARGV[0]) or die; my $b = pack(\"L\", 2); ioctl(F, 0x8004587d, $b) or die' \(path)"
            )
        case .readOnly:
            return PrivateMounts.shell(
                "(echo planted > /sys/fs/ext4/$(basename $(findmnt -n -o SOURCE \(path)))/trigger_fs_error)")
        }
    }

    func mend(_ image: String, _ path: String) -> Bool {
        switch self {
        case .quota: PrivateMounts.shell("rm \(path)/logs/foreign && btrfs filesystem sync \(path)")
        // What the dead device had not written is gone; the next one takes its place.
        case .dead, .readOnly:
            PrivateMounts.shell("umount -l \(path)") && PrivateMounts.shell("rm -f \(image)") && mount(image, at: path)
        }
    }
}

@Suite("A disk that refuses", .enabled(if: PrivateMounts.areAllowed, PrivateMounts.reason)) struct RefusingDiskTests {
    let scratch = Scratch()

    private struct Seen: Sendable {
        var steps: [String: Bool] = [:]
        var ledger = LogLedger(kept: 0, pending: 0, dropped: [:], droppedErrors: 0, cut: 0)
        var notices: [LogNotice] = []
        var mended: [String] = []
        var slowest = 0.0
    }

    @Test(arguments: RefusingDisk.allCases)
    func `refusals of a quota, a dead device and a read-only remount are survived, counted and said once`(
        _ disk: RefusingDisk
    ) throws {
        let (image, path) = (scratch("image"), scratch("disk"))
        let seen = PrivateMounts.run { RefusingDiskTests.story(disk, image, path) }
        let facts = try #require(seen)
        try #require(facts.steps["mounted"] == true, "cannot mount \(disk): mkfs.btrfs and mkfs.ext4 are needed")
        #expect(facts.steps.filter { !$0.value }.isEmpty, "\(facts.steps)")
        #expect(
            facts.notices.map(\.kind).filter { $0 != .errorsLost } == [disk.notice, .recovered], "\(facts.notices)")
        #expect(facts.notices.first?.text.contains(disk.says) == true)
        #expect(facts.ledger.produced == 1 + 5_000 + 50 + 1)
        #expect(facts.ledger.kept + facts.ledger.droppedTotal == facts.ledger.produced)
        #expect((facts.ledger.dropped[.unwritable] ?? 0) > 0, "the buffer is small on purpose")
        #expect(facts.ledger.droppedErrors == 0, "50 errors fit into memory")
        #expect(facts.slowest < 2)
        // What waited in memory is written once the disk takes it again; nothing is torn.
        #expect(facts.mended.contains { $0.contains("\"after\"") })
        #expect(facts.mended.allSatisfy { $0.hasPrefix("{\"time\"") && $0.hasSuffix("}") })
    }

    private static func story(_ disk: RefusingDisk, _ image: String, _ path: String) -> Seen {
        var seen = Seen()
        seen.steps["mounted"] = disk.mount(image, at: path)
        guard seen.steps["mounted"] == true else { return seen }
        let told = Mutex<[LogNotice]>([])
        let (file, logger) = makeLog(path + "/logs/a.log") {
            $0.bufferBytes = 64 << 10
            $0.maximumLineBytes = 1_024
            $0.retention.minimumFiles = 0
            $0.errorFile = .init(reserveBytes: 64 << 10)
            $0.notices = .call { notice in told.withLock { $0.append(notice) } }
        }
        logger.info("before")
        seen.steps["written before"] = file.flush(within: .seconds(20))
        seen.steps["refuses"] = disk.refuse(path)
        var slowest: UInt64 = 0
        for index in 0..<5_000 {
            let begin = Clock.monotonic()
            logger.info("line \(index) \(String(repeating: "x", count: 200))")
            if index % 100 == 0 { logger.error("line \(index)") }
            slowest = max(slowest, Clock.monotonic() - begin)
            // What is lost before the writer has met the refusal is lost to a full buffer, and counted as that.
            if index == 2_500 { seen.steps["said"] = eventually { file.health.trouble == disk.says } }
        }
        seen.slowest = Double(slowest) / 1e9
        seen.steps["in vain"] = !file.flush(within: .milliseconds(300))
        seen.steps["mended"] = disk.mend(image, path)
        seen.steps["goes on"] = eventually { file.flush(within: .seconds(1)) }
        logger.info("after")
        seen.steps["written after"] = file.flush(within: .seconds(20))
        file.close(within: .seconds(20))
        seen.ledger = file.ledger
        seen.notices = told.withLock { $0 }
        seen.mended = files(path + "/logs/a.log").flatMap(lines)
        return seen
    }
}
