import Foundation
import Testing

@testable import NightjarSymbols

@Suite("Debug information") struct DebugInformationTests {
    @Test(arguments: ["clang-4", "clang-5", "clang-5-64", "gcc-4", "gcc-5", "clang-4-zlib", "gcc-5-zlib"])
    func `an address in inlined code names the whole chain with its lines`(_ compiler: String) throws {
        let stacks = try Image("inlined-\(compiler).bin").stacks(in: "outer")
        for expected in [
            ["inner inlined.c:14", "middle inlined.c:20", "outer inlined.c:25"],
            ["middle inlined.c:19", "outer inlined.c:25"], ["outer inlined.c:24"],
        ] {
            let isThere = stacks.contains(expected)
            #expect(isThere, "\(expected)")
        }
    }

    @Test func `Swift's inlined functions have their Swift names`() throws {
        let stacks = try Image("inlined-swift.bin").stacks(in: "fill")
        let names = "Shop.Basket.note(_:) inlined.swift:11, Shop.Basket.add(_:twice:) inlined.swift:16, "
        let isThere = stacks.contains { $0.joined(separator: ", ") == names + "Shop.Basket.fill(_:) inlined.swift:21" }
        #expect(isThere)
        let fromElsewhere = stacks.filter { $0[0].hasPrefix("Shop.Basket.note") && $0[0].hasSuffix(":21") }
        #expect(fromElsewhere.isEmpty, "a line of the function around it")
    }

    @Test func `only the last frame of an address is one of the machine's`() throws {
        let image = try Image("inlined-clang-5.bin")
        for stack in image.frames(in: "outer") {
            #expect(stack.map(\.isInlined).lastIndex(of: false) == stack.count - 1)
        }
        #expect(image.frames(in: "outer").contains { $0.map(\.isInlined) == [true, true, false] })
    }

    @Test func `a function that nothing was inlined into stands alone`() throws {
        let stacks = try Image("inlined-gcc-5.bin").stacks(in: "leaf")
        #expect(
            Set(stacks).isSubset(of: [
                ["leaf inlined.c:8"], ["leaf inlined.c:9"], ["leaf inlined.c:10"], ["leaf inlined.c:11"],
            ]))
    }

    @Test func `an address between the functions is nobody's`() throws {
        let file = try #require(ELFFile(path: Image.path("inlined-clang-5.bin")))
        let debug = try #require(DebugInformation(of: file))
        #expect(debug.place(of: 0) == nil)
        #expect(debug.place(of: .max) == nil)
    }

    @Test func `a file without debug information has none`() throws {
        let file = try #require(ELFFile(path: Image.path("stripped.bin")))
        #expect(DebugInformation(of: file) == nil)
    }

    @Test(arguments: ["clang-4", "clang-5", "clang-5-64", "gcc-4", "gcc-5", "clang-4-zlib", "gcc-5-zlib"])
    func `damaged debug information neither traps nor runs away`(_ compiler: String) throws {
        let folder = try TemporaryFolder()
        let original = try [UInt8](Data(contentsOf: URL(filePath: Image.path("inlined-\(compiler).bin"))))
        let file = try #require(ELFFile(path: Image.path("inlined-\(compiler).bin")))
        let debug = file.sections.filter { $0.name.hasPrefix(".debug") }
        let outer = try #require(Image("inlined-\(compiler).bin").range(of: "outer"))
        var random = Mutation(seed: UInt64(compiler.utf8.count * 7919) + UInt64(compiler.utf8.last ?? 0))
        for _ in 0..<100 {
            let section = debug[random.below(debug.count)]
            let place = Int(section.offset)..<Int(section.offset + section.size)
            let path = try folder.write(Data(random.mutated(original, within: place)), "damaged")
            guard let file = ELFFile(path: path), let information = DebugInformation(of: file) else { continue }
            for address in stride(from: outer.lowerBound, to: outer.upperBound, by: 7) {
                #expect(information.place(of: address)?.inlined.count ?? 0 <= 64)
            }
        }
    }
}

