// Names are read in many tiny steps (a word here, a string there) that fall on few pages. A direct-mapped cache of
// pages makes them cheap. What it holds may be seconds old: right for metadata and code, which do not change once made,
// and wrong for the heap, which is never read through it twice for the same question.

import Glibc

/// Small reads of another process through a cache of 256 pages (1 MiB of ours).
final class PageCache {
    private static let pageSize: UInt64 = 4096
    private static let slots = 256

    private let memory: any TargetMemory
    private let storage: UnsafeMutableRawPointer
    private var tags = [UInt64](repeating: .max, count: slots)
    private var readable = [Bool](repeating: false, count: slots)

    init(_ memory: any TargetMemory) {
        self.memory = memory
        storage = .allocate(byteCount: Self.slots * Int(Self.pageSize), alignment: 4096)
    }

    deinit { storage.deallocate() }

    /// The cached page that holds `address`, or nil where nothing can be read.
    private func page(of address: UInt64) -> UnsafeRawPointer? {
        let base = address & ~(Self.pageSize - 1)
        let slot = Int((base / Self.pageSize) % UInt64(Self.slots))
        let place = storage + slot * Int(Self.pageSize)
        if tags[slot] != base {
            tags[slot] = base
            let buffer = UnsafeMutableRawBufferPointer(start: place, count: Int(Self.pageSize))
            readable[slot] = memory.read(base, into: buffer) == buffer.count
        }
        return readable[slot] ? UnsafeRawPointer(place) : nil
    }

    func byte(at address: UInt64) -> UInt8? {
        guard address >= 4096, address < 1 << 56 else { return nil }
        return page(of: address)?.load(fromByteOffset: Int(address % Self.pageSize), as: UInt8.self)
    }

    /// A little-endian integer of any width, also across the border of two pages.
    func load<Number: FixedWidthInteger>(_ address: UInt64, as _: Number.Type = Number.self) -> Number? {
        guard address >= 4096, address < 1 << 56 else { return nil }
        let offset = Int(address % Self.pageSize)
        let width = MemoryLayout<Number>.size
        if offset + width <= Int(Self.pageSize) {
            return page(of: address)?.loadUnaligned(fromByteOffset: offset, as: Number.self)
        }
        var value: Number = 0
        for index in (0..<width).reversed() {
            guard let byte = byte(at: address + UInt64(index)) else { return nil }
            value = value << 8 | Number(truncatingIfNeeded: byte)
        }
        return value
    }

    func word(_ address: UInt64) -> UInt64? { load(address) }

    /// What a 32-bit relative reference at `address` points to; nil for the null reference.
    func relative(_ address: UInt64) -> UInt64? {
        guard let offset: Int32 = load(address), offset != 0 else { return nil }
        return address &+ UInt64(bitPattern: Int64(offset))
    }

    /// The same, where bit 0 means one more step through a pointer.
    func relativeIndirectable(_ address: UInt64) -> UInt64? {
        guard let target = relative(address) else { return nil }
        return target & 1 == 0 ? target : word(target & ~1)
    }

    /// Bytes up to the terminating zero; nil where unreadable, not terminated within `limit`, or empty.
    func string(at address: UInt64, limit: Int = 200) -> [UInt8]? {
        var bytes: [UInt8] = []
        while bytes.count < limit {
            guard let byte = byte(at: address &+ UInt64(bytes.count)) else { return nil }
            if byte == 0 { return bytes.isEmpty ? nil : bytes }
            bytes.append(byte)
        }
        return nil
    }

    /// Reads what is wanted again from the process.
    func forget() {
        for slot in tags.indices { tags[slot] = .max }
    }
}
