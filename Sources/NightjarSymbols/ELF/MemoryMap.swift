// What lies where in a process: /proc/PID/maps.
//
//     55f0c0a00000-55f0c0a21000 r-xp 00002000 08:01 1048602    /usr/bin/checkout (deleted)

import Glibc

/// One line of `/proc/PID/maps`.
public struct Mapping: Hashable, Sendable {
    public var start: UInt64
    /// The first address behind it.
    public var end: UInt64
    /// Where in the file it begins.
    public var offset: UInt64
    public var isReadable: Bool
    public var isWritable: Bool
    public var isExecutable: Bool
    /// Major and minor number, `08:01` as 0x0801.
    public var device: UInt64
    public var inode: UInt64
    /// A path (of the process's own root, possibly with ` (deleted)` behind), `[stack]`, `[vdso]` or empty.
    public var path: String

    /// The name of its link in `/proc/PID/map_files`.
    var linkName: String { "\(String(start, radix: 16))-\(String(end, radix: 16))" }
}

/// The mappings of one process at one moment, sorted by address.
public struct MemoryMap: Sendable {
    /// vm.max_map_count is 65,530 where nobody raised it.
    public static let mostMappings = 65_536
    private static let largestFile = 16 << 20

    public var mappings: [Mapping] = []

    /// Reads the map of `pid`, or of this process where it is nil. About 1 µs a mapping. Nil where it may not be read.
    public static func read(pid: Int32? = nil, procRoot: String = "/proc") -> MemoryMap? {
        let path = "\(procRoot)/\(pid.map { "\($0)" } ?? "self")/maps"
        guard let text = wholeFile(path, limit: largestFile) else { return nil }
        return MemoryMap(parsing: text)
    }

    /// Lines that cannot be understood are left out.
    public init(parsing text: [UInt8]) {
        text.withUnsafeBytes { raw in
            var line = LineReader(raw)
            while mappings.count < Self.mostMappings, line.next() {
                if let mapping = Mapping(parsing: line.current) { mappings.append(mapping) }
            }
        }
        mappings.sort { $0.start < $1.start }
    }

    /// The mapping that holds `address`.
    public func mapping(at address: UInt64) -> Mapping? {
        var low = 0
        var high = mappings.count
        while low < high {
            let middle = (low + high) / 2
            if mappings[middle].start <= address { low = middle + 1 } else { high = middle }
        }
        guard low > 0, address < mappings[low - 1].end else { return nil }
        return mappings[low - 1]
    }
}

extension Mapping {
    init?(parsing line: UnsafeRawBufferPointer) {
        var at = 0
        func number(radix: UInt64, until stop: UInt8) -> UInt64? {
            var value: UInt64 = 0
            let first = at
            while at < line.count, line[at] != stop {
                guard let digit = hexDigit(line[at]), digit < radix else { return nil }
                value = value &* radix &+ digit
                at += 1
            }
            guard at > first, at < line.count else { return nil }
            at += 1
            return value
        }
        let space = UInt8(ascii: " ")
        guard let start = number(radix: 16, until: UInt8(ascii: "-")), let end = number(radix: 16, until: space),
            start < end, line.count - at >= 5
        else { return nil }
        let flags = (line[at], line[at + 1], line[at + 2])
        at += 5
        guard let offset = number(radix: 16, until: space), let major = number(radix: 16, until: UInt8(ascii: ":")),
            let minor = number(radix: 16, until: space)
        else { return nil }
        var inode: UInt64 = 0
        while at < line.count, let digit = hexDigit(line[at]), digit < 10 {
            inode = inode &* 10 &+ digit
            at += 1
        }
        while at < line.count, line[at] == space { at += 1 }
        self.init(
            start: start, end: end, offset: offset, isReadable: flags.0 == UInt8(ascii: "r"),
            isWritable: flags.1 == UInt8(ascii: "w"), isExecutable: flags.2 == UInt8(ascii: "x"),
            device: major << 8 | minor, inode: inode,
            path: String(decoding: UnsafeRawBufferPointer(rebasing: line[at...]), as: UTF8.self))
    }
}

private func hexDigit(_ byte: UInt8) -> UInt64? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt64(byte &- UInt8(ascii: "0"))
    case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt64(byte &- UInt8(ascii: "a") &+ 10)
    default: nil
    }
}

/// Walks the lines of a text without copying them.
struct LineReader {
    private let text: UnsafeRawBufferPointer
    private var at = 0
    private(set) var current: UnsafeRawBufferPointer

    init(_ text: UnsafeRawBufferPointer) {
        self.text = text
        current = UnsafeRawBufferPointer(rebasing: text[0..<0])
    }

    mutating func next() -> Bool {
        guard at < text.count else { return false }
        var end = at
        while end < text.count, text[end] != UInt8(ascii: "\n") { end += 1 }
        current = UnsafeRawBufferPointer(rebasing: text[at..<end])
        at = end + 1
        return true
    }
}

/// A whole file of unknown size (a file of `/proc`); nil where it cannot be read or is larger than `limit`.
func wholeFile(_ path: String, limit: Int) -> [UInt8]? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 32_768)
    while bytes.count <= limit {
        let got = Glibc.read(descriptor, &buffer, buffer.count)
        if got < 0, errno == EINTR { continue }
        guard got > 0 else { return got == 0 ? bytes : nil }
        bytes += buffer[..<got]
    }
    return nil
}
