import Foundation
import Testing

@Suite("Words") struct WordingTests {
    /// Types and functions that others may use; properties, initialisers, operators and what a protocol asks for speak
    /// for themselves where their type is explained.
    private var declaration: Regex<(Substring, Substring, Substring)> {
        /^\s*(?:@[\w.]+(?:\([^)]*\))?\s+)*public\s+(?:(?:static|final|mutating|nonisolated|indirect|borrowing|consuming)\s+)*(struct|class|enum|protocol|actor|typealias|func|subscript)\s+([A-Za-z_]\w*)/
    }

    /// A row of one-line declarations of one kind shares the comment above its first.
    private func isInRow(_ line: Substring, _ above: Substring, _ pattern: Regex<(Substring, Substring, Substring)>)
        -> Bool
    {
        guard line.hasSuffix("}"), above.hasSuffix("}") else { return false }
        return above.firstMatch(of: pattern)?.1 == line.firstMatch(of: pattern)?.1
    }

    private static let witnesses: Set = [
        "deliver", "prove", "finish", "tick", "log", "hash", "encode", "makeIterator", "next", "index",
        "callAsFunction",
    ]

    private func undocumented(in text: String) -> [String] {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        let pattern = declaration
        var missing: [String] = []
        for (index, line) in lines.enumerated() {
            guard let match = line.firstMatch(of: pattern), !Self.witnesses.contains(String(match.2)) else {
                continue
            }
            var above = index - 1
            while above >= 0,
                lines[above].drop(while: \.isWhitespace).hasPrefix("@") || isInRow(line, lines[above], pattern)
            {
                above -= 1
            }
            let comment = above >= 0 ? lines[above].drop(while: \.isWhitespace) : ""
            if !comment.hasPrefix("///") { missing.append("\(index + 1): \(match.2)") }
        }
        return missing
    }

    @Test func `public types and functions are explained`() throws {
        var missing: [String] = []
        for file in Checkout.swiftFiles(in: "Sources") {
            missing += undocumented(in: try Checkout.text(file)).map { "\(file):\($0)" }
        }
        #expect(missing.isEmpty, "\(missing.joined(separator: "\n"))")
    }

    @Test func `the names of tests are sentences`() throws {
        for file in Checkout.swiftFiles(in: "Tests") {
            for match in try Checkout.text(file).matches(of: /@Test[^`]{0,400}?func\s+([^\s(]+)/) {
                #expect(match.1.hasPrefix("`"), "\(file): \(match.1)")
            }
        }
    }

    @Test func `no source is named for nothing`() {
        for file in Checkout.swiftFiles(in: "Sources") {
            #expect(file.firstMatch(of: /(Utils?|Helpers?|Manager|Misc|Common)\b/) == nil, "\(file)")
        }
    }
}
