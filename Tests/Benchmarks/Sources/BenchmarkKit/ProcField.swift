import Glibc

/// The number of one line of a file such as `/proc/self/status`, as it stands there (memory in kB); nil where the file or
/// the line is missing.
public func procField(_ name: String, _ path: String = "/proc/self/status") -> Double? {
    for line in procText(path).split(separator: "\n") {
        let words = line.split { $0 == " " || $0 == "\t" || $0 == ":" }
        if words.first == Substring(name), words.count > 1 { return Double(words[1]) }
    }
    return nil
}

/// The first word of a file, as a number.
public func procNumber(_ path: String) -> Double? {
    procText(path).split { $0 == " " || $0 == "\n" }.first.flatMap { Double($0) }
}

/// How many entries a folder has that do not begin with a dot.
public func procEntries(_ path: String, numeric: Bool = false) -> Int {
    guard let folder = opendir(path) else { return 0 }
    defer { closedir(folder) }
    var count = 0
    while let entry = readdir(folder) {
        let first = UInt8(bitPattern: entry.pointee.d_name.0)
        if numeric ? (48...57).contains(first) : first != UInt8(ascii: ".") { count += 1 }
    }
    return count
}

private func procText(_ path: String) -> String {
    guard let file = fopen(path, "r") else { return "" }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 256 << 10)
    let count = fread(&bytes, 1, bytes.count, file)
    return String(decoding: bytes.prefix(count), as: UTF8.self)
}
