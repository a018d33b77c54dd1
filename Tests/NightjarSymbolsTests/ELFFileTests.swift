import Foundation
import Testing

@testable import NightjarSymbols

@inline(never) private func landmark(_ number: Int32) -> Int32 { number &+ 1 }

/// An address inside `landmark(_:)`'s C entry.
private var landmarkAddress: UInt64 {
    let pointer: @convention(c) (Int32) -> Int32 = landmark
    return UInt64(unsafeBitCast(pointer, to: UInt.self))
}

@Suite struct ELFFileTests {
    static let ownPath = "/proc/self/exe"

    @Test func `a function of this process is named`() {
        let frame = Symbolizer().frame(at: landmarkAddress)
        #expect(frame.function?.contains("landmark") == true)
        #expect(frame.module?.buildID.isEmpty == false)
    }

    @Test func `data is named too`() throws {
        let metadata = UInt64(UInt(bitPattern: unsafeBitCast(Mutation.self as Any.Type, to: UnsafeRawPointer.self)))
        let found = try #require(Symbolizer().symbol(at: metadata))
        #expect(found.symbol.kind == .object)
        #expect(demangle(found.symbol.name)?.contains("Mutation") == true)
    }

    @Test func `an address that nobody mapped has no name but itself`() {
        let frame = Symbolizer().frame(at: 0x1000)
        #expect(frame.function == nil && frame.module == nil)
        #expect(frame.name == "0x1000")
    }

    @Test func `a symbol answers only for its own bytes`() throws {
        let file = try #require(ELFFile(path: Self.ownPath))
        let table = try #require(file.symbols())
        #expect(table.count > 1000)
        #expect(table.symbol(at: 0) == nil)
        #expect(table.symbol(at: .max) == nil)
        let last = try #require(table.entries.last)
        #expect(table.symbol(at: last.address &+ UInt64(last.size)) == nil)
    }

    @Test func `what is no ELF file is refused`() throws {
        let folder = try TemporaryFolder()
        for (name, bytes) in [
            ("empty", Data()), ("text", Data(repeating: 65, count: 5000)),
            ("magic only", Data([0x7F, 0x45, 0x4C, 0x46])),
            ("magic and zeros", Data([0x7F, 0x45, 0x4C, 0x46, 2, 1, 1]) + Data(count: 200)),
        ] {
            #expect(ELFFile(path: try folder.write(bytes, name)) == nil)
        }
        #expect(ELFFile(path: "/proc/self") == nil)
        #expect(ELFFile(path: "/nonexistent") == nil)
    }

    @Test func `damaged headers, notes and symbols neither trap nor grow without bound`() throws {
        let folder = try TemporaryFolder()
        let original = try [UInt8](
            Data(contentsOf: URL(filePath: "/proc/self/exe"), options: .alwaysMapped).prefix(1 << 16))
        let libraries = try smallLibrary()
        var random = Mutation(seed: 42)
        for round in 0..<300 {
            let seed = round % 2 == 0 ? original : libraries
            let damaged = random.mutated(seed, within: 0..<min(seed.count, round % 3 == 0 ? 1024 : seed.count))
            let path = try folder.write(Data(damaged), "damaged")
            guard let file = ELFFile(path: path) else { continue }
            let table = file.symbols(Set(Symbol.Kind.allCases))
            for entry in table?.entries.prefix(20) ?? [] { _ = table?.symbol(at: entry.address) }
            _ = DebugInformation(of: file)?.place(of: 4096)
        }
    }

    /// A small complete shared library with symbols: the vdso of this process.
    private func smallLibrary() throws -> [UInt8] {
        let map = try #require(MemoryMap.read())
        let vdso = try #require(map.mappings.first { $0.path == "[vdso]" })
        let pointer = try #require(UnsafeRawPointer(bitPattern: UInt(vdso.start)))
        return Array(UnsafeRawBufferPointer(start: pointer, count: Int(vdso.end - vdso.start)))
    }
}

@Suite struct MemoryMapTests {
    @Test func `a line of maps becomes a mapping`() throws {
        let line = "55f0c0a00000-55f0c0a21000 r-xp 00002000 08:01 1048602    /opt/my app/check out (deleted)\n"
        let mapping = try #require(MemoryMap(parsing: Array(line.utf8)).mappings.first)
        #expect(mapping.start == 0x55f0_c0a0_0000 && mapping.end == 0x55f0_c0a2_1000)
        #expect(mapping.offset == 0x2000 && mapping.device == 0x0801 && mapping.inode == 1_048_602)
        #expect(mapping.isExecutable && !mapping.isWritable)
        #expect(mapping.path == "/opt/my app/check out (deleted)")
    }

    @Test func `addresses between mappings belong to none`() {
        let map = MemoryMap(parsing: Array("2000-3000 r--p 0 00:00 0\n5000-6000 r--p 0 00:00 0\n".utf8))
        #expect(map.mapping(at: 0x1FFF) == nil && map.mapping(at: 0x3000) == nil && map.mapping(at: 0x6000) == nil)
        #expect(map.mapping(at: 0x2000) != nil && map.mapping(at: 0x5FFF) != nil)
    }

    @Test func `garbled lines are left out`() {
        let text =
            "zz\n-\n2000-\n3000-2000 r--p 0 00:00 0\n2000-3000 r\n" + String(repeating: "x", count: 100_000)
            + "\n4000-5000 r-xp 0 00:00 0 \n"
        #expect(MemoryMap(parsing: Array(text.utf8)).mappings.map(\.start) == [0x4000])
    }
}

/// A folder that goes away with its owner.
final class TemporaryFolder {
    let url: URL

    init() throws {
        url = FileManager.default.temporaryDirectory.appending(path: "nightjar-symbols-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: url) }

    func write(_ bytes: Data, _ name: String) throws -> String {
        let path = url.appending(path: name)
        try bytes.write(to: path)
        return path.path(percentEncoded: false)
    }
}
