import NightjarModel
import NightjarTestKit
import Testing

@testable import NightjarSources

@Suite("Fields of text files") struct FieldsTests {
    private func parse(_ text: String) -> (UInt64?, Int) {
        let bytes = Array(text.utf8)
        var position = 0
        return (number(bytes.span, &position), position)
    }

    @Test(arguments: [("0", 0), ("12 kB", 12), ("18446744073709551615", UInt64.max)])
    func `a number ends where its digits end`(text: String, expected: UInt64) {
        #expect(parse(text).0 == expected)
    }

    @Test(arguments: ["", " 1", "x", "-1", "18446744073709551616", "99999999999999999999999"])
    func `what is no number, or too large for one, is nil`(text: String) {
        #expect(parse(text).0 == nil)
    }

    @Test func `a key is found at the beginning of a line alone`() {
        let bytes = Array("cancelled_write_bytes: 7\nwrite_bytes: 8\nwrite_bytes_more 9\n".utf8)
        #expect(value(of: "write_bytes", in: bytes.span) == 8)
        #expect(value(of: "cancelled_write_bytes", in: bytes.span) == 7)
        #expect(value(of: "missing", in: bytes.span) == nil)
    }

    @Test func `an error says what and why in one line`() {
        let error = ProcError(.unreadable, path: "/proc/4242/io", detail: "Permission denied")
        #expect("\(error)" == "cannot read '/proc/4242/io': Permission denied")
    }

    @Test func `counts are kept by code, added and subtracted`() {
        var counts = ErrorCounts()
        counts[.malformed] += 2
        counts[.tooSlow] += 1
        #expect((counts + counts)[.malformed] == 4)
        #expect((counts - counts).total == 0)
        #expect(counts.nonZero.map(\.code) == [.malformed, .tooSlow])
    }

    @Test func `histories are read word by word`() {
        #expect(History("64 +1x3").values == [64, 65, 66, 67])
        #expect(History("10 =x2 -2x2 ~3x2").values == [10, 10, 10, 8, 6, 9, 6])
        #expect(History("1.5 +0.5").values == [1.5, 2])
    }
}
