import Foundation
import Logging
import NightjarTestKit
import Testing

@testable import NightjarLogFile

/// What a command prints, or nil where it cannot be run or fails.
func output(_ command: String, _ arguments: [String]) -> String? {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = [command] + arguments
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = FileHandle.nullDevice
    guard (try? process.run()) != nil else { return nil }
    let data = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return process.terminationStatus == 0 ? String(decoding: data, as: UTF8.self) : nil
}

@Suite("Compression") struct CompressionTests {
    let scratch = Scratch()

    private func packed(_ suffix: String) -> [String] { scratch.names.filter { $0.hasSuffix(suffix) } }

    private func writeRotated(_ count: Int, lines: Int = 5_000) throws {
        for number in 1...count {
            let text = (0..<lines).map { "{\"label\":\"x\",\"message\":\"line \($0) of \(number)\"}\n" }.joined()
            try text.write(toFile: scratch("a.log.00000\(number)"), atomically: false, encoding: .utf8)
        }
    }

    @Test func `gzip files are whole, keep their time and replace the plain ones`() throws {
        try writeRotated(3)
        let plain = try String(contentsOfFile: scratch("a.log.000002"), encoding: .utf8)
        let time = Date(timeIntervalSince1970: 1_700_000_000)
        try FileManager.default.setAttributes([.modificationDate: time], ofItemAtPath: scratch("a.log.000002"))
        let (file, logger) = makeLog(scratch("a.log")) {
            $0.compression = .gzip()
            $0.retention.age = nil
        }
        logger.info("start")
        #expect(eventually { packed(".gz").count == 3 && packed(".packing").isEmpty })
        file.close(within: .seconds(20))
        #expect(output("gzip", ["-dc", scratch("a.log.000002.gz")]) == plain)
        let attributes = try FileManager.default.attributesOfItem(atPath: scratch("a.log.000002.gz"))
        #expect(attributes[.modificationDate] as? Date == time)
        #expect(!FileManager.default.fileExists(atPath: scratch("a.log.000002")))
    }

    /// Inputs that compress in every way, and sizes around every limit of the format.
    private static func samples(_ random: inout SplitMix) -> [[UInt8]] {
        let line = Array("{\"time\":\"2026-11-26T04:37:06.123456Z\",\"level\":\"info\",\"message\":\"done 17\"}\n".utf8)
        let around = [64, 259, 4_096, 65_536, 131_072].flatMap { [$0 - 1, $0, $0 + 1] }
        let sizes = [0, 1, 2, 3, 7, 8, 262, 300_000] + around
        return sizes.flatMap { size -> [[UInt8]] in
            let same = [UInt8](repeating: 0x61, count: size)
            let noise = (0..<size).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            let pair = noise.map { 0x61 + $0 % 2 }
            var log = (0..<size).map { line[$0 % line.count] }
            for _ in 0..<(size / 20) { log[random.below(size)] = UInt8(truncatingIfNeeded: random.next()) }
            // Repeats from just within and just beyond the window of 32 KiB.
            let near = (0..<size).map { noise[$0 % 32_768 % max(1, size)] }
            let far = (0..<size).map { noise[$0 % 32_769 % max(1, size)] }
            return [same, noise, pair, log, near, far]
        }
    }

    @Test func `gzip gives back every byte, however it is fed and emptied`() throws {
        var random = SplitMix(seed: 7)
        for (number, sample) in Self.samples(&random).enumerated() {
            let step = [1 << 20, 131_072, 4_096, 100][number % 4]
            let packed = try #require(Self.packed(sample, step: sample.count > 5_000 ? max(step, 1_000) : step))
            #expect(packed.count <= sample.count + sample.count / 1_000 + 64, "sample \(number)")
            try Data(packed).write(to: URL(filePath: scratch("sample.gz")))
            try Data(sample).write(to: URL(filePath: scratch("sample")))
            let isSame = output("sh", ["-c", "gzip -dc $0/sample.gz | cmp - $0/sample", scratch.path]) != nil
            #expect(isSame, "sample \(number) of \(sample.count) bytes")
        }
    }

    private static func packed(_ sample: [UInt8], step: Int) -> [UInt8]? {
        guard let engine = Engine(.gzip()) else { return nil }
        let space = UnsafeMutableRawBufferPointer.allocate(byteCount: step, alignment: 16)
        defer { space.deallocate() }
        var out: [UInt8] = []
        return sample.withUnsafeBytes { bytes -> [UInt8]? in
            var position = 0
            while true {
                let part = UnsafeRawBufferPointer(rebasing: bytes[position..<min(position + step, bytes.count)])
                position += part.count
                let isDone = engine.feed(part, isLast: part.count < step, space) { packed in
                    out += packed
                    return true
                }
                guard let isDone else { return nil }
                if isDone { return out }
            }
        }
    }

