// An ELF file, read with pread: a mapping of a file that somebody truncates ends the reader with SIGBUS, a short read
// does not. Every offset and length comes from the file and is checked against the file's size before it is used.
//
//     ELF header ─▶ program headers   where the file lies in memory (PT_LOAD), build-id (PT_NOTE), unwind index
//               ╰─▶ section headers   .symtab / .dynsym + their string table, .debug_line, .debug_info …
//
// 64-bit little-endian only; anything else answers nil.

import Glibc

/// A part of an ELF file that the loader maps.
public struct Segment: Hashable, Sendable {
    public var offset: UInt64
    /// The address that the file itself calls it by (`p_vaddr`).
    public var address: UInt64
    public var fileSize: UInt64
    public var memorySize: UInt64
    public var isExecutable: Bool
}

/// An open ELF file. Costs one descriptor, kept until the object goes away.
public final class ELFFile {
    struct Section {
        var name: String
        var type: UInt32
        var flags: UInt64
        var address: UInt64
        var offset: UInt64
        var size: UInt64
        var link: Int
        var entrySize: UInt64
    }

    /// Names longer than this are cut: Swift's mangled names of nested generics reach some thousand bytes.
    static let longestName = 16_384
    static let mostSections = 4096
    static let mostSegments = 512
    static let mostSymbols = 4_000_000

    /// The GNU build-id; empty where the linker wrote none.
    public private(set) var buildID: [UInt8] = []
    /// What the loader maps, in file order.
    public private(set) var segments: [Segment] = []
    /// `.eh_frame_hdr`, the index of the unwind tables, in the file's own addresses.
    public private(set) var unwindIndex: Range<UInt64>?
    public let size: UInt64
    let descriptor: Int32
    private(set) var sections: [Section] = []

    deinit { close(descriptor) }

