import Foundation
import Logging
import Testing

@testable import NightjarLogFile

/// A small generator with a seed, so that a find can be repeated.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 1
        return mixed(state)
    }
}

@Suite("Hostile input") struct FuzzTests {
    private static let spices = [
        "\"", "\\", "\n", "\r", "\0", "\u{1b}[31m", "\u{7f}", "é", "🦉", "\u{2028}", "x", "\u{ffff}", "{", "}",
        "\",\"level\":\"info", "\\u0000", "\u{200f}",
    ]

    private func hostile(_ generator: inout SeededGenerator) -> String {
        let pieces = Int.random(in: 0..<40, using: &generator)
        return (0..<pieces).map { _ in
            let spice = FuzzTests.spices.randomElement(using: &generator)!
            return String(repeating: spice, count: Int.random(in: 1..<12, using: &generator))
        }.joined()
    }

    private func metadata(_ depth: Int, _ generator: inout SeededGenerator) -> Logger.MetadataValue {
        switch Int.random(in: 0..<(depth > 0 ? 6 : 3), using: &generator) {
        case 0, 1: return .string(hostile(&generator))
        case 2: return .stringConvertible(Int.random(in: .min ... .max, using: &generator))
        case 3: return .stringConvertible(Double.random(in: -1e300...1e300, using: &generator))
        case 4: return .array((0..<3).map { _ in metadata(depth - 1, &generator) })
        default: return .dictionary([hostile(&generator): metadata(depth - 1, &generator), "k": "v"])
        }
    }

    @Test func `any message, label and metadata is one line of valid JSON, cut or not`() throws {
        var generator = SeededGenerator(state: 42)
        for round in 0..<1_000 {
            let capacity = Int.random(in: 512...4_096, using: &generator)
            let encoder = RecordEncoder(format: .json, locationFrom: .info, redacts: nil)
            let label = hostile(&generator)
            let prefix = encoder.prefix(label: label, metadata: [hostile(&generator): metadata(1, &generator)])
            let message = hostile(&generator)
            var event = LogEvent(
                level: .allCases.randomElement(using: &generator)!, message: "\(message)",
                metadata: [hostile(&generator): metadata(2, &generator)], source: nil, file: hostile(&generator),
                function: "f", line: 7)
            if round % 3 == 0 { event.error = POSIXError(.EIO) }
            let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: capacity, alignment: 8)
            defer { memory.deallocate() }
            var line = LineBuilder(memory)
            encoder.encode(event, weight: UInt64(round % 5), prefix: prefix, provided: ["p": "q"], into: &line)
            let bytes = Data(line.bytes)
            #expect(line.count <= capacity)
            #expect(bytes.last == 0x0A && bytes.dropLast().allSatisfy { $0 >= 0x20 && $0 != 0x7F })
            let object = try? JSONSerialization.jsonObject(with: bytes) as? [String: Any]
            #expect(object != nil, "round \(round): \(String(decoding: bytes, as: UTF8.self))")
            guard let object else { return }
            if !line.isCut { #expect(object["message"] as? String == message) }
            #expect((object["cut"] as? Bool ?? false) == line.isCut)
        }
    }

    @Test func `any message is one line of text without control characters`() {
        var generator = SeededGenerator(state: 43)
        let encoder = RecordEncoder(format: .text, locationFrom: nil, redacts: nil)
        for _ in 0..<500 {
            let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 1_024, alignment: 8)
            defer { memory.deallocate() }
            var line = LineBuilder(memory)
            let event = LogEvent(
                level: .info, message: "\(hostile(&generator))", metadata: ["k": metadata(2, &generator)], source: nil,
                file: "f", function: "f", line: 7)
            encoder.encode(
                event, weight: 1, prefix: encoder.prefix(label: hostile(&generator), metadata: [:]), provided: nil,
                into: &line)
            let bytes = Array(line.bytes)
            #expect(bytes.last == 0x0A && bytes.dropLast().allSatisfy { $0 >= 0x20 && $0 != 0x7F })
            #expect(String(validating: bytes, as: UTF8.self) != nil)
        }
    }

    @Test func `only names that are ours are taken for rotated files`() {
        let files = RotatedFiles(path: "/var/log/a.log")
        #expect(files.parse("a.log.000042")?.number == 42)
        #expect(files.parse("a.log.1000000.gz")?.packing == .gzip)
        for name in [
            "a.log", "a.log.1", "a.log.00042", "a.log.000000", "a.log.000042.gz.gz", "a.log.000042.xz", "b.log.000042",
            "a.log.00004x", "a.log.000042 ", "a.log.9999999999999", "a.log.-00042", "a.log.٠٠٠٠٤٢", "",
        ] {
            #expect(files.parse(name) == nil, "\(name)")
        }
        var generator = SeededGenerator(state: 44)
        for _ in 0..<5_000 {
            var name = Array("a.log.000042.gz".utf8)
            for _ in 0..<Int.random(in: 1..<4, using: &generator) {
                name[Int.random(in: 0..<name.count, using: &generator)] = UInt8.random(in: 1...255, using: &generator)
            }
            let text = String(decoding: name, as: UTF8.self)
            guard let (number, packing) = files.parse(text) else { continue }
            #expect(files.path(number: number, packing: packing) == "/var/log/" + text)
        }
    }

    @Test func `the escape test agrees with a plain one on every byte in every place`() {
        for byte in UInt8.min ... .max {
            for place in 0..<8 {
                var bytes = [UInt8](repeating: UInt8(ascii: "a"), count: 8)
                bytes[place] = byte
                let word = bytes.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) }
                #expect(LineBuilder.needsEscape(word) == (byte < 0x20 || byte == 0x22 || byte == 0x5C || byte == 0x7F))
            }
        }
    }

    @Test func `settings that contradict each other are brought into order`() {
        let file = LogFile("/tmp/never-written.log") {
            $0.rotation.bytes = 1 << 40
            $0.retention.totalBytes = 1
            $0.maximumLineBytes = 1 << 40
            $0.bufferBytes = -5
            $0.flushInterval = .seconds(-1)
            $0.retention.files = -1
            $0.errorFile = .init(reserveBytes: 1 << 50, memoryBytes: 0)
            $0.sampling = Sampling(
                rules: [.info: .firstThenEvery(first: -1, every: -7), .debug: .random(oneIn: 0)], bytesPerSecond: -1)
        }
        let settings = file.configuration
        #expect(settings.retention.totalBytes == 64 << 10)
        #expect(settings.rotation.bytes == 16 << 10)
        #expect(settings.maximumLineBytes == 8 << 10)
        #expect(settings.bufferBytes >= 64 << 10)
        #expect(settings.flushInterval > .zero)
        #expect(settings.errorFile?.path == "/tmp/never-written-error.log")
        #expect(settings.errorFile!.reserveBytes <= settings.errorFile!.retention.totalBytes)
    }
}
