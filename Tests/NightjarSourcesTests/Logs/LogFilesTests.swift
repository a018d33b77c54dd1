import Glibc
import NightjarModel
import NightjarSources
import NightjarTestKit
import Testing

@Suite("LogFiles") struct LogFilesTests {
    private let folder = TemporaryFolder()

    private func append(_ name: String, _ text: String) {
        let descriptor = open("\(folder.path)/\(name)", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        let bytes = Array(text.utf8)
        #expect(bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) } == bytes.count)
        close(descriptor)
    }

    private func files(_ patterns: String...) -> LogFiles {
        LogFiles(patterns: patterns.map { "\(folder.path)/\($0)" })
    }

    @Test func `what is there at first does not count, what is appended does`() {
        append("app.log", String(repeating: "old line\n", count: 1000))
        let files = files("*.log")
        #expect(files.round(at: Moment(seconds: 0)).isEmpty)
        append("app.log", "new one\nnew two\n")
        let grown = files.round(at: Moment(seconds: 10))
        #expect(grown.map(\.path) == ["\(folder.path)/app.log"])
        #expect(grown.first?.grown == Bytes(16))
        #expect(grown.first?.span == .seconds(10))
        #expect(grown.first?.lines.map { String(decoding: $0, as: UTF8.self) } == ["new one", "new two"])
        #expect(files.round(at: Moment(seconds: 20)).isEmpty)
    }

    @Test func `a file that appears later counts as a whole`() {
        let files = files("*.log")
        _ = files.round(at: Moment(seconds: 0))
        append("late.log", "hello\n")
        #expect(files.round(at: Moment(seconds: 61)).first?.grown == Bytes(6))
    }

    @Test func `rotation and truncation count what is in the file now`() {
        append("app.log", String(repeating: "x", count: 5000))
        let files = files("*.log")
        _ = files.round(at: Moment(seconds: 0))
        rename("\(folder.path)/app.log", "\(folder.path)/app.log.1")
        append("app.log", "after\n")
        #expect(files.round(at: Moment(seconds: 1)).map(\.grown) == [Bytes(6)])
        truncate("\(folder.path)/app.log", 0)
        append("app.log", "ab\n")
        #expect(files.round(at: Moment(seconds: 2)).map(\.grown) == [Bytes(3)])
        unlink("\(folder.path)/app.log")
        #expect(files.round(at: Moment(seconds: 3)).isEmpty)
    }

    @Test func `a large growth is sampled, never read as a whole`() throws {
        append("app.log", "")
        let files = files("*.log")
        _ = files.round(at: Moment(seconds: 0))
        append("app.log", (0..<100_000).map { "line number \($0)\n" }.joined())
        let grown = try #require(files.round(at: Moment(seconds: 1)).first)
        let sampled = grown.lines.reduce(0) { $0 + $1.count + 1 }
        #expect(sampled <= LogFiles.sampleBytes && sampled > LogFiles.sampleBytes / 2)
        #expect(abs(grown.weight * Double(LogFiles.sampleBytes) - Double(grown.grown.count)) < 1)
        // Whole lines only, from wherever the sample was taken.
        #expect(grown.lines.allSatisfy { String(decoding: $0, as: UTF8.self).hasPrefix("line number ") })
    }

    @Test func `a file without a line end is one line`() throws {
        append("app.log", "")
        let files = files("*.log")
        _ = files.round(at: Moment(seconds: 0))
        append("app.log", String(repeating: "x", count: 10 << 20))
        #expect(try #require(files.round(at: Moment(seconds: 1)).first).lines.map(\.count) == [LogFiles.sampleBytes])
    }

    @Test func `rotated files, folders, links and the journal's own files are no logs`() {
        for name in ["a.log", "a.log.1", "b.log.gz", "sub/c.log", "sub/deep/d.log", "system.journal"] {
            folder.write(name, "x")
        }
        symlink("/etc/passwd", "\(folder.path)/link.log")
        let files = files("**")
        _ = files.round(at: Moment(seconds: 0))
        #expect(
            Set(files.watched.map { $0.path.dropFirst(folder.path.count + 1) }) == [
                "a.log", "sub/c.log", "sub/deep/d.log",
            ])
    }

    @Test(
        arguments: [
            ("*.log", ["a.log"]), ("*/c.log", ["sub/c.log"]), ("**/d.log", ["sub/deep/d.log"]),
            ("s?b/*", ["sub/c.log"]),
            ("**/*.log", ["a.log", "sub/c.log", "sub/deep/d.log"]), ("a.log", ["a.log"]), ("none/*", []),
        ] as [(String, Set<String>)]) func `patterns are the shell's, and two stars cross folders`(
            _ pattern: String, _ expected: Set<String>
        )
    {
        for name in ["a.log", "sub/c.log", "sub/deep/d.log"] { folder.write(name, "x") }
        let files = files(pattern)
        _ = files.round(at: Moment(seconds: 0))
        #expect(Set(files.watched.map { String($0.path.dropFirst(folder.path.count + 1)) }) == expected)
    }

    @Test func `no more files than the limit, and the rest is counted`() {
        for number in 0..<(LogFiles.maximumFiles + 50) { folder.write("f\(number).log", "") }
        let files = files("*.log")
        _ = files.round(at: Moment(seconds: 0))
        #expect(files.count == LogFiles.maximumFiles)
        #expect(files.unwatched == 50)
    }

    @Test func `a followed file is let go when it no longer grows`() {
        append("held.out", "x")
        let files = LogFiles(patterns: [])
        files.follow("\(folder.path)/held.out", access: "\(folder.path)/held.out", at: Moment(seconds: 0))
        append("held.out", "more\n")
        #expect(files.round(at: Moment(seconds: 10)).map(\.grown) == [Bytes(5)])
        _ = files.round(at: Moment(seconds: 2000))
        #expect(files.count == 0)
    }
}
