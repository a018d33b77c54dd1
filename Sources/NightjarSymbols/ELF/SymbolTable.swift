// Which function or object lies at an address of a file. Sixteen bytes a symbol: the names stay in the file and are
// read when somebody asks, so that a table of 60,000 symbols costs a megabyte and not ten.
//
// A symbol answers only for its own bytes (`offset < size`). The nearest symbol below an address is no answer: in a
// stripped binary it says `main+5198599`.

import Glibc

/// A function or object of an ELF file.
public struct Symbol: Hashable, Sendable {
    /// Code, or data such as type metadata.
    public enum Kind: UInt8, Hashable, Sendable, CaseIterable {
        case object = 1
        case function = 2
    }

    /// As the linker knows it: mangled.
    public var name: String
    /// In the file's own addresses; add the module's bias for the address in memory.
    public var address: UInt64
    public var size: UInt64
    public var kind: Kind
}

/// The symbols of one file, sorted by address.
public final class SymbolTable {
    struct Entry {
        var address: UInt64
        var size: UInt32
        /// Offset into the string table; the top bit says that it is an object.
        var nameAndKind: UInt32
    }

    private let file: ELFFile
    private let names: ELFFile.Section
    let entries: [Entry]
    /// `.symtab` gone (stripped): only what the file exports is known.
    public let isStripped: Bool

    public var count: Int { entries.count }
    /// Bytes that the table holds in memory.
    public var footprint: Int { entries.count * MemoryLayout<Entry>.stride }

    init?(of file: ELFFile, kinds: Set<Symbol.Kind>) {
        let full = file.sections.first { $0.type == 2 }
        guard let section = full ?? file.sections.first(where: { $0.type == 11 }), section.entrySize == 24,
            section.link < file.sections.count,
            let table = file.bytes(at: section.offset, section.size, limit: ELFFile.mostSymbols * 24)
        else { return nil }
        self.file = file
        names = file.sections[section.link]
        isStripped = full == nil
        entries = Self.entries(in: table, kinds)
    }

    private static func entries(in table: [UInt8], _ kinds: Set<Symbol.Kind>) -> [Entry] {
        let functions = kinds.contains(.function)
        let objects = kinds.contains(.object)
        var entries: [Entry] = []
        table.withUnsafeBytes { raw in
            for offset in stride(from: 0, to: raw.count - 23, by: 24) {
                var cursor = ByteCursor(raw, at: offset)
                let name = cursor.u32()
                let type = cursor.u8() & 15
                cursor.skip(1)
                let section = cursor.u16()
                let address = cursor.u64()
                let size = cursor.u64()
                // Indirect functions (10) are code too; what is undefined (section 0) or empty has no place.
                let isFunction = functions && (type == 2 || type == 10)
                guard isFunction || (objects && type == 1), section != 0, size > 0, name < 1 << 31 else { continue }
                entries.append(
                    Entry(
                        address: address, size: UInt32(clamping: size), nameAndKind: isFunction ? name : name | 1 << 31)
                )
            }
        }
        entries.sort { ($0.address, $0.size) < ($1.address, $1.size) }
        return entries
    }

    /// The symbol whose bytes hold `address`; one system call for its name. Among aliases the first in the file wins.
    public func symbol(at address: UInt64) -> Symbol? {
        guard let index = index(at: address) else { return nil }
        let entry = entries[index]
        guard let name = name(at: entry.nameAndKind & ~(1 << 31)) else { return nil }
        return Symbol(
            name: name, address: entry.address, size: UInt64(entry.size),
            kind: entry.nameAndKind >> 31 == 1 ? .object : .function)
    }

    /// Where a symbol of this name lies: a walk over all names, for start-up work only.
    public func address(ofSymbolNamed wanted: String) -> UInt64? {
        guard let strings = file.bytes(at: names.offset, names.size, limit: 1 << 28) else { return nil }
        let wanted = Array(wanted.utf8) + [0]
        return strings.withUnsafeBytes { raw in
            entries.first { entry in
                let start = Int(entry.nameAndKind & ~(1 << 31))
                guard raw.count - start >= wanted.count, start >= 0 else { return false }
                return raw[start..<start + wanted.count].elementsEqual(wanted)
            }?.address
        }
    }

    private func index(at address: UInt64) -> Int? {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].address <= address { low = middle + 1 } else { high = middle }
        }
        // Small symbols may lie inside a large one, so a few steps back are looked at too.
        var index = low - 1
        for _ in 0..<8 {
            guard index >= 0 else { return nil }
            if address &- entries[index].address < UInt64(entries[index].size) { return index }
            index -= 1
        }
        return nil
    }

    private func name(at offset: UInt32) -> String? {
        let start = UInt64(offset)
        guard start < names.size else { return nil }
        var length: UInt64 = 256
        while true {
            let wanted = min(length, names.size - start)
            guard let bytes = file.bytes(at: names.offset &+ start, wanted, limit: ELFFile.longestName) else {
                return nil
            }
            if let end = bytes.firstIndex(of: 0) { return String(decoding: bytes[..<end], as: UTF8.self) }
            if wanted == names.size - start || length >= UInt64(ELFFile.longestName) { return nil }
            length *= 8
        }
    }
}

extension ELFFile {
    /// The file's symbols: `.symtab`, or `.dynsym` where it was stripped. Reads the whole table once.
    public func symbols(_ kinds: Set<Symbol.Kind> = [.function]) -> SymbolTable? {
        SymbolTable(of: self, kinds: kinds)
    }
}
