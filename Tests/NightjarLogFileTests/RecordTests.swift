import Foundation
import Logging
import Testing

@testable import NightjarLogFile

@Suite("A record") struct RecordTests {
    let scratch = Scratch()

    private func written(
        _ configure: (inout LogFileConfiguration) -> Void = { _ in }, _ body: (inout Logger) -> Void
    ) -> [String] {
        var (file, logger) = makeLog(scratch("a.log"), configure)
        body(&logger)
        file.close(within: .seconds(20))
        return lines(scratch("a.log"))
    }

    private func object(_ line: String?) throws -> [String: Any] {
        let data = Data(try #require(line).utf8)
        return try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    }

    @Test func `is one JSON object with time, level, label and message`() throws {
        let record = try object(written { $0.info("cart 7 paid") }.first)
        #expect(record["level"] as? String == "info")
        #expect(record["label"] as? String == "checkout")
        #expect(record["message"] as? String == "cart 7 paid")
        let time = try #require(record["time"] as? String)
        let format = ISO8601DateFormatter()
        format.formatOptions = [.withInternetDateTime, .withFractionalSeconds]
        #expect(abs(try #require(format.date(from: time)).timeIntervalSinceNow) < 60)
        #expect(Set(record.keys) == ["time", "level", "label", "message"])
    }

    @Test func `in text is one line with time, level, label, message and metadata`() throws {
        let line = try #require(
            written({ $0.format = .text }) { $0.notice("two\nlines", metadata: ["user": "a\"b", "n": "\(7)"]) }.first)
        #expect(line.dropFirst(TimeStamp.length).hasPrefix(" notice checkout: two\\nlines "))
        #expect(line.contains(#" user="a\"b""#))
        #expect(line.contains(#" n="7""#))
    }

    @Test(arguments: [
        "", "\u{1b}[2Jgone", "\0\u{1}\u{1f}\u{7f}", "\"\\/", "tab\tline\nreturn\r", "ümläut € 🦉 \u{200d}",
        String(repeating: "\"", count: 700), String(repeating: "x", count: 999) + "🦉",
    ])
    func `keeps any message whole, on one line, without control characters`(_ message: String) throws {
        let all = written { $0.info("\(message)") }
        #expect(all.count == 1)
        #expect(try object(all.first)["message"] as? String == message)
        #expect(all[0].utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F })
    }

    @Test func `shows the call's metadata before the provider's before the logger's, and no key twice`() throws {
        let all = written { logger in
            logger[metadataKey: "who"] = "logger"
            logger[metadataKey: "only"] = "logger"
            logger.handler.metadataProvider = Logger.MetadataProvider { ["who": "provider", "trace": "provider"] }
            logger.info("a", metadata: ["who": "call"])
            logger.info("b")
        }
        let first = try #require(try object(all[0])["metadata"] as? [String: String])
        #expect(first == ["who": "call", "trace": "provider", "only": "logger"])
        let second = try #require(try object(all[1])["metadata"] as? [String: String])
        #expect(second == ["who": "provider", "trace": "provider", "only": "logger"])
        #expect(all[0].components(separatedBy: "\"who\"").count == 2)
    }

    @Test func `keeps numbers, lists and dictionaries of metadata as such`() throws {
        let all = written {
            $0.info(
                "m",
                metadata: [
                    "n": .stringConvertible(42), "x": .stringConvertible(1.5), "yes": .stringConvertible(true),
                    "nan": .stringConvertible(Double.nan), "list": ["a", "b"], "tree": ["k": ["j": "v"]],
                ])
        }
        let metadata = try #require(try object(all[0])["metadata"] as? [String: Any])
        #expect(metadata["n"] as? Int == 42)
        #expect(metadata["x"] as? Double == 1.5)
        #expect(metadata["yes"] as? Bool == true)
        #expect(metadata["nan"] as? String == "nan")
        #expect(metadata["list"] as? [String] == ["a", "b"])
        #expect(((metadata["tree"] as? [String: Any])?["k"] as? [String: String]) == ["j": "v"])
    }