@Suite("Separate debug files") struct SeparateDebugFileTests {
    /// A root with the stripped program in it, and its debug file at `place`.
    private func root(_ place: String, debug: String = "stripped.debug", program: String = "/srv/shop") throws
        -> TemporaryFolder
    {
        let folder = try TemporaryFolder()
        for (from, to) in [("stripped.bin", program), (debug, place)] {
            let target = folder.url.appending(path: to)
            try FileManager.default.createDirectory(
                at: target.deletingLastPathComponent(), withIntermediateDirectories: true)
            try FileManager.default.copyItem(atPath: Image.path(from), toPath: target.path(percentEncoded: false))
        }
        return folder
    }

    private func found(_ folder: TemporaryFolder) throws -> ELFFile? {
        let root = folder.url.path(percentEncoded: false).dropLast(folder.url.hasDirectoryPath ? 1 : 0)
        let file = try #require(ELFFile(path: "\(root)/srv/shop"))
        return SeparateDebugFile.find(for: file, path: "/srv/shop", roots: [String(root)])
    }

    private var buildIDPlace: String {
        get throws {
            let id = hex(try #require(ELFFile(path: Image.path("stripped.bin"))).buildID)
            return "/usr/lib/debug/.build-id/\(id.prefix(2))/\(id.dropFirst(2)).debug"
        }
    }

    @Test func `a debug file is found by build-id, with symbols and lines`() throws {
        let file = try #require(try found(root(try buildIDPlace)))
        #expect(file.symbols()?.isStripped == false)
        #expect(DebugInformation(of: file) != nil)
    }

    @Test(arguments: ["/srv/stripped.debug", "/srv/.debug/stripped.debug", "/usr/lib/debug/srv/stripped.debug"])
    func `a debug file is found by the name that the program carries`(_ place: String) throws {
        #expect(try found(root(place)) != nil)
    }

    @Test func `the debug file of another build is refused`() throws {
        #expect(try found(root(try buildIDPlace, debug: "inlined-gcc-5.bin")) == nil)
        #expect(try found(root("/srv/stripped.debug", debug: "inlined-gcc-5.bin")) == nil)
    }

    @Test func `a stripped program's frames are named from its debug file`() throws {
        let folder = try root(try buildIDPlace)
        let root = String(folder.url.path(percentEncoded: false).dropLast(folder.url.hasDirectoryPath ? 1 : 0))
        let file = try #require(ELFFile(path: "\(root)/srv/shop"))
        let outer = try #require(Image("inlined-clang-5.bin").range(of: "outer"))
        let module = Symbolizer.Module(
            ModuleReference(path: "/srv/shop", buildID: file.buildID, bias: 0), file, roots: [root])
        let stacks = outer.map { module.frames(at: $0, readsLines: true).map(\.description) }
        #expect(stacks.contains(["inner inlined.c:14", "middle inlined.c:20", "outer inlined.c:25"]))
    }
}

/// One of the small programs beside these tests; `inlined.c` and `inlined.swift` say how they were made.
private struct Image {
    let module: Symbolizer.Module

    init(_ name: String) throws {
        let file = try #require(ELFFile(path: Self.path(name)))
        module = Symbolizer.Module(
            ModuleReference(path: "/\(name)", buildID: file.buildID, bias: 0), file, roots: ["/nonexistent"])
    }

    static func path(_ name: String) -> String {
        URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Images/\(name)").path(
            percentEncoded: false)
    }

    func range(of function: String) -> Range<UInt64>? {
        guard let symbols = module.symbols else { return nil }
        let all = symbols.entries.compactMap { symbols.symbol(at: $0.address) }
        let found = all.first { $0.kind == .function && $0.name.contains(function) }
        return found.map { $0.address..<$0.address + $0.size }
    }

    func frames(in function: String) -> [[SymbolizedFrame]] {
        (range(of: function) ?? 0..<0).map { module.frames(at: $0, readsLines: true) }
    }

    func stacks(in function: String) -> [[String]] { frames(in: function).map { $0.map(\.description) } }
}
