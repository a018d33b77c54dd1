import Foundation
import Testing

@testable import NightjarInspect

/// A recorded image of `zoo 3`, static and stripped, with what a census and a leak search looked at. Recorded anew with
/// `NIGHTJAR_REWRITE_GOLDENS=1 swift test --filter ImageTests`, on a machine with the glibc and the Swift that are wanted.
private let path = LiveTarget.folder.appending(path: "Images/zoo-swift6.3-glibc2.36-x86_64.image")

private func image() throws -> [UInt8] { try Array(Data(contentsOf: path)) }

private func target(_ bytes: [UInt8]) throws -> Target {
    let image = try RecordedImage(decoding: bytes)
    return Target(map: image.map, memory: image)
}

@Suite("A recorded image", .serialized) struct ImageTests {
    @Test(.enabled(if: ProcessInfo.processInfo.environment["NIGHTJAR_REWRITE_GOLDENS"] != nil))
    func `an image is recorded`() throws {
        let zoo = try LiveTarget(zoo: 3, .stripped)
        let maps = readFile("/proc/\(zoo.pid)/maps", limit: 1 << 20).0
        let recorder = ImageRecorder(LiveMemory(pid: zoo.pid))
        // What was never touched is not worth recording.
        let map = TargetMap(text: maps)
        let target = Target(map: map, memory: recorder, touched: Pagemap(pid: zoo.pid, procRoot: "/proc"))
        _ = try Census.take(of: target)
        _ = try LeakSearch(target).run()
        try Data(recorder.encoded(maps: maps)).write(to: path)
    }

    @Test func `the census of an image counts what was planted`() throws {
        let census = try Census.take(of: target(image()))
        #expect(census.count("zoo.Request") == 30)
        #expect(census.count("zoo.Session") == 15 + 12 + 3)
        #expect(census.count("zoo.Gen<Dictionary<Int, String>>") == 3)
        #expect(census.count("zoo.Failure") == 3)
        #expect(census.count("Dictionary<Int, (Int) -> Int>") == 1)
        #expect(census.typedBytes + census.untypedBytes + census.freeBytes == census.heapBytes)
        #expect(census.missedBytes == 0)
    }

    @Test func `the cycles of an image are found without the process`() throws {
        let report = try LeakSearch(target(image())).run()
        let session = report.unreachable.first { $0.type.name == "zoo.Session" }
        #expect(session?.count == 12)
        #expect(session?.cycle == ["Session.next", "Session.next"])
        #expect(report.pause.seconds == 0)
    }

    @Test func `any damage to an image is survived`() throws {
        let whole = try image()
        var random = SplitMix(state: 2026)
        for round in 0..<60 {
            var bytes = whole
            for _ in 0..<(1 << (round % 12)) {
                bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
            }
            if round % 10 == 9 { bytes.removeLast(Int(random.next() % UInt64(bytes.count))) }
            guard let target = try? target(bytes) else { continue }
            if let census = try? Census.take(of: target) {
                #expect(census.typedBytes >= 0 && census.typedBytes <= census.heapBytes)
                #expect(census.typedBytes + census.untypedBytes + census.freeBytes == census.heapBytes)
            }
            _ = try? LeakSearch(target).run()
        }
    }

    @Test(arguments: [
        [], Array("NIGHTJAR-IMAGE 1\n".utf8), Array("something else".utf8), [UInt8](repeating: 255, count: 100),
    ])
    func `what is no image is refused`(bytes: [UInt8]) {
        #expect(throws: InspectError.self) { try RecordedImage(decoding: bytes) }
    }
}
