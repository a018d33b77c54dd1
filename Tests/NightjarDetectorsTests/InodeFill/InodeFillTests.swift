import Foundation
import NightjarDetectors
import NightjarModel
import Testing

/// A file system's inodes: thousands used by the hour, of a thousand thousand.
private func inodes(hours: Double, _ used: (Double) -> Double?) -> [Answer] {
    var detector = InodeFill()
    return stride(from: 0, through: hours * 3600, by: 300).map { seconds in
        let taken = used(seconds / 3600).map { Int64(min(1000, $0) * 1000) }
        return detector.observe(
            MountSample(
                time: Moment(seconds: seconds), mountPoint: "/var", size: .gibi(100), available: .gibi(60),
                inodes: taken.map { _ in 1_000_000 }, inodesFree: taken.map { 1_000_000 - $0 }))
    }
}

/// The histories that the card names.
private func named(_ name: String) -> [Answer]? {
    switch name {
    case "sessions-never-deleted": inodes(hours: 200) { 300 + $0 * 3.6 }
    case "no-inode-left": inodes(hours: 10) { 900 + $0 * 20 }
    case "build-trees-come-and-go": inodes(hours: 240) { 200 + $0.truncatingRemainder(dividingBy: 8) * 50 }
    case "no-inodes-reported": inodes(hours: 48) { _ in nil }
    default: nil
    }
}

@Suite("InodeFill") struct InodeFillTests {
    @Test(arguments: InodeFill.card.fires) func `finds what its card says`(_ name: String) throws {
        let said = try #require(named(name))
        #expect(said.contains { $0.finding != nil })
    }

    @Test(arguments: InodeFill.card.staysQuiet) func `stays quiet where its card says`(_ name: String) throws {
        let said = try #require(named(name))
        #expect(!said.contains { $0.finding != nil })
    }

    @Test func `sessions that are never deleted are told of a day before the last inode`() throws {
        // 700 thousand at 3.6 an hour: none left after 194.4 h.
        let said = try #require(named("sessions-never-deleted"))
        let first = try #require(said.firstIndex { $0.finding != nil })
        #expect((194.4 - 25...194.4 - 22).contains(Double(first) / 12))
        #expect(said[first].finding?.sentence.contains("/var (inodes) is full in about") == true)
    }

    @Test func `none left is full, though there is space`() throws {
        let said = try #require(named("no-inode-left"))
        #expect(said.last?.stage == "full")
    }

    @Test func `a restart keeps the history`() throws {
        var detector = InodeFill()
        for hour in 0..<150 {
            _ = detector.observe(
                MountSample(
                    time: Moment(seconds: Double(hour) * 3600), mountPoint: "/", size: .gibi(1), available: .gibi(1),
                    inodes: 1_000_000, inodesFree: Int64(900_000 - hour * 5000)))
        }
        var bytes: [UInt8] = []
        detector.encode(into: &bytes)
        var reader = ByteReader(bytes)
        let back = try #require(InodeFill(decoding: &reader))
        #expect(back.timeToFull == detector.timeToFull)
        #expect(back.timeToFull != nil)
    }
}
