// A recorded image: the pages that a census of a real process looked at, with its memory map. It answers reads as the
// process did, so that the walker, the names and the marking are tested without one, on any machine, for ever.
//
//     "NIGHTJAR-IMAGE 1\n"  u64 length of maps  maps  { u64 address, u64 length, packed words }…   all little-endian
//     packed words: { u16 zero words, u16 other words, the other words }… until length is reached
//
// Heap pages hold whatever the process held: images are made from our own test programs only, and only by tests.

import Glibc

/// Memory that was recorded earlier.
final class RecordedImage: TargetMemory {
    static let longestPiece: UInt64 = 1 << 30
    static let magic = Array("NIGHTJAR-IMAGE 1\n".utf8)

    let map: TargetMap
    private(set) var bytesRead: UInt64 = 0
    private var pieces: [(address: UInt64, bytes: [UInt8])]

    /// An image made by hand: what a test wants the target to look like.
    init(map: TargetMap, pieces: [(address: UInt64, bytes: [UInt8])]) {
        self.map = map
        self.pieces = pieces.sorted { $0.address < $1.address }
    }

    /// Reads the form drawn above. Whatever does not fit it is refused.
    convenience init(decoding data: [UInt8]) throws {
        guard data.starts(with: Self.magic) else {
            throw InspectError(.malformed, "this is no recorded image of a heap")
        }
        var at = Self.magic.count
        func number() throws -> UInt64 {
            guard at + 8 <= data.count else { throw InspectError(.malformed, "the recorded image ends too early") }
            defer { at += 8 }
            return data[at..<at + 8].reversed().reduce(0) { $0 << 8 | UInt64($1) }
        }
        func bytes(_ count: UInt64) throws -> [UInt8] {
            guard count <= UInt64(data.count - at) else {
                throw InspectError(.malformed, "the recorded image ends too early")
            }
            defer { at += Int(count) }
            return Array(data[at..<at + Int(count)])
        }
        let map = try TargetMap(text: bytes(number()))
        var pieces: [(address: UInt64, bytes: [UInt8])] = []
        while at < data.count {
            let address = try number()
            let length = try number()
            guard length % 8 == 0, length <= Self.longestPiece else {
                throw InspectError(.malformed, "a piece of the recorded image has an impossible length")
            }
            var piece: [UInt8] = []
            while piece.count < length {
                let counts = try bytes(4)
                let (zeros, others) = (
                    UInt64(counts[0]) | UInt64(counts[1]) << 8, UInt64(counts[2]) | UInt64(counts[3]) << 8
                )
                guard zeros + others > 0, UInt64(piece.count) + (zeros + others) * 8 <= length else {
                    throw InspectError(.malformed, "a piece of the recorded image does not fit its length")
                }
                piece += [UInt8](repeating: 0, count: Int(zeros) * 8)
                piece += try bytes(others * 8)
            }
            pieces.append((address, piece))
        }
        self.init(map: map, pieces: pieces)
    }

    func read(_ address: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        var done = 0
        while done < buffer.count {
            let want = address &+ UInt64(done)
            guard let piece = piece(at: want) else { break }
            let skip = Int(want - piece.address)
            let count = min(buffer.count - done, piece.bytes.count - skip)
            piece.bytes.withUnsafeBytes { source in
                buffer.baseAddress!.advanced(by: done).copyMemory(from: source.baseAddress! + skip, byteCount: count)
            }
            done += count
        }
        bytesRead &+= UInt64(done)
        return done
    }

    func readScattered(_ requests: UnsafeBufferPointer<ReadRequest>) {
        for request in requests {
            let buffer = UnsafeMutableRawBufferPointer(start: request.destination, count: request.length)
            let got = read(request.address, into: buffer)
            memset(request.destination + got, 0, request.length - got)
        }
    }

    private func piece(at address: UInt64) -> (address: UInt64, bytes: [UInt8])? {
        var low = 0
        var high = pieces.count
        while low < high {
            let middle = (low + high) / 2
            if pieces[middle].address &+ UInt64(pieces[middle].bytes.count) <= address {
                low = middle + 1
            } else {
                high = middle
            }
        }
        guard low < pieces.count, pieces[low].address <= address else { return nil }
        return pieces[low]
    }
}

/// Stands before another reader and keeps every page that was read, to be written as an image.
final class ImageRecorder: TargetMemory {
    static let pageSize: UInt64 = 4096
    private let source: any TargetMemory
    private var pages: [UInt64: [UInt8]] = [:]
    var bytesRead: UInt64 { source.bytesRead }

    init(_ source: any TargetMemory) { self.source = source }

    func read(_ address: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        let got = source.read(address, into: buffer)
        keep(address, got)
        return got
    }

    func readScattered(_ requests: UnsafeBufferPointer<ReadRequest>) {
        source.readScattered(requests)
        for request in requests { keep(request.address, request.length) }
    }

    private func keep(_ address: UInt64, _ count: Int) {
        var page = address & ~(Self.pageSize - 1)
        while page < address &+ UInt64(count) {
            if pages[page] == nil {
                var bytes = [UInt8](repeating: 0, count: Int(Self.pageSize))
                if bytes.withUnsafeMutableBytes({ source.read(page, into: $0) }) == bytes.count { pages[page] = bytes }
            }
            page += Self.pageSize
        }
    }

    /// The image so far: runs of neighbouring pages come out as one piece.
    func encoded(maps text: [UInt8]) -> [UInt8] {
        func bytes(_ number: UInt64) -> [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: number >> ($0 * 8)) } }
        var out = RecordedImage.magic + bytes(UInt64(text.count)) + text
        var run: (address: UInt64, bytes: [UInt8])?
        func finish() {
            if let run { out += bytes(run.address) + bytes(UInt64(run.bytes.count)) + Self.packed(run.bytes) }
        }
        for page in pages.keys.sorted() {
            if let open = run, open.address + UInt64(open.bytes.count) == page {
                run!.bytes += pages[page]!
            } else {
                finish()
                run = (page, pages[page]!)
            }
        }
        finish()
        return out
    }

    private static func packed(_ bytes: [UInt8]) -> [UInt8] {
        var out: [UInt8] = []
        var at = 0
        func isZero(_ at: Int) -> Bool { bytes[at..<at + 8].allSatisfy { $0 == 0 } }
        while at < bytes.count {
            var (zeros, others) = (0, 0)
            while at + zeros * 8 < bytes.count, zeros < 0xffff, isZero(at + zeros * 8) { zeros += 1 }
            let first = at + zeros * 8
            while first + others * 8 < bytes.count, others < 0xffff, !isZero(first + others * 8) { others += 1 }
            for count in [zeros, others] { out += [UInt8(count & 255), UInt8(count >> 8)] }
            at = first + others * 8
            out += bytes[first..<at]
        }
        return out
    }
}
