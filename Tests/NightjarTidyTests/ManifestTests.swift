import Foundation
import Testing

/// The folder of the checkout, found from this file.
let checkout = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

@Suite("The house") struct HouseTests {
    @Test func `every room of the manifest has its folder, and every folder its room`() throws {
        let manifest = try String(contentsOf: checkout.appending(path: "Package.swift"), encoding: .utf8)
        let folders = try FileManager.default.contentsOfDirectory(
            at: checkout.appending(path: "Sources"), includingPropertiesForKeys: nil)
        for folder in folders {
            let name = folder.lastPathComponent
            #expect(
                manifest.contains("\"\(name)\"") || manifest.contains("/\(name)\""), "no target for Sources/\(name)")
        }
    }
}
