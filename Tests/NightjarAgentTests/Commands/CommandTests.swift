import Foundation
import NightjarTestKit
import Testing

@Suite("The command line, as a user runs it") struct CommandTests {
    private let nightjar = Program("nightjar")
    private let nightjard = Program("nightjard")
    private let commands = [
        "ps", "top", "alerts", "show", "silence", "heap", "leaks", "why", "stacks", "disk", "logs", "replay", "drill",
        "explain", "config",
        "doctor",
    ]

    /// A folder that goes with the test.
    private func withFolder(_ body: (URL) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "nightjar-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try body(folder)
    }

    @Test func `help names every command and the exit statuses`() throws {
        let outcome = try nightjar.run(["--help"])
        #expect(outcome.status == 0)
        for command in commands {
            #expect(outcome.output.contains("  \(command) "), "no \(command)")
        }
        #expect(outcome.output.contains("2 wrong usage"))
    }

    @Test func `every command is in the manual page`() throws {
        let page = try String(
            contentsOf: URL(filePath: #filePath).deletingLastPathComponent().appending(
                path: "../../../packaging/man/nightjar.1"),
            encoding: .utf8)
        for command in commands {
            #expect(page.contains("\\fB\(command)\\fR"), "no \(command)")
        }
    }

    @Test(arguments: [
        ["nosuch"], ["ps", "--limit", "0"], ["ps", "--sort", "colour"], ["explain", "NoSuch"], ["silence", "x"],
        ["silence", "x", "--for", "soon"], ["drill", "nosuch"], ["top", "--interval", "0"],
    ])
    func `wrong usage is exit status 2 with a sentence`(_ arguments: [String]) throws {
        let outcome = try nightjar.run(arguments)
        #expect(outcome.status == 2, "\(outcome)")
        #expect(outcome.errors.contains("Error:") || outcome.errors.contains("Usage:"), "\(outcome)")
    }

    @Test func `without an agent, what needs one says so and what to do`() throws {
        for command in [["alerts"], ["show", "1"], ["silence", "--list"], ["top"]] {
            let outcome = try nightjar.run(command + ["--socket", "/nonexistent/api.sock"])
            #expect(outcome.status == 3)
            #expect(
                outcome.errors
                    == "nightjar: no agent answers on /nonexistent/api.sock; start it: systemctl start nightjard (or run nightjard)\n"
            )
        }
    }

    @Test func `a file that cannot be read is one line with its name and the reason`() throws {
        let outcome = try nightjar.run(["replay", "/nonexistent/trace.csv"])
        #expect(outcome.status == 3)
        #expect(outcome.errors == "nightjar: cannot read '/nonexistent/trace.csv': No such file or directory\n")
    }

    @Test func `a malformed trace is one line with its line number`() throws {
        let outcome = try nightjar.run(["replay", "-"], input: "# nightjar-trace v1\nt,anon\n0,100\n300,lots\n")
        #expect(outcome.status == 3)
        #expect(outcome.errors.contains("line 4"), "\(outcome.errors)")
        #expect(outcome.errors.split(separator: "\n").count == 1)
    }

    @Test func `config names every mistake with file and line, exit status 2`() throws {
        try withFolder { folder in
            let file = folder.appending(path: "nightjar.conf")
            try "[Agent]\nIntervall=2s\nInterval=soon\n".write(to: file, atomically: true, encoding: .utf8)
            for outcome in [
                try nightjar.run(["config", "--check", "--file", file.path]),
                try nightjard.run(["--config", file.path, "--check"]), try nightjard.run(["--config", file.path]),
            ] {
                #expect(outcome.status == 2)
                #expect(
                    outcome.errors.contains(
                        "\(file.path):2: unknown key 'Intervall' in [Agent]; did you mean Interval?"))
                #expect(outcome.errors.contains("\(file.path):3: Interval=soon is not a time span"))
            }
        }
    }

    @Test func `drop-ins are read in the order of their names and shown with their place`() throws {
        try withFolder { folder in
            let file = folder.appending(path: "nightjar.conf")
            try "[Agent]\nInterval=2s\n".write(to: file, atomically: true, encoding: .utf8)
            let dropIns = folder.appending(path: "nightjar.conf.d")
            try FileManager.default.createDirectory(at: dropIns, withIntermediateDirectories: true)
            try "[Agent]\nInterval=4s\n".write(
                to: dropIns.appending(path: "20.conf"), atomically: true, encoding: .utf8)
            try "[Agent]\nInterval=3s\n".write(
                to: dropIns.appending(path: "10.conf"), atomically: true, encoding: .utf8)
            let outcome = try nightjar.run(["config", "--file", file.path])
            #expect(outcome.status == 0)
            #expect(outcome.output.contains("Interval=4s"))
            #expect(outcome.output.contains("# \(dropIns.path)/20.conf:2"))
        }
    }

    @Test func `a missing configuration that was asked for is an error, the usual one is not`() throws {
        let outcome = try nightjard.run(["--config", "/nonexistent.conf", "--check"])
        #expect(outcome.status == 2)
        #expect(outcome.errors == "nightjard: /nonexistent.conf: no such file; give the path of an existing one\n")
    }

    @Test func `the shipped default file is the one the table makes`() throws {
        let shipped = URL(filePath: #filePath).deletingLastPathComponent().appending(
            path: "../../../packaging/nightjar.conf")
        let outcome = try nightjar.run(["config", "--defaults"])
        if ProcessInfo.processInfo.environment["NIGHTJAR_REWRITE_GOLDENS"] == "1" {
            try outcome.output.write(to: shipped, atomically: true, encoding: .utf8)
        }
        #expect(try String(contentsOf: shipped, encoding: .utf8) == outcome.output)
    }
}
