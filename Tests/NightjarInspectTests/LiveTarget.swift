import Foundation
import Testing

@testable import NightjarInspect

/// How a test program is built.
enum Build: String, CaseIterable, CustomTestStringConvertible {
    case release, unoptimised, staticStandardLibrary, stripped

    var options: [String] {
        switch self {
        case .release: ["-O"]
        case .unoptimised: ["-Onone"]
        case .staticStandardLibrary: ["-O", "-static-stdlib"]
        case .stripped: ["-O", "-static-stdlib", "-Xlinker", "-s"]
        }
    }
    var testDescription: String { rawValue }
}

/// A test program that was built once and runs as a process of its own.
final class LiveTarget {
    static let folder = URL(filePath: #filePath).deletingLastPathComponent()
    private static let products = FileManager.default.temporaryDirectory
        .appending(path: "nightjar-inspect-tests-\(getpid())")
    private static let lock = NSLock()

    /// Builds a program of Programs/; a second call finds it built.
    static func program(_ name: String, _ build: Build) throws -> String {
        try lock.withLock {
            let product = products.appending(path: "\(build.rawValue)-\(name)").path
            if FileManager.default.isExecutableFile(atPath: product) { return product }
            try FileManager.default.createDirectory(at: products, withIntermediateDirectories: true)
            let source = folder.appending(path: "Programs/\(name)").path
            if name == "below" { return try programAndLibrary(name, "evolving", product) }
            let isC = FileManager.default.fileExists(atPath: source + ".c")
            let compiler =
                isC
                ? ["clang", "-O1", "-pthread", source + ".c", "-o", product]
                    + (name == "dies" ? ["-shared", "-fPIC"] : [])
                : ["swiftc", "-swift-version", "6", "-module-name", name, source + ".swift", "-o", product]
                    + build.options
            let (status, text) = try run("/usr/bin/env", compiler)
            try #require(status == 0, "\(compiler[0]): \(text)")
            return product
        }
    }

    /// A library that is built for evolution, and a program that uses it.
    private static func programAndLibrary(_ name: String, _ library: String, _ product: String) throws -> String {
        let (here, sources) = (products.path, folder.appending(path: "Programs").path)
        let steps = [
            [
                "-emit-library", "-emit-module", "-enable-library-evolution", "-module-name", library,
                "\(sources)/\(library).swift", "-emit-module-path", "\(here)/\(library).swiftmodule", "-o",
                "\(here)/lib\(library).so",
            ],
            [
                "-O", "-module-name", name, "\(sources)/\(name).swift", "-I", here, "-L", here, "-l\(library)",
                "-Xlinker", "-rpath", "-Xlinker", here, "-o", product,
            ],
        ]
        for step in steps {
            let (status, text) = try run("/usr/bin/env", ["swiftc", "-swift-version", "6"] + step)
            try #require(status == 0, "swiftc: \(text)")
        }
        return product
    }

    /// Runs a program to its end: exit code, and standard output and error together.
    static func run(_ path: String, _ arguments: [String]) throws -> (status: Int32, text: String) {
        let process = Process()
        let pipe = Pipe()
        process.executableURL = URL(filePath: path)
        process.arguments = arguments
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let text = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: text, as: UTF8.self))
    }

    private let process = Process()
    private let input = Pipe()
    private let output = Pipe()
    var pid: Int32 { process.processIdentifier }

    init(
        _ path: String, _ arguments: [String] = [], environment: [String: String] = [:], waitsForReady: Bool = true,
        ready: String = "ready"
    ) throws {
        process.executableURL = URL(filePath: path)
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        if waitsForReady { try expect(ready) }
    }

    convenience init(zoo count: Int, _ build: Build = .release) throws {
        try self.init(Self.program("zoo", build), ["\(count)"])
    }

    deinit {
        process.terminate()
        kill(pid, SIGKILL)
    }

    /// Has the program do something and waits for nothing.
    func send(_ line: String) throws { try input.fileHandleForWriting.write(contentsOf: Data("\(line)\n".utf8)) }

    /// Has the program do something and waits until it says so.
    func tell(_ line: String, until answer: String = "done") throws {
        try send(line)
        try expect(answer)
    }

    private func expect(_ answer: String) throws {
        var text = ""
        while !text.contains("\(answer)\n") {
            let data = output.fileHandleForReading.availableData
            try #require(!data.isEmpty, "the program ended before it said '\(answer)'")
            text += String(decoding: data, as: UTF8.self)
        }
    }

    func target() throws -> Target { try Target(pid: pid) }
}

extension Census {
    func count(_ type: String) -> Int64 { entries.first { $0.type.name == type }?.count ?? 0 }
}
