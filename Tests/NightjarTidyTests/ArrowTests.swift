import Foundation
import Testing

/// Who may import whom. Arrows point only forward: every stage imports the nouns and no other stage, the probe imports
/// nothing of the agent, and only the agent knows all.
private let arrows: [String: Set<String>] = [
    "NightjarModel": [],
    "NightjarWire": [],
    "NightjarSymbols": ["CNightjarLinux"],
    "NightjarProbe": ["NightjarWire", "NightjarSymbols", "CNightjarProbe"],
    "NightjarProbeNIO": ["NightjarProbe", "NIOCore", "NIOPosix"],
    "NightjarLogFile": ["CZlib", "CZstd", "CNightjarLinux", "CNightjarLogFile", "Logging"],
    "NightjarSources": ["NightjarModel", "NightjarWire", "CNightjarLinux", "CNightjarSystemd"],
    "NightjarDetectors": ["NightjarModel"],
    "NightjarAlerts": ["NightjarModel"],
    "NightjarHistory": ["NightjarModel", "CSQLite"],
    "NightjarSinks": ["NightjarModel", "CNightjarLinux", "CNightjarSystemd"],
    "NightjarInspect": ["NightjarModel", "NightjarSymbols", "CNightjarLinux"],
    "NightjarAgent": [
        "NightjarModel", "NightjarWire", "NightjarSources", "NightjarDetectors", "NightjarAlerts", "NightjarHistory",
        "NightjarSinks", "NightjarInspect", "NightjarSymbols", "NightjarLogFile", "CNightjarLinux",
        "CNightjarSystemd", "Logging", "NIOCore", "NIOPosix", "NIOHTTP1", "ArgumentParser",
    ],
    "NightjarIncidents": ["NightjarProbe", "NightjarLogFile", "CNightjarLinux", "Logging"],
    // The mains print what the agent's room hands them, so they may name its nouns.
    "nightjard": ["NightjarAgent", "NightjarModel", "CNightjarLinux"],
    "nightjar": [
        "NightjarAgent", "NightjarModel", "NightjarDetectors", "NightjarSinks", "NightjarSymbols", "ArgumentParser",
    ],
    "nightjar-inspect": ["NightjarInspect", "NightjarModel", "CNightjarLinux"],
]

/// Belongs to everybody.
private let everywhere: Set<String> = ["Glibc", "Synchronization", "Dispatch"]

/// Rooms that may do without Foundation's weight only where it pays, and why.
private let foundationAllowed: [String: String] = [
    "NightjarIncidents": "some incidents are about Foundation, as 10 MB of JSON on an event loop"
]

@Suite("Arrows") struct ArrowTests {
    private func imports(of file: String) throws -> [String] {
        try Checkout.text(file).codeOnly.matches(
            of:
                /(?m)^(?:(?:public|internal|package|private|fileprivate|@[a-zA-Z]+)[ \t]+)*import[ \t]+(?:(?:struct|class|enum|func|protocol|typealias|var)[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)/
        ).map { String($0.1) }
    }

    @Test func `every room has its line here`() {
        let rooms = Checkout.names(in: "Sources").filter { !$0.hasPrefix("C") || $0 == "CLI" }
        #expect(Set(rooms) == Set(arrows.keys))
    }

    @Test(arguments: arrows.keys.sorted())
    func `imports only what stands before it`(room: String) throws {
        for file in Checkout.swiftFiles(in: "Sources/\(room)") {
            for name in try imports(of: file) where !everywhere.contains(name) && !name.hasPrefix("Foundation") {
                #expect(arrows[room]!.contains(name), "\(file) imports \(name)")
            }
        }
    }

    @Test(arguments: arrows.keys.sorted())
    func `does without Foundation`(room: String) throws {
        guard foundationAllowed[room] == nil else { return }
        for file in Checkout.swiftFiles(in: "Sources/\(room)") {
            let allowed: Set = ["NightjarAgent"].contains(room) ? ["FoundationEssentials"] : []
            for name in try imports(of: file) where name.hasPrefix("Foundation") {
                #expect(allowed.contains(name), "\(file) imports \(name)")
            }
        }
    }

    @Test func `the probe and what it imports link nothing but the C library`() throws {
        let manifest = try Checkout.text("Package.swift")
        for room in ["NightjarProbe", "NightjarWire", "NightjarSymbols"] {
            let line = try #require(manifest.firstMatch(of: try Regex("room\\(\"\(room)\"[^\\n]*")))
            #expect(!line.0.contains("product("), "\(room) depends on a package")
        }
    }
}
