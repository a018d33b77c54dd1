import Foundation
import Logging
import Synchronization
import Testing

@testable import NightjarLogFile

@Suite("Rotation") struct RotationTests {
    let scratch = Scratch()

    private func fill(_ logger: Logger, _ range: Range<Int>, _ file: LogFile, pace: Int = 200) {
        for index in range {
            logger.info("line \(index)")
            if index % pace == pace - 1 { file.flush(within: .seconds(20)) }
        }
        file.flush(within: .seconds(20))
    }

    private func numbers(_ paths: [String]) -> [Int] {
        records(paths).compactMap { ($0["message"] as? String).flatMap { Int($0.dropFirst(5)) } }
    }

    @Test func `by size keeps every line, in order, in files within the size`() throws {
        let (file, logger) = makeLog(scratch("a.log")) { $0.rotation.bytes = 8_192 }
        fill(logger, 0..<2_000, file)
        file.close(within: .seconds(20))
        let all = files(scratch("a.log"))
        #expect(all.count > 10)
        #expect(numbers(all) == Array(0..<2_000))
        for path in all {
            let size = try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int
            #expect(try #require(size) <= 8_192)
        }
        #expect(file.ledger.kept == 2_000)
    }

    @Test func `size limit inside one day: a time rotation does not switch it off`() {
        let (file, logger) = makeLog(scratch("a.log")) { $0.rotation = .init(bytes: 8_192, every: .seconds(86_400)) }
        fill(logger, 0..<500, file)
        file.close(within: .seconds(20))
        #expect(files(scratch("a.log")).count > 3)
    }

    @Test func `by time begins a new file at the turn of the period`() {
        let (file, logger) = makeLog(scratch("a.log")) { $0.rotation.every = .seconds(1) }
        let begin = Clock.monotonic()
        for index in 0..<25 {
            logger.info("line \(index)")
            file.flush(within: .seconds(20))
            usleep(100_000)
        }
        file.close(within: .seconds(20))
        let all = files(scratch("a.log"))
        let seconds = Int((Clock.monotonic() - begin) / 1_000_000_000)
        #expect(all.count >= 2 && all.count <= seconds + 2)
        #expect(numbers(all) == Array(0..<25))
    }

    @Test func `by time also rotates what an earlier process left`() throws {
        try "{\"message\":\"old\",\"label\":\"x\"}\n".write(
            toFile: scratch("a.log"), atomically: false, encoding: .utf8)
        try FileManager.default.setAttributes(
            [.modificationDate: Date(timeIntervalSinceNow: -7_300)], ofItemAtPath: scratch("a.log"))
        let (file, logger) = makeLog(scratch("a.log")) { $0.rotation.every = .seconds(3_600) }
        logger.info("new")
        file.close(within: .seconds(20))
        #expect(files(scratch("a.log")).count == 2)
        #expect(records([scratch("a.log")]).count == 1)
    }

    @Test func `goes on with the file of an earlier process, and ends its half line`() {
        try? "{\"message\":\"whole\",\"label\":\"x\"}\n{\"message\":\"ha".write(
            toFile: scratch("a.log"), atomically: false, encoding: .utf8)
        let (file, logger) = makeLog(scratch("a.log"))
        logger.info("line 1")
        file.close(within: .seconds(20))
        let all = lines(scratch("a.log"))
        #expect(all.count == 3)
        #expect(all.last?.contains("line 1") == true)
    }

    @Test func `no moment without a file`() {
        let (file, logger) = makeLog(scratch("a.log")) { $0.rotation.bytes = 4_096 }
        logger.info("first")
        file.flush(within: .seconds(20))
        let stop = Mutex(false)
        let missing = Mutex(0)
        let path = scratch("a.log")
        let watcher = Thread {
            while !stop.withLock({ $0 }) { if access(path, F_OK) != 0 { missing.withLock { $0 += 1 } } }
        }
        watcher.start()
        fill(logger, 0..<3_000, file, pace: 50)
        stop.withLock { $0 = true }
        file.close(within: .seconds(20))
        #expect(file.health.rotations > 20)
        #expect(missing.withLock { $0 } == 0)
    }

    @Test func `failed rename loses nothing`() throws {
        // Nothing can be created: the number after the last one is taken by a directory, and so is the fresh file.
        try FileManager.default.createDirectory(
            atPath: scratch(".a.log.new"), withIntermediateDirectories: true)
        let (file, logger) = makeLog(scratch("a.log")) { $0.rotation.bytes = 4_096 }
        fill(logger, 0..<500, file)
        #expect(file.health.rotations == 0)
        try FileManager.default.removeItem(atPath: scratch(".a.log.new"))
        fill(logger, 500..<1_000, file)
        file.close(within: .seconds(20))
        #expect(file.health.rotations > 0)
        #expect(numbers(files(scratch("a.log"))) == Array(0..<1_000))
    }

