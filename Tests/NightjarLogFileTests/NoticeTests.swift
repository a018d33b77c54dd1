import CZstd
import Foundation
import Logging
import Synchronization
import Testing

@testable import NightjarLogFile

@Suite("A notice about the log") struct NoticeTests {
    let scratch = Scratch()

    /// A socket as journald's, and what arrives there.
    private final class Journal {
        let path: String
        private let socketDescriptor: Int32

        init(_ path: String) throws {
            self.path = path
            socketDescriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) { space in
                for (index, byte) in path.utf8.enumerated() { space[index] = byte }
            }
            let bound = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(socketDescriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
                }
            }
            try #require(bound == 0)
        }

        deinit { close(socketDescriptor) }

        /// The next entry; nil where there is none.
        func next() -> String? {
            var bytes = [UInt8](repeating: 0, count: 65_536)
            let count = recv(socketDescriptor, &bytes, bytes.count, Int32(MSG_DONTWAIT))
            return count > 0 ? String(decoding: bytes[..<count], as: UTF8.self) : nil
        }
    }

    @Test func `goes to journald with priority, kind and path, and no value breaks out of its line`() throws {
        let journal = try Journal(scratch("journal"))
        let teller = NoticeTeller(.automatic, journal: journal.path)
        teller.tell(LogNotice(kind: .diskFull, path: "/var/log/a\nPRIORITY=0.log", text: "two\nlines"))
        let entry = try #require(journal.next())
        #expect(
            entry.split(separator: "\n") == [
                "MESSAGE=/var/log/a PRIORITY=0.log: two lines", "PRIORITY=3", "SYSLOG_IDENTIFIER=nightjar-log",
                "NIGHTJAR_LOG_NOTICE=disk_full", "NIGHTJAR_LOG_PATH=/var/log/a PRIORITY=0.log",
            ])
    }

    @Test func `of one kind is told once a minute; what is held back is counted`() throws {
        let journal = try Journal(scratch("journal"))
        let teller = NoticeTeller(.automatic, journal: journal.path)
        for _ in 0..<100 { teller.tell(LogNotice(kind: .unwritable, path: "/a", text: "again")) }
        teller.tell(LogNotice(kind: .recovered, path: "/a", text: "over"))
        #expect(journal.next()?.contains("unwritable") == true)
        #expect(journal.next()?.contains("recovered") == true)
        #expect(journal.next() == nil)
        #expect(teller.suppressed.load(ordering: .relaxed) == 99)
    }

    @Test func `never waits: neither for a journal that reads nothing nor for one that is gone`() throws {
        let journal = try Journal(scratch("journal"))
        let begin = Clock.monotonic()
        // Far more than the socket's queue takes; each by a teller of its own, so that none is held back.
        for _ in 0..<2_000 {
            let teller = NoticeTeller(.automatic, journal: journal.path)
            teller.tell(LogNotice(kind: .levelOverride, path: "/a", text: String(repeating: "x", count: 100)))
            guard Clock.monotonic() - begin < 20_000_000_000 else { break }
            if journalIsFull(journal.path) { break }
        }
        #expect(Clock.monotonic() - begin < 20_000_000_000)
    }

    private func journalIsFull(_ path: String) -> Bool {
        let teller = NoticeTeller(.silent, journal: path)
        return !teller.toJournal(LogNotice(kind: .levelOverride, path: "/a", text: "full?"))
    }

    @Test func `without the library files stay plain, and that is said once`() async {
        await #expect(processExitsWith: .success) {
            // Other libraries of this process bring libzstd along, so it is looked for under a name that nothing has.
            nj_zstd_look_for("libzstd.so.none")
            let directory = Scratch()
            let told = Mutex<[LogNotice]>([])
            let (file, logger) = makeLog(directory("a.log")) {
                $0.compression = .zstd()
                $0.rotation.bytes = 4_096
                $0.notices = .call { notice in told.withLock { $0.append(notice) } }
            }
            for index in 0..<300 {
                logger.info("line \(index)")
                if index % 20 == 19 { file.flush(within: .seconds(20)) }
            }
            let isTold = eventually { !told.withLock { $0 }.isEmpty }
            file.close(within: .seconds(20))
            let isWhole = records(files(directory("a.log"))).count == 300
            exit(isTold && isWhole && told.withLock { $0 }.map(\.kind) == [.compressionMissing] ? 0 : 1)
        }
    }
}
