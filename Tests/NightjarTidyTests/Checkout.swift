import Foundation

/// The checkout that these tests stand in, as text.
enum Checkout {
    /// Its root, found from this file.
    static let root = URL(filePath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()

    /// Names in a folder, without those that begin with a dot, sorted.
    static func names(in folder: String) -> [String] {
        let found = (try? FileManager.default.contentsOfDirectory(atPath: root.appending(path: folder).path)) ?? []
        return found.filter { !$0.hasPrefix(".") }.sorted()
    }

    static func exists(_ path: String) -> Bool {
        FileManager.default.fileExists(atPath: root.appending(path: path).path)
    }

    static func text(_ path: String) throws -> String {
        try String(contentsOf: root.appending(path: path), encoding: .utf8)
    }

    /// Paths of all files below a folder with that extension, sorted. Build folders are left out.
    static func files(in folder: String, extension kind: String? = nil) -> [String] {
        let base = root.appending(path: folder)
        guard let walk = FileManager.default.enumerator(at: base, includingPropertiesForKeys: [.isRegularFileKey])
        else { return [] }
        var found: [String] = []
        for case let file as URL in walk {
            if file.lastPathComponent.hasPrefix(".") {
                walk.skipDescendants()
                continue
            }
            guard (try? file.resourceValues(forKeys: [.isRegularFileKey]))?.isRegularFile == true,
                kind == nil || file.pathExtension == kind
            else { continue }
            let path = file.resolvingSymlinksInPath().path
            guard path.hasPrefix(root.path + "/") else { continue }
            found.append(String(path.dropFirst(root.path.count + 1)))
        }
        return found.sorted()
    }

    static func swiftFiles(in folder: String) -> [String] { files(in: folder, extension: "swift") }
}

extension String {
    /// Without line comments and without what stands between quotes, so that only code is left.
    var codeOnly: String {
        var code = ""
        var isLong = false
        for line in split(separator: "\n", omittingEmptySubsequences: false) {
            if line.contains("\"\"\"") { isLong.toggle() }
            if isLong { code += "\n" } else { code += Self.codeOnly(line) + "\n" }
        }
        return code
    }

    private static func codeOnly(_ line: Substring) -> String {
        var code = ""
        var isQuoted = false
        var previous: Character = " "
        for character in line {
            if character == "\"", previous != "\\" { isQuoted.toggle() }
            if !isQuoted, character == "/", previous == "/" { return String(code.dropLast()) }
            if !isQuoted { code.append(character) }
            previous = character
        }
        return code
    }
}