    @Test func `a number that is taken is passed over`() throws {
        try FileManager.default.createDirectory(
            atPath: scratch("a.log.000001"), withIntermediateDirectories: true)
        let (file, logger) = makeLog(scratch("a.log")) { $0.rotation.bytes = 4_096 }
        fill(logger, 0..<200, file)
        file.close(within: .seconds(20))
        #expect(numbers(files(scratch("a.log")).filter { !$0.hasSuffix("000001") }) == Array(0..<200))
    }

    @Test func `a rotation killed half way is taken up`() throws {
        let (first, logger1) = makeLog(scratch("a.log"))
        fill(logger1, 0..<10, first)
        first.close(within: .seconds(20))
        // As if killed after the second name was given.
        #expect(link(scratch("a.log"), scratch("a.log.000001")) == 0)
        let (second, logger2) = makeLog(scratch("a.log")) { $0.rotation.bytes = 4_096 }
        fill(logger2, 10..<300, second)
        second.close(within: .seconds(20))
        #expect(numbers(files(scratch("a.log"))) == Array(0..<300))
    }

    @Test func `logrotate beside us`() throws {
        let (file, logger) = makeLog(scratch("a.log"))
        fill(logger, 0..<100, file)
        try FileManager.default.moveItem(atPath: scratch("a.log"), toPath: scratch("a.log.1"))
        fill(logger, 100..<200, file)
        // copytruncate: the file is copied and cut to nothing under us.
        try FileManager.default.copyItem(atPath: scratch("a.log"), toPath: scratch("a.log.2"))
        truncate(scratch("a.log"), 0)
        fill(logger, 200..<300, file)
        try FileManager.default.removeItem(atPath: scratch("a.log"))
        fill(logger, 300..<400, file)
        file.close(within: .seconds(20))
        #expect(numbers([scratch("a.log.1")]) == Array(0..<100))
        #expect(numbers([scratch("a.log.2")]) == Array(100..<200))
        #expect(numbers([scratch("a.log")]) == Array(300..<400))
        #expect(!scratch.names.contains { $0.hasPrefix("a.log.0") })
        let sizes = try FileManager.default.attributesOfItem(atPath: scratch("a.log"))
        #expect(sizes[.size] as? Int ?? 0 < 20_000, "no hole where the truncated bytes were")
    }

    @Test func `a removed directory is made anew`() throws {
        let (file, logger) = makeLog(scratch("deep/er/a.log"))
        fill(logger, 0..<10, file)
        try FileManager.default.removeItem(atPath: scratch("deep"))
        fill(logger, 10..<20, file)
        file.close(within: .seconds(20))
        #expect(numbers([scratch("deep/er/a.log")]) == Array(10..<20))
        #expect(file.ledger.kept == 20)
    }

    @Test func `keeps no more files than told`() {
        let (file, logger) = makeLog(scratch("a.log")) {
            $0.rotation.bytes = 4_096
            $0.retention.files = 3
        }
        fill(logger, 0..<1_000, file)
        file.close(within: .seconds(20))
        #expect(files(scratch("a.log")).count == 4)
        #expect(numbers(files(scratch("a.log"))).last == 999)
    }

    @Test func `age applies without rotation`() throws {
        for number in 1...3 {
            let path = scratch("a.log.00000\(number)")
            try "old\n".write(toFile: path, atomically: false, encoding: .utf8)
            let age = Date(timeIntervalSinceNow: number == 3 ? -60 : -7_200)
            try FileManager.default.setAttributes([.modificationDate: age], ofItemAtPath: path)
        }
        let (file, logger) = makeLog(scratch("a.log")) { $0.retention.age = .seconds(3_600) }
        logger.info("one line, no rotation")
        #expect(eventually { scratch.names == ["a.log", "a.log.000003"] })
        file.close(within: .seconds(20))
    }

    /// Compression ends where it stands when the log is closed, and whoever reads the files then finds each line once.
    @Test func `after close no file lies there both plain and packed`() {
        var packed = 0
        for round in 0..<300 {
            let name = "\(round).log"
            let (file, logger) = makeLog(scratch(name)) {
                $0.rotation.bytes = 4_096
                $0.compression = .zstd()
            }
            for index in 0..<100 { logger.info("line \(index)") }
            usleep(UInt32(round % 30) * 100)
            // On a busy machine it would never come to packing.
            if round % 30 == 29 { _ = eventually { files(scratch(name)).contains { $0.hasSuffix(".zst") } } }
            file.close(within: .seconds(20))
            let names = files(scratch(name)).map { $0.hasSuffix(".zst") ? String($0.dropLast(4)) : $0 }
            #expect(Set(names).count == names.count)
            packed += files(scratch(name)).count { $0.hasSuffix(".zst") }
        }
        #expect(packed > 0)
    }

