// Finds the call frame information of a code address in one module:
//
//     .eh_frame_hdr   version, encodings, count, sorted pairs { function start, address of its FDE }   binary search
//     .eh_frame       FDE { length, distance back to its CIE, function start, size, program } and CIE { … program }
//
// All in the file's own addresses; `image` holds the bytes of the segment that both sections lie in. It survives `strip`.

/// The unwind information of one module.
struct UnwindTable {
    /// Bytes of the segment, and the file address of the first one.
    let image: UnsafeRawBufferPointer
    let imageAddress: UInt64
    let index: Range<UInt64>

    struct Frame {
        /// The CIE's and the FDE's programs as offsets into `image`.
        var initial: Range<Int>
        var program: Range<Int>
        var start: UInt64
        var codeAlign: UInt64
        var dataAlign: Int64
        var returnRegister: Int
        var isSignalFrame: Bool
    }

    private struct Common {
        var program: Range<Int>
        var codeAlign: UInt64 = 1
        var dataAlign: Int64 = 1
        var returnRegister = 0
        var pointerEncoding: UInt8 = 0
        var isSignalFrame = false
        var hasAugmentationData = false
    }

    /// The frame information that covers a file address.
    func frame(at address: UInt64) -> Frame? {
        guard let description = descriptionOffset(of: address) else { return nil }
        return frame(described: description, covering: address)
    }

    /// The offset of the FDE of the last function that begins at or below `address`.
    private func descriptionOffset(of address: UInt64) -> Int? {
        guard let start = offset(of: index.lowerBound) else { return nil }
        var cursor = ByteCursor(image, at: start, end: offset(of: index.upperBound) ?? image.count)
        let version = cursor.u8()
        let frameEncoding = cursor.u8()
        let countEncoding = cursor.u8()
        let tableEncoding = cursor.u8()
        // datarel | sdata4: what every linker writes.
        guard version == 1, tableEncoding == 0x3B, countEncoding == 3, frameEncoding & 0xF == 0xB || frameEncoding == 3
        else { return nil }
        cursor.skip(4)
        let count = min(Int(cursor.u32()), (cursor.end - cursor.offset) / 8)
        guard !cursor.failed, count > 0 else { return nil }
        let table = cursor.offset
        let wanted = Int64(bitPattern: address &- index.lowerBound)
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            let entry = Int64(image.loadUnaligned(fromByteOffset: table + middle * 8, as: Int32.self))
            if entry <= wanted { low = middle + 1 } else { high = middle }
        }
        guard low > 0 else { return nil }
        let distance = Int64(image.loadUnaligned(fromByteOffset: table + (low - 1) * 8 + 4, as: Int32.self))
        return offset(of: index.lowerBound &+ UInt64(bitPattern: distance))
    }

    private func frame(described at: Int, covering address: UInt64) -> Frame? {
        guard let (body, end) = entry(at: at) else { return nil }
        var cursor = ByteCursor(image, at: body, end: end)
        let distance = Int(cursor.u32())
        guard distance != 0, distance <= body, let common = common(at: body - distance) else { return nil }
        let start = pointer(&cursor, common.pointerEncoding)
        let size = pointer(&cursor, common.pointerEncoding & 0xF)
        guard address >= start, address &- start < size else { return nil }
        if common.hasAugmentationData {
            let length = cursor.uleb()
            guard length < 4096 else { return nil }
            cursor.skip(Int(length))
        }
        guard !cursor.failed else { return nil }
        return Frame(
            initial: common.program, program: cursor.offset..<end, start: start, codeAlign: common.codeAlign,
            dataAlign: common.dataAlign, returnRegister: common.returnRegister, isSignalFrame: common.isSignalFrame)
    }

    private func common(at: Int) -> Common? {
        guard let (body, end) = entry(at: at) else { return nil }
        var cursor = ByteCursor(image, at: body, end: end)
        guard cursor.u32() == 0 else { return nil }
        let version = cursor.u8()
        guard version == 1 || version == 3 else { return nil }
        let augmentation = cursor.text(limit: 16)
        var common = Common(program: 0..<0)
        common.codeAlign = cursor.uleb()
        common.dataAlign = cursor.sleb()
        common.returnRegister = version == 1 ? Int(cursor.u8()) : Int(truncatingIfNeeded: cursor.uleb() & 0xFF)
        if augmentation.utf8.first == UInt8(ascii: "z") {
            common.hasAugmentationData = true
            let length = cursor.uleb()
            guard length < 4096, !cursor.failed, cursor.offset + Int(length) <= end else { return nil }
            let programStart = cursor.offset + Int(length)
            for letter in augmentation.utf8.dropFirst() {
                switch letter {
                case UInt8(ascii: "R"): common.pointerEncoding = cursor.u8()
                case UInt8(ascii: "P"):
                    let encoding = cursor.u8()
                    _ = pointer(&cursor, encoding)
                case UInt8(ascii: "L"): _ = cursor.u8()
                case UInt8(ascii: "S"): common.isSignalFrame = true
                default: break
                }
            }
            common.program = programStart..<end
        } else {
            guard augmentation.isEmpty, !cursor.failed else { return nil }
            common.program = cursor.offset..<end
        }
        return cursor.failed ? nil : common
    }

    /// Start and end of an entry's body, behind its length.
    private func entry(at offset: Int) -> (Int, Int)? {
        var cursor = ByteCursor(image, at: offset)
        let length = cursor.u32()
        guard !cursor.failed, length > 4, length < 0xFFFF_FFF0, Int(length) <= image.count - cursor.offset else {
            return nil
        }
        return (cursor.offset, cursor.offset + Int(length))
    }

    private func pointer(_ cursor: inout ByteCursor, _ encoding: UInt8) -> UInt64 {
        let place = imageAddress &+ UInt64(cursor.offset)
        var value: UInt64
        switch encoding & 0xF {
        case 0x0, 0x4, 0xC: value = cursor.u64()
        case 0x1: value = cursor.uleb()
        case 0x2: value = UInt64(cursor.u16())
        case 0x3: value = UInt64(cursor.u32())
        case 0x9: value = UInt64(bitPattern: cursor.sleb())
        case 0xA: value = UInt64(bitPattern: Int64(Int16(bitPattern: cursor.u16())))
        case 0xB: value = UInt64(bitPattern: Int64(Int32(bitPattern: cursor.u32())))
        default:
            cursor.fail()
            return 0
        }
        switch encoding & 0x70 {
        case 0x10: value &+= place
        case 0x30: value &+= index.lowerBound
        default: break
        }
        return value
    }

    private func offset(of address: UInt64) -> Int? {
        let distance = address &- imageAddress
        return distance <= UInt64(image.count) ? Int(distance) : nil
    }
}
