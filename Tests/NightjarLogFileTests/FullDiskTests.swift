import Foundation
import Logging
import Synchronization
import Testing

@testable import NightjarLogFile

/// What a scenario on a small disk shows.
private struct Facts: Sendable {
    var isMounted = false
    var ledger = LogLedger(kept: 0, pending: 0, dropped: [:], droppedErrors: 0, cut: 0)
    var mainLines: [String] = []
    var errorLines: [String] = []
    var names: [String] = []
    var health = LogHealth()
    var notices: [LogNotice] = []
    var slowestCall: Double = 0
    var checks: [String: Bool] = [:]

    func errors() -> [Int] { errorLines.compactMap(number) }
    func number(_ line: String) -> Int? {
        guard let range = line.range(of: "line ") else { return nil }
        return Int(line[range.upperBound...].prefix { $0.isNumber })
    }
}

@Suite("A full disk", .enabled(if: PrivateMounts.areAllowed, PrivateMounts.reason)) struct FullDiskTests {
    let scratch = Scratch()

    private func onDisk(
        _ disk: SmallDisk, mebibytes: Int, _ configure: @escaping @Sendable (inout LogFileConfiguration) -> Void,
        _ scenario: @escaping @Sendable (String, LogFile, Logger, inout Facts) -> Void
    ) throws -> Facts {
        let path = scratch("disk")
        let facts = PrivateMounts.run {
            var facts = Facts()
            facts.isMounted = disk.mount(at: path, mebibytes: mebibytes)
            guard facts.isMounted else { return facts }
            let told = Mutex<[LogNotice]>([])
            let (file, logger) = makeLog(path + "/a.log") {
                $0.retention.minimumFiles = 0
                $0.errorFile = .init(reserveBytes: 256 << 10)
                $0.notices = .call { notice in told.withLock { $0.append(notice) } }
                configure(&$0)
            }
            scenario(path, file, logger, &facts)
            file.close(within: .seconds(20))
            facts.ledger = file.ledger
            facts.health = file.health
            facts.mainLines = files(path + "/a.log").flatMap(lines)
            facts.errorLines = files(path + "/a-error.log").flatMap(lines)
            facts.names = ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted()
            facts.notices = told.withLock { $0 }
            return facts
        }
        let found = try #require(facts)
        try #require(found.isMounted, "cannot mount \(disk)")
        return found
    }

    /// The slowest of many calls, in seconds.
    private static func slowest(_ count: Int, _ body: (Int) -> Void) -> Double {
        var slowest: UInt64 = 0
        for index in 0..<count {
            let begin = Clock.monotonic()
            body(index)
            slowest = max(slowest, Clock.monotonic() - begin)
        }
        return Double(slowest) / 1e9
    }

    @Test(arguments: SmallDisk.allCases)
    func `full disk does not end the service, and every error line is kept in the reserve`(_ disk: SmallDisk) throws {
        let facts = try onDisk(disk, mebibytes: 8, { _ in }) { path, file, logger, facts in
            logger.error("line 0")
            logger.info("first")
            file.flush(within: .seconds(20))
            facts.checks["reserve"] = file.health.errorReserveIsHeld
            fillUp(path + "/foreign")
            // 1,000 errors of about 160 bytes fit into the reserve of 256 KiB; the debug lines fit nowhere.
            facts.slowestCall = FullDiskTests.slowest(1_000) { index in
                logger.error("line \(index + 1)")
                for _ in 0..<20 { logger.debug("spam \(String(repeating: "x", count: 900))") }
                if index % 100 == 0 { file.flush(within: .milliseconds(50)) }
            }
            file.flush(within: .milliseconds(500))
            facts.checks["trouble"] = eventually { file.health.trouble != nil }
        }
        #expect(facts.checks == ["reserve": true, "trouble": true])
        #expect(facts.errors() == Array(0...1_000))
        #expect(facts.ledger.droppedErrors == 0)
        #expect((facts.ledger.dropped[.unwritable] ?? 0) > 1_000)
        #expect(facts.ledger.produced == 1_001 + 1 + 20_000)
        #expect(facts.ledger.pending == 0)
        #expect(facts.slowestCall < 2)
    }

    @Test func `one record when full, then silence, and one when it is over`() throws {
        let facts = try onDisk(.tmpfs, mebibytes: 4, { _ in }) { path, file, logger, _ in
            logger.info("first")
            file.flush(within: .seconds(20))
            fillUp(path + "/foreign")
            for _ in 0..<30 {
                logger.info("waits \(String(repeating: "x", count: 5_000))")
                file.flush(within: .milliseconds(30))
            }
            unlink(path + "/foreign")
            logger.info("last")
            file.flush(within: .seconds(20))
        }
        #expect(facts.notices.map(\.kind) == [.diskFull, .recovered], "\(facts.notices)")
        #expect(facts.notices.first?.text.contains("No space left on device") == true)
        // Nothing was lost: it waited in memory.
        #expect(facts.ledger.kept == 32)
        #expect(facts.ledger.droppedTotal == 0)
        #expect(facts.mainLines.count == 32)
        #expect(facts.mainLines.allSatisfy { $0.hasPrefix("{\"time\"") && $0.hasSuffix("}") }, "a line was torn")
        #expect(facts.health.trouble == nil)
    }

    @Test(arguments: SmallDisk.allCases)
    func `own oldest files go first, down to the minimum`(_ disk: SmallDisk) throws {
        let facts = try onDisk(
            disk, mebibytes: 8,
            {
                $0.rotation.bytes = 256 << 10
                $0.retention = .init(totalBytes: 64 << 20, minimumFiles: 2)
                $0.errorFile = nil
            }
        ) { path, file, logger, _ in
            // 20 MB of lines into 8 MB: the disk is filled by ourselves.
            for index in 0..<20_000 {
                logger.info("line \(index) \(String(repeating: "y", count: 900))")
                if index % 200 == 199 { file.flush(within: .seconds(20)) }
            }
        }
        #expect(facts.ledger.kept == 20_000)
        #expect(facts.ledger.droppedTotal == 0)
        #expect(facts.health.deletedFiles > 20)
        #expect(facts.names.count { $0.hasPrefix("a.log.0") } >= 2)
        #expect(facts.mainLines.last.flatMap(facts.number) == 19_999)
    }

    @Test func `rotation on a full disk keeps the old file`() throws {
        let facts = try onDisk(
            .tmpfs, mebibytes: 4,
            {
                $0.rotation = .init(bytes: 64 << 10, every: .seconds(1))
                $0.retention.minimumFiles = 1
            }
        ) { path, file, logger, facts in
            logger.info("line 0")
            file.flush(within: .seconds(20))
            fillUp(path + "/foreign")
            sleep(2)
            // A rotation is due by time, but there is no room to begin a new file with.
            for index in 1..<20 { logger.info("line \(index)") }
            file.flush(within: .milliseconds(300))
            facts.checks["old file there"] = !lines(path + "/a.log").isEmpty || files(path + "/a.log").count > 1
            unlink(path + "/foreign")
            logger.info("line 20")
            file.flush(within: .seconds(20))
        }
        #expect(facts.checks["old file there"] == true)
        #expect(facts.mainLines.compactMap(facts.number) == Array(0...20))
    }

    @Test func `no inodes left: goes on in the old file`() throws {
        let path = scratch("disk")
        let facts = PrivateMounts.run { () -> Facts in
            var facts = Facts()
            mkdir(path, 0o755)
            facts.isMounted = PrivateMounts.mount("tmpfs", "none", path, "size=8m,nr_inodes=6")
            let (file, logger) = makeLog(path + "/a.log") { $0.rotation.bytes = 16 << 10 }
            logger.info("line 0")
            file.flush(within: .seconds(20))
            for index in 0..<10 { close(open(path + "/inode\(index)", O_CREAT | O_WRONLY, 0o644)) }
            for index in 1..<500 {
                logger.info("line \(index)")
                if index % 50 == 0 { file.flush(within: .seconds(20)) }
            }
            file.close(within: .seconds(20))
            facts.ledger = file.ledger
            facts.mainLines = files(path + "/a.log").flatMap(lines)
            return facts
        }
        let found = try #require(facts)
        #expect(found.isMounted)
        #expect(found.mainLines.compactMap(found.number) == Array(0..<500))
        #expect(found.ledger.droppedTotal == 0)
    }

    @Test(arguments: SmallDisk.allCases)
    func `a read-only remount is survived, and what waited is written afterwards`(_ disk: SmallDisk) throws {
        let facts = try onDisk(disk, mebibytes: 8, { $0.retention.minimumFiles = 1 }) { path, file, logger, facts in
            logger.info("line 0")
            file.flush(within: .seconds(20))
            // The descriptors keep a file system busy: first nobody may hold it open for writing.
            facts.checks["read-only"] = FullDiskTests.remount(path, readOnly: true, file)
            for index in 1..<100 {
                logger.info("line \(index)")
                if index % 10 == 0 { logger.error("line \(index)") }
            }
            facts.checks["in vain"] = !file.flush(within: .milliseconds(300))
            facts.checks["said"] = eventually { file.health.trouble == "Read-only file system" }
            facts.checks["writable"] = FullDiskTests.remount(path, readOnly: false, file)
            facts.checks["flushed"] = file.flush(within: .seconds(20))
        }
        #expect(
            facts.checks == ["read-only": true, "in vain": true, "said": true, "writable": true, "flushed": true])
        let infos = facts.mainLines.filter { $0.contains("\"info\"") }
        #expect(infos.compactMap(facts.number) == Array(0..<100))
        #expect(facts.errors() == Array(stride(from: 10, to: 100, by: 10)))
        #expect(facts.ledger.droppedTotal == 0)
    }

    private static func remount(_ path: String, readOnly: Bool, _ file: LogFile) -> Bool {
        if readOnly {
            // A clean remount is refused while a file is open for writing; `mount -o remount,ro` of a bind mount is not.
            return PrivateMounts.shell("mount --bind \(path) \(path) && mount -o remount,bind,ro \(path)")
        }
        return PrivateMounts.shell("umount \(path)")
    }

    @Test func `below the free-space floor only errors are written`() throws {
        let facts = try onDisk(
            .tmpfs, mebibytes: 8, { $0.freeSpaceFloor = .init(bytes: 2 << 20, share: 0.5) }
        ) { path, file, logger, facts in
            logger.info("line 0")
            file.flush(within: .seconds(20))
            _ = FileManager.default.createFile(atPath: path + "/foreign", contents: Data(count: 7 << 20))
            for index in 1..<10 {
                logger.info("line \(index)")
                logger.error("line \(index)")
            }
            file.flush(within: .milliseconds(300))
            facts.checks["errors written"] = eventually { lines(path + "/a-error.log").count == 9 }
            facts.checks["others wait"] = lines(path + "/a.log").count == 1
            facts.checks["said"] = eventually { file.health.trouble == "below the free-space floor" }
            unlink(path + "/foreign")
            facts.checks["flushed"] = file.flush(within: .seconds(20))
        }
        #expect(
            facts.checks == ["errors written": true, "others wait": true, "said": true, "flushed": true])
        #expect(facts.notices.map(\.kind) == [.belowFloor, .recovered])
        #expect(facts.ledger.droppedTotal == 0)
    }

    @Test func `beyond reserve and memory errors are counted and reported outside the disk`() throws {
        let facts = try onDisk(
            .tmpfs, mebibytes: 4, { $0.errorFile = .init(reserveBytes: 64 << 10, memoryBytes: 64 << 10) }
        ) { path, file, logger, _ in
            logger.error("line 0")
            file.flush(within: .seconds(20))
            fillUp(path + "/foreign")
            for index in 1...3_000 {
                logger.error("line \(index)")
                if index % 100 == 0 { file.flush(within: .milliseconds(20)) }
            }
        }
        let kept = facts.errors()
        // The oldest are kept, without a gap: they tell how it began.
        #expect(kept == Array(0..<kept.count))
        #expect(kept.count > 300)
        #expect(facts.ledger.produced == 3_001)
        #expect(facts.ledger.kept == kept.count)
        #expect(facts.ledger.droppedErrors == UInt64(3_001 - kept.count))
        #expect(facts.notices.contains { $0.kind == .errorsLost })
    }

    @Test func `writer never waits for the disk: calls stay quick while it is frozen full`() throws {
        let facts = try onDisk(.tmpfs, mebibytes: 4, { $0.bufferBytes = 256 << 10 }) { path, file, logger, facts in
            logger.info("first")
            file.flush(within: .seconds(20))
            fillUp(path + "/foreign")
            facts.slowestCall = FullDiskTests.slowest(50_000) { logger.info("line \($0)") }
        }
        #expect(facts.slowestCall < 2)
        #expect(facts.ledger.produced == 50_001)
        #expect(facts.ledger.kept + facts.ledger.droppedTotal == 50_001)
    }

    @Test func `a disk that fails only when it is asked to keep its word is reported`() throws {
        // ext4 on a sparse image on a tmpfs that fills: write(2) succeeds, fdatasync gets EIO.
        let path = scratch("disk")
        let base = scratch("base")
        let found = PrivateMounts.run { () -> (isMounted: Bool, notices: [LogNotice], ledger: LogLedger) in
            var isMounted = SmallDisk.tmpfs.mount(at: base, mebibytes: 8)
            mkdir(path, 0o755)
            isMounted =
                isMounted
                && PrivateMounts.shell(
                    """
                    truncate -s 64M \(base)/image && mkfs.ext4 -q -m 0 -O ^has_journal \(base)/image \
                    && mount -o loop \(base)/image \(path)
                    """)
            fillUp(base + "/foreign")
            let told = Mutex<[LogNotice]>([])
            let (file, logger) = makeLog(path + "/a.log") {
                $0.errorFile = .init()
                $0.syncsErrors = true
                $0.notices = .call { notice in told.withLock { $0.append(notice) } }
            }
            for index in 0..<50 { logger.error("line \(index) \(String(repeating: "x", count: 4_000))") }
            _ = eventually { !told.withLock { $0 }.isEmpty }
            file.close(within: .seconds(20))
            return (isMounted, told.withLock { $0 }, file.ledger)
        }
        let facts = try #require(found)
        try #require(facts.isMounted, "cannot mount ext4 on a sparse image")
        #expect(facts.notices.count { $0.kind == .unwritable && $0.text.contains("did not reach the disk") } == 1)
        #expect(facts.ledger.produced == 50)
        #expect(facts.ledger.kept + facts.ledger.droppedTotal == 50)
    }
}
