// The modules of a process as the unwinder needs them: code ranges and unwind tables. For this process the tables are
// read where the loader mapped them, for another one from its files.

import CNightjarLinux
import Glibc

/// Code ranges and unwind tables of one process at one moment. For one thread at a time.
public final class UnwindModules {
    struct Module {
        var start: UInt64
        var end: UInt64
        var bias: UInt64
        var table: UnwindTable?
    }

    private static let largestImage = 64 << 20

    private let pid: Int32
    /// Executable mappings, sorted.
    private var modules: [Module] = []
    /// Bytes that the tables of another process point into.
    private var images: [UnsafeMutableRawBufferPointer] = []

    deinit { for image in images { image.deallocate() } }

    /// The modules of this process, read from its own memory: about 0.3 ms, no file is opened but the map.
    public static func own() -> UnwindModules {
        let modules = UnwindModules(pid: getpid())
        guard let map = MemoryMap.read() else { return modules }
        modules.add(map) { mapping, last in OwnImage.unwindTable(at: mapping.start, upTo: last) }
        return modules
    }

    /// The modules of another process, read from its files; some ms.
    public static func of(pid: Int32, procRoot: String = "/proc") -> UnwindModules? {
        guard let map = MemoryMap.read(pid: pid, procRoot: procRoot) else { return nil }
        let modules = UnwindModules(pid: pid)
        modules.add(map) { mapping, _ in modules.tableFromFile(mapping, procRoot: procRoot) }
        return modules
    }

    private init(pid: Int32) { self.pid = pid }

    /// Whether an address lies in code.
    func isCode(_ address: UInt64) -> Bool { module(at: address) != nil }

    func module(at address: UInt64) -> Module? {
        var low = 0
        var high = modules.count
        while low < high {
            let middle = (low + high) / 2
            if modules[middle].start <= address { low = middle + 1 } else { high = middle }
        }
        guard low > 0, address < modules[low - 1].end else { return nil }
        return modules[low - 1]
    }

    /// Whether an address lies in code, right behind a call instruction.
    func isReturnAddress(_ address: UInt64) -> Bool {
        guard let module = module(at: address), address &- module.start >= 8 else { return false }
        #if arch(x86_64)
            var code: UInt64 = 0
            guard nj_read_memory(pid, address &- 8, &code, 8) == 8 else { return false }
            return withUnsafeBytes(of: code) { endsWithCall($0) }
        #else
            return address & 3 == 0
        #endif
    }

    /// Files are mapped in pieces; a new file begins where the offset is 0.
    private func add(_ map: MemoryMap, table: (Mapping, UInt64) -> (UnwindTable, bias: UInt64)?) {
        var first: Mapping?
        var found: (UnwindTable, bias: UInt64)?
        for (index, mapping) in map.mappings.enumerated() where !mapping.path.isEmpty {
            if first?.path != mapping.path || mapping.offset == 0 && mapping.start != first?.start {
                first = mapping
                let last = map.mappings[index...].prefix { $0.path == mapping.path }.last?.end ?? mapping.end
                let isImage = mapping.path.hasPrefix("/") || mapping.path == "[vdso]"
                found = isImage && mapping.isReadable ? table(mapping, last) : nil
            }
            guard mapping.isExecutable, mapping.path != "[vsyscall]" else { continue }
            modules.append(Module(start: mapping.start, end: mapping.end, bias: found?.bias ?? 0, table: found?.0))
        }
    }

    private func tableFromFile(_ mapping: Mapping, procRoot: String) -> (UnwindTable, bias: UInt64)? {
        guard let file = mappedFile(mapping, pid: pid, procRoot: procRoot), let bias = file.bias(of: mapping),
            let index = file.unwindIndex,
            let segment = file.segments.first(where: {
                index.lowerBound >= $0.address && index.lowerBound &- $0.address < $0.fileSize
            }), let bytes = file.bytes(at: segment.offset, segment.fileSize, limit: Self.largestImage)
        else { return nil }
        let image = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 16)
        image.copyBytes(from: bytes)
        images.append(image)
        return (UnwindTable(image: UnsafeRawBufferPointer(image), imageAddress: segment.address, index: index), bias)
    }
}