    @Test(arguments: [LogFileConfiguration.Compression.none, .gzip(), .zstd()])
    func `the budget is never exceeded, at any moment`(_ compression: LogFileConfiguration.Compression) {
        let (file, logger) = makeLog(scratch("a.log")) {
            $0.retention = .init(totalBytes: 1 << 20)
            $0.rotation.bytes = 128 << 10
            $0.compression = compression
        }
        let highest = Mutex(0)
        let stop = Mutex(false)
        let path = scratch.path
        let watcher = Thread {
            while !stop.withLock({ $0 }) {
                if let now = steadyDiskUse(path) { highest.withLock { $0 = max($0, now) } }
                usleep(500)
            }
        }
        watcher.start()
        // Enough to overflow the budget also where it is packed to a third.
        let lines = compression == .none ? 20_000 : 50_000
        var generator = SystemRandomNumberGenerator()
        for index in 0..<lines {
            logger.info("line \(index) \(generator.next()) \(generator.next()) \(generator.next())")
            if index % 500 == 499 { file.flush(within: .seconds(20)) }
        }
        stop.withLock { $0 = true }
        file.close(within: .seconds(20))
        #expect(file.ledger.kept == lines)
        #expect(highest.withLock { $0 } <= 1 << 20)
        #expect(highest.withLock { $0 } > 300 << 10)
        #expect(file.health.deletedFiles > 0)
    }

    @Test func `a file that takes its packed name during the look is seen`() throws {
        let numbers = 1...1_000
        var files = RotatedFiles(path: scratch("a.log"))
        let names = numbers.map {
            (
                plain: files.path(number: $0, packing: .plain), half: files.packingPath(number: $0),
                packed: files.path(number: $0, packing: .gzip)
            )
        }
        for name in names { try Data(count: 100).write(to: URL(filePath: name.plain)) }
        files.scan(currentInode: 0)
        #expect(files.files.count == numbers.count)
        let isPacked = Atomic(false)
        let packer = Thread {
            for name in names {
                try? Data(count: 50).write(to: URL(filePath: name.half))
                rename(name.half, name.packed)
                unlink(name.plain)
            }
            isPacked.store(true, ordering: .releasing)
        }
        packer.start()
        var missed = 0
        while !isPacked.load(ordering: .acquiring) {
            files.scan(currentInode: 0)
            missed += numbers.count - Set(files.files.map(\.number)).count
            // Also by who looks for the first time, and the last one too: its number must not be given again.
            var stranger = RotatedFiles(path: scratch("a.log"))
            stranger.scan(currentInode: 0)
            missed += numbers.count - Set(stranger.files.map(\.number)).count
            #expect(stranger.nextNumber == numbers.count + 1)
        }
        #expect(missed == 0)
    }

    @Test func `no system call per line`() throws {
        let (file, logger) = makeLog(scratch("a.log")) { $0.flushInterval = .seconds(10) }
        logger.info("line 0")
        file.flush(within: .seconds(20))
        // Its turn for the flush takes what comes until it is over, a line at a time where it keeps up.
        usleep(200_000)
        let before = file.core.stream.writes
        for index in 1..<5_001 { logger.info("line \(index)") }
        file.flush(within: .seconds(20))
        file.close(within: .seconds(20))
        // 5,000 lines are 600 KB: a write when a quarter of a megabyte waits, and one for the rest.
        let calls = file.core.stream.writes - before
        #expect(calls > 0 && calls <= 20, "\(calls) writes for 5,000 lines")
        #expect(file.ledger.kept == 5_000 + 1)
    }
}

/// What each file of a directory takes of the disk.
/// By inode: in the middle of a rotation a file has two names.
private func weights(_ directory: String) -> [UInt64: Int] {
    var weights: [UInt64: Int] = [:]
    for name in (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? [] {
        var status = stat()
        if lstat(directory + "/" + name, &status) == 0, status.st_mode & S_IFMT == S_IFREG {
            weights[UInt64(status.st_ino)] = max(Int(status.st_size), Int(status.st_blocks) * 512)
        }
    }
    return weights
}

/// What a directory's files take of the disk.
func diskUse(_ directory: String) -> Int { weights(directory).values.reduce(0, +) }

/// The same while somebody writes there: nil where it changed during the look. A file that is deleted after it was
/// counted, and one that grew before it is, would else add up to what was never there at one moment.
func steadyDiskUse(_ directory: String) -> Int? {
    let first = weights(directory)
    return weights(directory) == first ? first.values.reduce(0, +) : nil
}
