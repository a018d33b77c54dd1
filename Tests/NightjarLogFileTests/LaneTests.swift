import Foundation
import Testing

@testable import NightjarLogFile

@Suite("A lane") struct LaneTests {
    private func append(_ lane: Lane, _ line: String, isCopy: Bool = false, limit: Int = 4_096) -> Lane.Appended {
        Array((line + "\n").utf8).withUnsafeBytes { lane.append($0, limit: limit, isCopy: isCopy) }
    }

    private func text(_ bytes: UnsafeRawBufferPointer) -> String { String(decoding: bytes, as: UTF8.self) }

    @Test func `gives back what was appended, in order, and counts whole lines without copies`() throws {
        let lane = try #require(Lane(capacity: 4_096, path: "/dev/null", mode: 0o600))
        #expect(append(lane, "one") == .first)
        #expect(append(lane, "copy", isCopy: true) == .done)
        #expect(append(lane, "two") == .done)
        #expect(text(lane.take()) == "one\ncopy\ntwo\n")
        #expect(lane.advance(by: 13) == 2)
        #expect(lane.isEmpty)
        #expect(lane.appendedCount == 2)
    }

    @Test func `a copy that is written in parts counts once, whatever fails in between`() throws {
        let lane = try #require(Lane(capacity: 4_096, path: "/dev/null", mode: 0o600))
        _ = append(lane, "copy", isCopy: true)
        _ = append(lane, "one")
        _ = lane.take()
        #expect(lane.advance(by: 2) == 0)
        #expect(lane.advance(by: 0) == 0)
        #expect(text(lane.take()) == "py\none\n")
        #expect(lane.advance(by: 0) == 0)
        #expect(lane.advance(by: 3) == 0)
        #expect(lane.advance(by: 4) == 1)
    }

    @Test func `goes back to the beginning of a half-written line`() throws {
        let lane = try #require(Lane(capacity: 4_096, path: "/dev/null", mode: 0o600))
        _ = append(lane, "one")
        _ = append(lane, "two")
        _ = lane.take()
        #expect(lane.advance(by: 6) == 1)
        lane.rewindToLineStart()
        #expect(text(lane.take()) == "two\n")
    }

    @Test func `refuses beyond the limit of a level and keeps what it has`() throws {
        let lane = try #require(Lane(capacity: 4_096, path: "/dev/null", mode: 0o600))
        let line = String(repeating: "x", count: 999)
        #expect(append(lane, line, limit: 2_048) == .first)
        #expect(append(lane, line, limit: 2_048) == .crossed)
        #expect(append(lane, line, limit: 2_048) == .refused)
        #expect(append(lane, line, limit: 4_096) == .done)
        #expect(lane.pendingBytes == 3_000)
    }

    @Test func `gives up what can never be written, and says how much that is`() throws {
        let lane = try #require(Lane(capacity: 4_096, path: "/dev/null", mode: 0o600))
        for line in ["one", "two", "three"] { _ = append(lane, line) }
        _ = append(lane, "copy", isCopy: true)
        _ = lane.take()
        _ = lane.advance(by: 5)
        _ = append(lane, "four")
        // "two" was half written: it is lost with the rest.
        #expect(lane.abandon() == 3)
        #expect(lane.isEmpty)
    }

    @Test func `pages of an idle lane go back to the system`() throws {
        let lane = try #require(Lane(capacity: 1 << 20, path: "/dev/null", mode: 0o600))
        for _ in 0..<1_000 {
            _ = Array(repeating: UInt8(ascii: "x"), count: 1_000).withUnsafeBytes {
                lane.append($0, limit: 1 << 20, isCopy: false)
            }
        }
        let full = residentBytes(lane)
        lane.releasePages()
        #expect(residentBytes(lane) == full, "nothing is given back while lines wait")
        _ = lane.advance(by: lane.take().count)
        lane.releasePages()
        #expect(full > 900_000)
        #expect(residentBytes(lane) == 0)
    }

    private func residentBytes(_ lane: Lane) -> Int {
        var pages = [UInt8](repeating: 0, count: lane.capacity * 2 / 4_096)
        typealias InCore = @convention(c) (UnsafeMutableRawPointer, Int, UnsafeMutablePointer<UInt8>) -> Int32
        let inCore = unsafeBitCast(dlsym(UnsafeMutableRawPointer(bitPattern: 0), "mincore"), to: InCore.self)
        guard inCore(lane.memory, lane.capacity * 2, &pages) == 0 else { return -1 }
        return pages.count { $0 & 1 == 1 } * 4_096
    }
}
