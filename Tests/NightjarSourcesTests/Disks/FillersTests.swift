import Glibc
import NightjarModel
import NightjarSources
import NightjarTestKit
import Testing

private func append(_ bytes: Int, to descriptor: Int32) {
    let block = [UInt8](repeating: 65, count: bytes)
    #expect(block.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) } == bytes)
}

@Suite("Who fills the disk") struct FillersTests {
    private let folder = TemporaryFolder()

    private var device: UInt64 { FileKey.of(folder.path)!.device }

    private func look(at seconds: Double) -> OpenFiles {
        OpenFiles.look(devices: [device], at: Moment(seconds: seconds))
    }

    @Test func `a file that grows is named with the process that holds and writes it`() throws {
        let path = "\(folder.path)/debug.log"
        let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        defer { close(descriptor) }
        append(4096, to: descriptor)
        let before = look(at: 0)
        append(1 << 20, to: descriptor)
        let grown = FileGrowth.between(before, look(at: 10), device: device)
        let mine = try #require(grown.first { $0.path == path })
        #expect(mine.growth >= .mebi(1) && mine.growth < .mebi(2))
        #expect(mine.pace >= 104_857)
        #expect(mine.writers.first?.pid == getpid())
        #expect(mine.writers.first?.mayWrite == true)
        #expect(!mine.isDeleted)
    }

    @Test func `of two holders the one whose position moved comes first`() throws {
        let path = "\(folder.path)/shared.bin"
        let writer = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        defer { close(writer) }
        let child = try Child(descriptors: 3)
        let before = look(at: 0)
        append(1 << 18, to: writer)
        let mine = try #require(FileGrowth.between(before, look(at: 1), device: device).first { $0.path == path })
        #expect(mine.writers.first?.pid == getpid())
        #expect(mine.writers.first?.wrote == .kibi(256))
        _ = child
    }

    @Test func `a reader is never called the writer`() throws {
        let path = "\(folder.path)/read.log"
        folder.write("read.log", "x")
        let reader = open(path, O_RDONLY | O_CLOEXEC)
        defer { close(reader) }
        let before = look(at: 0)
        folder.write("read.log", [UInt8](repeating: 1, count: 100_000))
        let mine = try #require(FileGrowth.between(before, look(at: 1), device: device).first { $0.path == path })
        // Children that other tests fork share our descriptors; what counts is what is said of us.
        #expect(mine.writers.first { $0.pid == getpid() }?.mayWrite == false)
    }

    @Test func `a deleted file that is held open is named with its holder and its bytes`() throws {
        let path = "\(folder.path)/gone.log"
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        defer { close(descriptor) }
        append(3 << 20, to: descriptor)
        unlink(path)
        let deleted = try #require(DeletedFile.among(look(at: 0), device: device).first { $0.path == path })
        #expect(deleted.held == .mebi(3))
        #expect(deleted.holders.contains(getpid()))
    }

    @Test func `a file name that says it is deleted is not deleted`() throws {
        let path = "\(folder.path)/not (deleted)"
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        defer { close(descriptor) }
        append(2 << 20, to: descriptor)
        #expect(!DeletedFile.among(look(at: 0), device: device).contains { $0.path.hasPrefix(folder.path) })
    }

    @Test func `without the right to look it says how many processes it did not see`() throws {
        guard getuid() == 0 else { return }
        let proc = TemporaryFolder()
        proc.makeFolder("77")
        // A process without an fd folder is gone; one that may not be listed is unseen. Only root's own view differs.
        #expect(OpenFiles.look(devices: [1], root: proc.path, at: Moment(seconds: 0)).unseenProcesses == 0)
    }

    @Test func `numbers of fdinfo are read, octal flags included`() {
        folder.write("fdinfo", "pos:\t4711\nflags:\t02100001\nmnt_id:\t29\n")
        // Through a tree that looks like /proc.
        folder.makeFolder("9/fd")
        #expect(OpenFiles.look(devices: [device], root: folder.path, at: Moment(seconds: 0)).files.isEmpty)
    }

    @Test func `the folder that carries the growth is the deepest one`() throws {
        folder.write("a/b/c/one", [UInt8](repeating: 1, count: 10_000))
        folder.write("a/x", [UInt8](repeating: 1, count: 10_000))
        let before = FolderWalk.walk(folder.path, at: Moment(seconds: 0), wallNow: Int64(time(nil)))
        for number in 0..<200 { folder.write("a/b/c/f\(number)", [UInt8](repeating: 1, count: 20_000)) }
        let after = FolderWalk.walk(folder.path, at: Moment(seconds: 10), wallNow: Int64(time(nil)))
        let grown = try #require(FolderWalk.grown(before, after))
        #expect(grown.folder == "\(folder.path)/a/b/c")
        #expect(grown.growth >= Bytes(4_000_000))
        #expect(after.recent.count == 202)
        #expect(!after.isCut)
    }

    @Test func `a walk ends at its limits, in a tree that never ends`() {
        var path = "deep"
        for _ in 0..<60 { path += "/deep" }
        folder.makeFolder(path)
        symlink(folder.path, "\(folder.path)/loop")
        let walk = FolderWalk.walk(folder.path, at: Moment(seconds: 0), wallNow: 0)
        #expect(walk.entries < 200)
        #expect(walk.folders.count <= FolderWalk.levels + 1)
        let none = FolderWalk.walk("\(folder.path)/missing", at: Moment(seconds: 0), wallNow: 0)
        #expect(none.entries == 0)
    }

    @Test(arguments: [
        ("syslog.1", true), ("syslog.2.gz", true), ("app.log.zst", true), ("app.log", false), ("syslog", false),
        ("core.", false),
    ]) func `rotated logs are told from live ones`(_ name: String, _ isRotated: Bool) {
        folder.write("var/log/\(name)", [UInt8](repeating: 1, count: 2 << 20))
        let found = Reclaimable.look(device: device, root: folder.path)
        #expect(found.contains { $0.what == "rotated logs" } == isRotated)
    }
}
