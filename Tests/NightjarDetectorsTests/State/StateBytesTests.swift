import NightjarDetectors
import NightjarModel
import Testing

@Suite("State as bytes") struct StateBytesTests {
    @Test func `what was written is read back, in order and to the end`() {
        var bytes: [UInt8] = []
        bytes.append(integer: UInt8(7))
        bytes.append(integer: Int64.min)
        bytes.append(integer: UInt32.max)
        bytes.append(float: -0.5)
        bytes.append(double: .pi)
        bytes.append(moment: Moment(nanoseconds: -3))
        bytes.append(text: "käfer")
        var reader = ByteReader(bytes)
        #expect(reader.integer(UInt8.self) == 7)
        #expect(reader.integer(Int64.self) == .min)
        #expect(reader.integer(UInt32.self) == .max)
        #expect(reader.float() == -0.5)
        #expect(reader.double() == .pi)
        #expect(reader.moment() == Moment(nanoseconds: -3))
        #expect(reader.text() == "käfer")
        #expect(reader.isAtEnd)
    }

    @Test func `bytes that end too early answer nil`() {
        var reader = ByteReader([1, 2, 3])
        #expect(reader.integer(UInt32.self) == nil)
        #expect(reader.integer(UInt16.self) == 0x0201)
        #expect(reader.double() == nil)
        var text = ByteReader([5, 0, 65])
        #expect(text.text() == nil)
    }

    @Test func `text longer than its limit is refused before it is read`() {
        var bytes: [UInt8] = []
        bytes.append(text: String(repeating: "a", count: 100))
        var reader = ByteReader(bytes)
        #expect(reader.text(limit: 99) == nil)
    }
}