#if arch(x86_64)
    /// `e8 rel32`, or `ff /2` with two to seven bytes.
    private func endsWithCall(_ code: UnsafeRawBufferPointer) -> Bool {
        if code[3] == 0xE8 { return true }
        for length in 2...7 {
            let at = 8 - length
            if code[at] == 0xFF, code[at + 1] >> 3 & 7 == 2, callLength(code, at) == length { return true }
        }
        return false
    }

    private func callLength(_ code: UnsafeRawBufferPointer, _ at: Int) -> Int {
        let mode = code[at + 1] >> 6
        let base = code[at + 1] & 7
        let hasScale = mode != 3 && base == 4
        let displacement: Int =
            switch mode {
            case 1: 1
            case 2: 4
            case 0: base == 5 || (hasScale && at + 2 < 8 && code[at + 2] & 7 == 5) ? 4 : 0
            default: 0
            }
        return 2 + (hasScale ? 1 : 0) + displacement
    }
#endif

/// The headers of an image in our own memory, copied through the kernel: a library that is unloaded meanwhile is a
/// short read and not a crash.
private enum OwnImage {
    static func unwindTable(at start: UInt64, upTo end: UInt64) -> (UnwindTable, bias: UInt64)? {
        var head = [UInt8](repeating: 0, count: 4096)
        let got = nj_read_memory(getpid(), start, &head, head.count)
        guard got >= 64 else { return nil }
        return head.withUnsafeBytes { raw in
            table(in: UnsafeRawBufferPointer(rebasing: raw[..<got]), start, end)
        }
    }

    private static func table(in head: UnsafeRawBufferPointer, _ start: UInt64, _ end: UInt64) -> (
        UnwindTable, bias: UInt64
    )? {
        guard head[0] == 0x7F, head[1] == 0x45, head[2] == 0x4C, head[3] == 0x46, head[4] == 2, head[5] == 1 else {
            return nil
        }
        var cursor = ByteCursor(head, at: 32)
        let headers = cursor.u64()
        cursor.skip(14)
        let size = cursor.u16()
        let count = Int(cursor.u16())
        guard size == 56, headers < 4096 else { return nil }
        var segments: [Segment] = []
        var index: Range<UInt64>?
        for number in 0..<min(count, 64) {
            var header = ByteCursor(head, at: Int(headers) + number * 56)
            let type = header.u32()
            let flags = header.u32()
            let offset = header.u64()
            let address = header.u64()
            header.skip(8)
            let fileSize = header.u64()
            let memorySize = header.u64()
            guard !header.failed, address &+ memorySize >= address else { return nil }
            if type == 1 {
                segments.append(
                    Segment(
                        offset: offset, address: address, fileSize: fileSize, memorySize: memorySize,
                        isExecutable: flags & 1 != 0))
            } else if type == 0x6474_E550 {
                index = address..<(address &+ memorySize)
            }
        }
        guard let index, let first = segments.first(where: { $0.offset == 0 }) else { return nil }
        let bias = start &- (first.address & ~4095)
        guard
            let holding = segments.first(where: {
                index.lowerBound >= $0.address && index.lowerBound &- $0.address < $0.fileSize
            }),
            holding.address &+ bias >= start, holding.address &+ bias &+ holding.fileSize <= (end &+ 4095) & ~4095,
            let pointer = UnsafeRawPointer(bitPattern: UInt(holding.address &+ bias)),
            let length = holding.fileSize.asInt
        else { return nil }
        let image = UnsafeRawBufferPointer(start: pointer, count: length)
        return (UnwindTable(image: image, imageAddress: holding.address, index: index), bias)
    }
}