    /// Opens and checks the file at `path`.
    public convenience init?(path: String) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { return nil }
        self.init(adopting: descriptor)
    }

    /// Takes over an open descriptor; it is closed also where the file is refused.
    public init?(adopting descriptor: Int32) {
        self.descriptor = descriptor
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_size > 64 else {
            size = 0
            return nil
        }
        size = UInt64(status.st_size)
        guard readHeaders() else { return nil }
    }

    /// Up to `length` bytes at `offset`, or nil where the file does not hold them all.
    func bytes(at offset: UInt64, _ length: UInt64, limit: Int) -> [UInt8]? {
        guard length <= UInt64(limit), offset <= size, length <= size - offset, let count = length.asInt else {
            return nil
        }
        return [UInt8](unsafeUninitializedCapacity: count) { buffer, used in
            while used < count {
                let got = pread(
                    descriptor, buffer.baseAddress.map { $0 + used }, count - used, off_t(offset) + off_t(used))
                if got < 0, errno == EINTR { continue }
                guard got > 0 else { return }
                used += got
            }
        }.checked(count)
    }

    func section(named name: String) -> Section? { sections.first { $0.name == name } }

    /// The contents of a section as they lie in the file; nil where it is absent, compressed or larger than `limit`.
    func contents(of name: String, limit: Int) -> [UInt8]? {
        let compressed: UInt64 = 0x800
        guard let section = section(named: name), section.type != 8, section.flags & compressed == 0 else { return nil }
        return bytes(at: section.offset, section.size, limit: limit)
    }

    private func readHeaders() -> Bool {
        guard let head = bytes(at: 0, 64, limit: 64) else { return false }
        return head.withUnsafeBytes { raw in
            // Magic, 64-bit, little-endian, version 1.
            guard raw[0] == 0x7F, raw[1] == 0x45, raw[2] == 0x4C, raw[3] == 0x46, raw[4] == 2, raw[5] == 1 else {
                return false
            }
            var cursor = ByteCursor(raw, at: 32)
            let programHeaders = cursor.u64()
            let sectionHeaders = cursor.u64()
            cursor.skip(6)
            let programSize = cursor.u16()
            let programCount = Int(cursor.u16())
            let sectionSize = cursor.u16()
            let sectionCount = Int(cursor.u16())
            let namesAt = Int(cursor.u16())
            guard programCount <= Self.mostSegments, sectionCount <= Self.mostSections else { return false }
            if programSize == 56 { readSegments(at: programHeaders, count: programCount) }
            if sectionSize == 64 { readSections(at: sectionHeaders, count: sectionCount, namesAt: namesAt) }
            return !segments.isEmpty
        }
    }

    private func readSegments(at offset: UInt64, count: Int) {
        guard let table = bytes(at: offset, UInt64(count * 56), limit: Self.mostSegments * 56) else { return }
        table.withUnsafeBytes { raw in
            for index in 0..<count {
                var cursor = ByteCursor(raw, at: index * 56)
                let type = cursor.u32()
                let flags = cursor.u32()
                let offset = cursor.u64()
                let address = cursor.u64()
                _ = cursor.u64()
                let fileSize = cursor.u64()
                let memorySize = cursor.u64()
                switch type {
                case 1:
                    segments.append(
                        Segment(
                            offset: offset, address: address, fileSize: fileSize, memorySize: memorySize,
                            isExecutable: flags & 1 != 0))
                case 4 where buildID.isEmpty: readBuildID(at: offset, fileSize)
                case 0x6474_E550 where memorySize > 0:
                    let (end, overflow) = address.addingReportingOverflow(memorySize)
                    if !overflow { unwindIndex = address..<end }
                default: break
                }
            }
        }
    }

    private func readBuildID(at offset: UInt64, _ length: UInt64) {
        guard let notes = bytes(at: offset, length, limit: 65_536) else { return }
        buildID = notes.withUnsafeBytes(buildIDInNotes)
    }

    private func readSections(at offset: UInt64, count: Int, namesAt: Int) {
        guard let table = bytes(at: offset, UInt64(count * 64), limit: Self.mostSections * 64) else { return }
        var nameOffsets: [Int] = []
        table.withUnsafeBytes { raw in
            for index in 0..<count {
                var cursor = ByteCursor(raw, at: index * 64)
                nameOffsets.append(Int(cursor.u32()))
                let type = cursor.u32()
                let flags = cursor.u64()
                let address = cursor.u64()
                let offset = cursor.u64()
                let size = cursor.u64()
                let link = Int(cursor.u32())
                cursor.skip(12)
                sections.append(
                    Section(
                        name: "", type: type, flags: flags, address: address, offset: offset, size: size, link: link,
                        entrySize: cursor.u64()))
            }
        }
        guard namesAt < sections.count,
            let names = bytes(at: sections[namesAt].offset, sections[namesAt].size, limit: 1 << 20)
        else { return }
        names.withUnsafeBytes { raw in
            for index in sections.indices where nameOffsets[index] < raw.count {
                var cursor = ByteCursor(raw, at: nameOffsets[index])
                sections[index].name = cursor.text(limit: 256)
            }
        }
    }
}

/// The GNU build-id (note type 3) in the bytes of a PT_NOTE segment; empty where there is none.
func buildIDInNotes(_ notes: UnsafeRawBufferPointer) -> [UInt8] {
    var cursor = ByteCursor(notes)
    while !cursor.isAtEnd {
        let nameSize = Int(cursor.u32())
        let size = Int(cursor.u32())
        let type = cursor.u32()
        let isGNU = nameSize == 4 && cursor.end - cursor.offset >= 4 && notes[cursor.offset] == UInt8(ascii: "G")
        cursor.skip((nameSize + 3) & ~3)
        let start = cursor.offset
        cursor.skip((size + 3) & ~3)
        if cursor.failed { return [] }
        if isGNU, type == 3, size <= 64 { return Array(notes[start..<start + size]) }
    }
    return []
}

extension [UInt8] {
    /// Self where it is complete.
    fileprivate func checked(_ wanted: Int) -> [UInt8]? { count == wanted ? self : nil }
}
