// The shared page: slots for loops, and the header that tells the agent whose they are.

import CNightjarProbe
import Glibc
import NightjarWire

/// The memory that the agent can read. Lives as long as the process: a loop may beat into it at any time.
final class Page: @unchecked Sendable {
    let base: UnsafeMutableRawPointer
    let descriptor: nj_descriptor

    /// nil where the kernel gives no memory file.
    init?(service: String) {
        var memory: UnsafeMutableRawPointer?
        descriptor = nj_note(nj_page_create(PageLayout.length, &memory))
        guard descriptor.number >= 0, let memory else { return nil }
        base = memory
        store32(PageLayout.versionOffset, UInt32(Frame.version))
        store32(PageLayout.pidOffset, UInt32(bitPattern: getpid()))
        store32(PageLayout.slotCountOffset, UInt32(PageLayout.slots))
        store64(PageLayout.startedOffset, nj_now())
        write(service, at: PageLayout.serviceOffset, PageLayout.serviceLength)
        store64(0, PageLayout.magic)
    }

    func slot(_ index: Int) -> UnsafeMutablePointer<nj_slot> {
        base.advanced(by: PageLayout.headerLength + index * PageLayout.slotLength).assumingMemoryBound(to: nj_slot.self)
    }

    /// Takes a free slot; nil where all are taken (which is counted).
    func claim(_ name: String, _ kind: LoopKind) -> Int? {
        for index in 0..<PageLayout.slots where slot(index).pointee.state == LoopState.free.rawValue {
            let slot = slot(index)
            memset(slot, 0, PageLayout.slotLength)
            write(
                name, at: PageLayout.headerLength + index * PageLayout.slotLength + PageLayout.nameOffset,
                PageLayout.nameLength)
            slot.pointee.kind = kind.rawValue
            nj_store32(&slot.pointee.state, LoopState.unserved.rawValue)
            return index
        }
        add(PageLayout.slotsRefusedOffset, 1)
        return nil
    }

    func release(_ index: Int) { nj_store32(&slot(index).pointee.state, LoopState.free.rawValue) }

    func store64(_ offset: Int, _ value: UInt64) {
        nj_store64(base.advanced(by: offset).assumingMemoryBound(to: UInt64.self), value)
    }

    func store32(_ offset: Int, _ value: UInt32) {
        nj_store32(base.advanced(by: offset).assumingMemoryBound(to: UInt32.self), value)
    }

    /// Adds to a counter of the header; only the watchdog writes them.
    func add(_ offset: Int, _ value: UInt64) {
        let word = base.advanced(by: offset).assumingMemoryBound(to: UInt64.self)
        nj_store64(word, nj_load64(word) &+ value)
    }

    /// What an agent would read.
    func reading() -> PageReading? { PageReading(UnsafeRawBufferPointer(start: base, count: PageLayout.length)) }

    private func write(_ text: String, at offset: Int, _ length: Int) {
        let bytes = Array(text.utf8.prefix(length - 1))
        for (index, byte) in bytes.enumerated() {
            base.storeBytes(of: byte, toByteOffset: offset + index, as: UInt8.self)
        }
        base.storeBytes(of: 0, toByteOffset: offset + bytes.count, as: UInt8.self)
    }
}

extension UnsafeMutablePointer where Pointee == nj_slot {
    func count(_ lag: UInt64, times: UInt64 = 1) {
        let bucket = LagHistogram.bucket(of: lag)
        withUnsafeMutableBytes(of: &pointee.lags) { raw in
            raw.bindMemory(to: UInt64.self)[bucket] &+= times
        }
        pointee.readings &+= times
    }

    /// Publishes the stall that is open now, innermost frames first.
    func publishStall(since: UInt64, cause: StallCause, call: Int32, holder: Int32, _ frames: [UInt64]) {
        nj_store64(&pointee.open_since, 0)
        let kept = frames.prefix(PageLayout.openFrames)
        withUnsafeMutableBytes(of: &pointee.open_frames) { raw in
            let words = raw.bindMemory(to: UInt64.self)
            for (index, frame) in kept.enumerated() { words[index] = frame }
        }
        pointee.open_depth = UInt32(kept.count)
        pointee.open_cause = UInt32(cause.rawValue)
        pointee.open_call = call
        pointee.open_holder = UInt32(bitPattern: holder)
        nj_store64(&pointee.open_since, since)
    }

    /// The time without a processor is not the stall's: its beginning moves on with it.
    func republishStall(since: UInt64) { nj_store64(&pointee.open_since, since) }

    func clearStall() { nj_store64(&pointee.open_since, 0) }
}