    @Test func `of an error tells its type, text and place`() throws {
        struct Declined: Error, CustomStringConvertible { var description: String { "card \"x\" declined" } }
        let record = try object(written { $0.error("payment failed", error: Declined()) }.first)
        let error = try #require(record["error"] as? [String: String])
        #expect(error == ["type": "Declined", "message": "card \"x\" declined"])
        #expect(record["file"] as? String == "NightjarLogFileTests/RecordTests.swift")
        #expect(record["line"] as? Int ?? 0 > 0)
    }

    enum Sensitivity: Int64, Logger.MetadataValueAttributes.Attribute { case secret = 1 }

    @Test func `redacts values by their attributes`() throws {
        let all = written({ $0.redacts = { $0[Sensitivity.self] == .secret } }) {
            $0.info("m", metadata: ["card": .attributed("4111", attributes: [Sensitivity.secret]), "plain": "4111"])
        }
        let metadata = try #require(try object(all[0])["metadata"] as? [String: String])
        #expect(metadata == ["card": "<redacted>", "plain": "4111"])
    }

    @Test func `oversized line is cut and counted`() throws {
        let (file, logger) = makeLog(scratch("a.log")) { $0.maximumLineBytes = 2_048 }
        logger.info("\(String(repeating: "é", count: 4_000))")
        logger.info("\(String(repeating: "\u{1}", count: 4_000))")
        logger.info("short", metadata: ["huge": "\(String(repeating: "h", count: 4_000))", "small": "s"])
        logger.info("fits")
        file.close(within: .seconds(20))
        let all = lines(scratch("a.log"))
        #expect(all.allSatisfy { $0.utf8.count <= 2_048 })
        let decoded = try all.map { try object($0) }.filter { $0["label"] as? String == "checkout" }
        #expect(decoded.map { $0["cut"] as? Bool ?? false } == [true, true, true, false])
        #expect(file.ledger.cut == 3)
        #expect(file.ledger.kept == 4)
    }

    @Test func `loggers are values: level and metadata of one leave the other alone`() {
        let (file, first) = makeLog(scratch("a.log"))
        var logger1 = first
        logger1.logLevel = .debug
        logger1[metadataKey: "only-on"] = "first"
        var logger2 = logger1
        logger2.logLevel = .error
        logger2[metadataKey: "only-on"] = "second"
        #expect(logger1.logLevel == .debug)
        #expect(logger2.logLevel == .error)
        #expect(logger1[metadataKey: "only-on"] == "first")
        #expect(logger2[metadataKey: "only-on"] == "second")
        file.close(within: .seconds(20))
    }

    @Test func `works beside other handlers`() {
        let (file, _) = makeLog(scratch("a.log"))
        let (other, _) = makeLog(scratch("b.log"))
        let both = Logger(label: "checkout") { label in
            MultiplexLogHandler([file.handler(label: label), other.handler(label: label)])
        }
        both.info("to both")
        file.close(within: .seconds(20))
        other.close(within: .seconds(20))
        #expect(records([scratch("a.log")]).count == 1)
        #expect(records([scratch("b.log")]).count == 1)
    }

    @Test(arguments: [
        (0, "1970-01-01T00:00:00.000000Z"), (951_782_399, "2000-02-28T23:59:59.000000Z"),
        (951_782_400, "2000-02-29T00:00:00.000000Z"), (1_709_251_199, "2024-02-29T23:59:59.000000Z"),
        (1_798_761_599, "2026-12-31T23:59:59.000000Z"), (4_107_542_400, "2100-03-01T00:00:00.000000Z"),
    ])
    func `time stamps are right on odd days`(_ seconds: Int, _ text: String) {
        #expect(TimeStamp.text(timespec(tv_sec: seconds, tv_nsec: 0)) == text)
    }
}
