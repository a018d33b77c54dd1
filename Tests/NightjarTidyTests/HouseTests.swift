import Foundation
import Testing

@Suite("The house") struct HouseTests {
    @Test func `every room of the manifest has its folder, and every folder its room`() throws {
        let manifest = try Checkout.text("Package.swift")
        for name in Checkout.names(in: "Sources") {
            #expect(
                manifest.contains("\"\(name)\"") || manifest.contains("/\(name)\""), "no target for Sources/\(name)")
        }
        for name in Checkout.names(in: "Tests") where name.hasSuffix("Tests") || name.hasSuffix("TestKit") {
            #expect(manifest.contains("\(name)\""), "no target for Tests/\(name)")
        }
    }

    @Test func `the top level holds what it should and nothing else`() {
        let expected: Set = [
            "Package.swift", "Package.resolved", "Sources", "Tests", "Dashboards", "packaging", "README.md", "LICENSE",
        ]
        #expect(Set(Checkout.names(in: "")).subtracting(expected) == [])
        #expect(expected.subtracting(["Package.resolved"]).isSubset(of: Checkout.names(in: "")))
    }

    @Test func `no two sources of a room have one name`() {
        for room in Checkout.names(in: "Sources") {
            let names = Checkout.swiftFiles(in: "Sources/\(room)").map { $0.split(separator: "/").last! }
            #expect(Set(names).count == names.count, "Sources/\(room)")
        }
    }

    /// Longer files, each with its reason.
    private static let long: [String: String] = [
        "Sources/NightjarDetectors/Runbooks.swift": "written from the runbooks"
    ]

    @Test func `no source is much longer than four hundred lines`() throws {
        for file in Checkout.swiftFiles(in: "Sources") where Self.long[file] == nil {
            let lines = try Checkout.text(file).split(separator: "\n", omittingEmptySubsequences: false).count
            #expect(lines <= 450, "\(file) has \(lines) lines")
        }
    }

    /// What belongs to one machine or to how the work was done, and not to the reader.
    @Test func `nothing speaks of one machine or of how it was made`() throws {
        let patterns = [
            "(?m)(^|[^A-Za-z0-9_.])/wo" + "rk/", "/opt/sw" + "ift", "this is" + "sue", "the is" + "sue text",
            "[Ss]ub-?agent",
            "DESIGN" + "\\.md", "STYLE" + "\\.md", "shared/fa" + "cts", "fact sh" + "eet",
        ]
        let regexes = try patterns.map { try Regex($0) }
        let files =
            Checkout.files(in: "Sources") + Checkout.files(in: "Tests") + Checkout.files(in: "packaging")
            + Checkout.files(in: "Dashboards") + ["README.md", "Package.swift"]
        for file in files where !file.hasSuffix(".csv") && !file.hasSuffix(".bin") {
            guard let text = try? Checkout.text(file) else { continue }
            for (pattern, regex) in zip(patterns, regexes) {
                #expect(text.firstMatch(of: regex) == nil, "\(file) matches \(pattern)")
            }
        }
    }

    @Test func `scripts stop at the first error`() throws {
        for file in Checkout.files(in: "packaging", extension: "sh") + [".ci/run"] where Checkout.exists(file) {
            let text = try Checkout.text(file)
            let isLibrary = !text.hasPrefix("#!")
            #expect(isLibrary || text.contains("set -e"), "\(file)")
        }
    }
}
