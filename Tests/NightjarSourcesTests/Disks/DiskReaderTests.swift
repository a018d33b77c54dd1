import Glibc
import NightjarModel
import NightjarSources
import NightjarTestKit
import Synchronization
import Testing

/// Holds back answers about some paths until it is opened.
private final class Gate: Sendable {
    private let isOpen = Mutex(false)
    func open() { isOpen.withLock { $0 = true } }
    func wait() { while !isOpen.withLock({ $0 }) { usleep(2000) } }
}

private let status = FileSystemStatus(size: .gibi(10), available: .gibi(4), inodes: 100, inodesFree: 40)

private func host(_ mounts: String...) -> TemporaryFolder {
    let folder = TemporaryFolder()
    folder.write("self/mountinfo", mounts.joined(separator: "\n") + "\n")
    return folder
}

@Suite("DiskReader") struct DiskReaderTests {
    @Test func `this machine's root is read like df reads it`() throws {
        let reader = DiskReader(also: ["overlay", "tmpfs"])
        var readings: [DiskReading] = []
        for _ in 0..<50 where readings.allSatisfy({ $0.sample == nil }) {
            readings = reader.round(at: Moment(seconds: 1), patience: .milliseconds(200))
        }
        let root = try #require(readings.first { $0.mount.mountPoint == "/" }?.sample)
        var raw = statvfs()
        #expect(statvfs("/", &raw) == 0)
        #expect(root.size.count <= Int64(raw.f_blocks) * Int64(raw.f_frsize))
        #expect(root.size > .zero && root.available <= root.size)
    }

    @Test func `what root keeps for itself is neither size nor free`() {
        let here = FileSystemStatus.ask("/")
        #expect(here != nil)
        #expect(FileSystemStatus.ask("/no/such/mount") == nil)
    }

    @Test func `a dead mount is reported, not waited for`() {
        let folder = host(
            "1 0 8:1 / / rw - ext4 /dev/vda rw", "2 1 0:50 / /mnt/dead rw - nfs4 gone:/x rw",
            "3 1 8:2 / /data rw - ext4 /dev/vdb rw")
        let gate = Gate()
        let reader = DiskReader(root: folder.path, deadline: .milliseconds(50)) { path in
            if path == "/mnt/dead" { gate.wait() }
            return status
        }
        var readings: [DiskReading] = []
        for round in 1...200 {
            readings = reader.round(at: Moment(seconds: Double(round)), patience: .milliseconds(20))
            if readings.contains(where: { $0.silentFor != nil }), round > 5 { break }
            usleep(10_000)
        }
        #expect(readings.filter { $0.silentFor != nil }.map(\.mount.mountPoint) == ["/mnt/dead"])

        // The others go on being read, each round anew.
        let late = Moment(seconds: 1000)
        var seen: Set<String> = []
        for _ in 0..<200 where seen.count < 2 {
            for reading in reader.round(at: late, patience: .milliseconds(20)) where reading.sample?.time == late {
                seen.insert(reading.mount.mountPoint)
            }
        }
        #expect(seen == ["/", "/data"])

        // When it comes back it is read again.
        gate.open()
        var back: DiskReading?
        for round in 0..<500 {
            back = reader.round(at: Moment(seconds: 2000 + Double(round)), patience: .milliseconds(20))
                .first { $0.mount.mountPoint == "/mnt/dead" }
            if back?.silentFor == nil, back?.sample != nil { break }
            usleep(5000)
        }
        #expect(back?.silentFor == nil)
        #expect(back?.sample?.available == .gibi(4))
    }

    @Test func `a round with a mount that hangs takes no longer than its patience`() {
        let folder = host("1 0 8:1 / / rw - ext4 /dev/vda rw", "2 1 0:50 / /dead rw - nfs4 gone:/x rw")
        let gate = Gate()
        let reader = DiskReader(root: folder.path, deadline: .seconds(60)) { path in
            if path == "/dead" { gate.wait() }
            return status
        }
        var best = Int64.max
        for round in 0..<5 {
            let begin = ContinuousClock.now
            _ = reader.round(at: Moment(seconds: Double(round)), patience: .milliseconds(10))
            best = min(best, (ContinuousClock.now - begin).nanosecondCount)
        }
        // The best of five, since the machine may be busy; far below the deadline in any case.
        #expect(best < 5_000_000_000)
        gate.open()
    }

    @Test func `no more threads are given up than the limit`() {
        let worker = SideWorker<Int>(deadline: .milliseconds(1))
        let gate = Gate()
        var accepted = 0
        for number in 0..<40 {
            if worker.submit(
                "mount \(number)",
                {
                    gate.wait(); return number
                })
            {
                accepted += 1
            }
            for _ in 0..<200 where worker.overdue.count < accepted {
                _ = worker.collect(patience: .milliseconds(1))
                usleep(1000)
            }
        }
        #expect(accepted == SideWorker<Int>.maximumParked)
        #expect(worker.refused == 40 - accepted)
        gate.open()
    }

    @Test func `work that throws nothing back late is collected in a later round`() {
        let worker = SideWorker<String>(deadline: .seconds(60))
        let gate = Gate()
        worker.submit("slow") {
            gate.wait(); return "done"
        }
        #expect(worker.collect(patience: .milliseconds(5)).isEmpty)
        #expect(!worker.submit("slow") { "again" })
        gate.open()
        var results: [String] = []
        for _ in 0..<500 where results.isEmpty { results = worker.collect(patience: .milliseconds(20)).map(\.output) }
        #expect(results == ["done"])
    }

    @Test func `mounts that come and go are noticed`() {
        let folder = host("1 0 8:1 / / rw - ext4 /dev/vda rw")
        let reader = DiskReader(root: folder.path) { _ in status }
        #expect(reader.round(at: Moment(seconds: 1)).map(\.mount.mountPoint) == ["/"])
        // A plain file cannot report changes as the kernel's does: a new reader stands for the next look.
        folder.write("self/mountinfo", "1 0 8:1 / / rw - ext4 /dev/vda rw\n2 1 8:2 / /new rw - ext4 /dev/b rw\n")
        #expect(DiskReader(root: folder.path) { _ in status }.watched.map(\.mountPoint) == ["/", "/new"])
    }
}
