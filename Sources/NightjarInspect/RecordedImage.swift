// A recorded image: the pages that a census of a real process looked at, with its memory map. It answers reads as the
// process did, so that the walker, the names and the marking are tested without one, on any machine, for ever.
//
//     "NIGHTJAR-IMAGE 1\n"  u64 length of maps  maps  { u64 address, u64 length, bytes }…        all little-endian
//
// Heap pages hold whatever the process held: images are made from our own test programs only, and only by tests.

import Glibc

/// Memory that was recorded earlier.
public final class RecordedImage: TargetMemory {
    static let magic = Array("NIGHTJAR-IMAGE 1\n".utf8)

    public let map: TargetMap
    public private(set) var bytesRead: UInt64 = 0
    private var pieces: [(address: UInt64, bytes: [UInt8])]

    /// An image made by hand: what a test wants the target to look like.
    public init(map: TargetMap, pieces: [(address: UInt64, bytes: [UInt8])]) {
        self.map = map
        self.pieces = pieces.sorted { $0.address < $1.address }
    }

    /// Reads the form drawn above. Whatever does not fit it is refused.
    public convenience init(decoding data: [UInt8]) throws {
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
            pieces.append((address, try bytes(number())))
        }
        self.init(map: map, pieces: pieces)
    }

    public func read(_ address: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
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

    public func readScattered(_ requests: UnsafeBufferPointer<ReadRequest>) {
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
public final class ImageRecorder: TargetMemory {
    static let pageSize: UInt64 = 4096
    private let source: any TargetMemory
    private var pages: [UInt64: [UInt8]] = [:]
    public var bytesRead: UInt64 { source.bytesRead }

    public init(_ source: any TargetMemory) { self.source = source }

    public func read(_ address: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        let got = source.read(address, into: buffer)
        keep(address, got)
        return got
    }

    public func readScattered(_ requests: UnsafeBufferPointer<ReadRequest>) {
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

    /// The image so far: runs of neighbouring pages that are not all zero come out as one piece.
    public func encoded(maps text: [UInt8]) -> [UInt8] {
        func bytes(_ number: UInt64) -> [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: number >> ($0 * 8)) } }
        var out = RecordedImage.magic + bytes(UInt64(text.count)) + text
        var run: (address: UInt64, bytes: [UInt8])?
        for page in pages.keys.sorted() {
            if let open = run, open.address + UInt64(open.bytes.count) == page {
                run!.bytes += pages[page]!
                continue
            }
            if let open = run { out += bytes(open.address) + bytes(UInt64(open.bytes.count)) + open.bytes }
            run = (page, pages[page]!)
        }
        if let open = run { out += bytes(open.address) + bytes(UInt64(open.bytes.count)) + open.bytes }
        return out
    }
}
