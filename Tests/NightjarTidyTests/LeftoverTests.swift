import Foundation
import Testing

@Suite("Leftovers") struct LeftoverTests {
    @Test func `nothing is left to be done`() throws {
        let words = ["TO" + "DO", "FIX" + "ME", "XX" + "X:", "To be " + "filled", "not imple" + "mented"]
        for file in Checkout.files(in: "Sources") + Checkout.files(in: "Tests") + Checkout.files(in: "packaging") {
            if file.hasSuffix(".image") { continue }
            guard let text = try? Checkout.text(file) else { continue }
            for word in words { #expect(!text.contains(word), "\(file) says '\(word)'") }
        }
    }
}