    @Test func `zstd files are whole`() throws {
        try #require(Engine.isInstalled(.zstd()), "libzstd.so.1 is not installed")
        try writeRotated(2)
        let plain = try Data(contentsOf: URL(filePath: scratch("a.log.000002")))
        let (file, logger) = makeLog(scratch("a.log")) { $0.compression = .zstd(level: 3) }
        logger.info("start")
        #expect(eventually { packed(".zst").count == 2 && packed(".packing").isEmpty })
        file.close(within: .seconds(20))
        let data = try Data(contentsOf: URL(filePath: scratch("a.log.000002.zst")))
        #expect(data.prefix(4) == Data([0x28, 0xB5, 0x2F, 0xFD]))
        #expect(data.count < plain.count / 4)
        // The zstd command is not everywhere; its library is asked instead.
        #expect(try unpackedByLibrary(data, capacity: plain.count + 1) == plain)
    }

    private func unpackedByLibrary(_ data: Data, capacity: Int) throws -> Data {
        typealias Decompress = @convention(c) (UnsafeMutableRawPointer, Int, UnsafeRawPointer, Int) -> Int
        let library = try #require(dlopen("libzstd.so.1", RTLD_NOW))
        let decompress = unsafeBitCast(try #require(dlsym(library, "ZSTD_decompress")), to: Decompress.self)
        var out = Data(count: capacity)
        let count = out.withUnsafeMutableBytes { space in
            data.withUnsafeBytes { decompress(space.baseAddress!, capacity, $0.baseAddress!, data.count) }
        }
        return out.prefix(count)
    }

    @Test func `compression resumes after kill`() throws {
        try writeRotated(3)
        // Killed while packing 1, and killed between the last two steps of 2.
        try Data([0x1F, 0x8B]).write(to: URL(filePath: scratch(".a.log.000001.packing")))
        #expect(output("gzip", ["-k", scratch("a.log.000002")]) != nil)
        let (file, logger) = makeLog(scratch("a.log")) { $0.compression = .gzip() }
        logger.info("start")
        #expect(
            eventually { scratch.names == ["a.log", "a.log.000001.gz", "a.log.000002.gz", "a.log.000003.gz"] },
            "\(scratch.names)")
        file.close(within: .seconds(20))
        for number in 1...3 {
            #expect(output("gzip", ["-dc", scratch("a.log.00000\(number).gz")])?.split(separator: "\n").count == 5_000)
        }
    }

    @Test func `slow compressor never blocks`() throws {
        try #require(Engine.isInstalled(.zstd()), "libzstd.so.1 is not installed")
        let (file, logger) = makeLog(scratch("a.log")) {
            $0.compression = .zstd(level: 19)
            $0.rotation.bytes = 1 << 20
            $0.retention = .init(totalBytes: 8 << 20)
        }
        var generator = SystemRandomNumberGenerator()
        for index in 0..<60_000 {
            logger.info("line \(index) \(generator.next()) \(generator.next())")
            if index % 2_000 == 1_999 { file.flush(within: .seconds(20)) }
        }
        // Everything went through while at most a file or two could be packed at 2 MB/s.
        #expect(file.ledger.kept == 60_000)
        #expect(diskUse(scratch.path) <= 8 << 20)
        file.close(within: .seconds(20))
    }

    @Test func `what does not shrink stays plain`() throws {
        var noise = Data(count: 300_000)
        noise.withUnsafeMutableBytes { _ = getentropyAll($0) }
        try noise.write(to: URL(filePath: scratch("a.log.000001")))
        let (file, logger) = makeLog(scratch("a.log")) { $0.compression = .gzip() }
        logger.info("start")
        #expect(eventually { file.core.packer.failures == 1 && !file.core.packer.isRunning })
        file.close(within: .seconds(20))
        #expect(scratch.names == ["a.log", "a.log.000001"])
    }

    private func getentropyAll(_ space: UnsafeMutableRawBufferPointer) -> Bool {
        var generator = SystemRandomNumberGenerator()
        for index in stride(from: 0, to: space.count - 8, by: 8) {
            space.storeBytes(of: generator.next(), toByteOffset: index, as: UInt64.self)
        }
        return true
    }

    @Test func `the log that is being written is never packed, nor one that another process writes`() throws {
        try writeRotated(1)
        let held = open(scratch("a.log.000001"), O_WRONLY | O_APPEND)
        defer { close(held) }
        #expect(flock(held, LOCK_SH) == 0)
        let (file, logger) = makeLog(scratch("a.log")) { $0.compression = .gzip() }
        logger.info("start")
        #expect(eventually { file.core.packer.failures > 0 && !file.core.packer.isRunning })
        #expect(scratch.names == ["a.log", "a.log.000001"])
        file.close(within: .seconds(20))
    }
}
