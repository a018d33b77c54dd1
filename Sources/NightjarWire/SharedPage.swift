// What a probe keeps in memory that the agent can read, also when the process hangs altogether or is gone:
//
//     0     header   magic, version, pid, slot count, service, the watchdog's own beat, counters
//     4096  slot 0   1024 bytes: the loop's beat, the watchdog's view of it, name, lag histogram, the open stall
//     5120  slot 1   …
//
// All numbers little-endian. The writer never locks: a reader may see a slot while it is being changed, so every value is
// taken as possibly wrong and clamped, and nothing in it is ever used as an offset.

/// Where things lie in the shared page.
public enum PageLayout {
    public static let magic: UInt64 = 0x3165_6761_504A_4E00  // "\0NJPage1"
    public static let headerLength = 4096
    public static let slotLength = 1024
    public static let slots = Limits.slots
    public static let length = headerLength + slots * slotLength

    // Header.
    public static let versionOffset = 8
    public static let pidOffset = 12
    public static let slotCountOffset = 16
    public static let watchdogOffset = 24
    public static let startedOffset = 32
    public static let suppressedOffset = 40
    public static let pausedOffset = 48
    public static let slotsRefusedOffset = 56
    public static let poolThreadsOffset = 64
    public static let serviceOffset = 128
    public static let serviceLength = 128

    // Slot.
    public static let beatOffset = 0
    public static let answeredOffset = 8
    public static let tidOffset = 16
    public static let stateOffset = 64
    public static let kindOffset = 68
    public static let askedOffset = 72
    public static let askedAtOffset = 80
    public static let busySinceOffset = 88
    public static let stallsOffset = 96
    public static let slotSuppressedOffset = 104
    public static let blockedOffset = 112
    public static let starvedOffset = 120
    public static let longestOffset = 128
    public static let readingsOffset = 136
    public static let nameOffset = 192
    public static let nameLength = 64
    public static let lagsOffset = 256
    public static let lagBuckets = 48
    public static let openSinceOffset = 640
    public static let openCauseOffset = 648
    public static let openDepthOffset = 652
    public static let openCallOffset = 656
    public static let openHolderOffset = 660
    public static let openFramesOffset = 672
    public static let openFrames = 44
}

/// What the watchdog thinks of a loop.
public enum LoopState: UInt32, Hashable, Sendable {
    case free = 0
    /// Never answered yet: perhaps nobody runs it.
    case unserved = 1
    case idle = 2
    case busy = 3
    case stalled = 4
    case ended = 5
}

/// What kind of loop a slot watches.
public enum LoopKind: UInt32, Hashable, Sendable {
    case other = 0, mainQueue, queue, executor, eventLoop, pool
}

/// One slot, read once.
public struct SlotReading: Hashable, Sendable {
    public var index: Int
    public var name: String
    public var state: LoopState
    public var kind: LoopKind
    public var tid: Int32
    public var beat: UInt64
    public var askedAt: UInt64
    public var busySince: UInt64
    public var stalls: UInt64
    public var suppressed: UInt64
    public var blockedNanoseconds: UInt64
    public var starvedNanoseconds: UInt64
    public var longestNanoseconds: UInt64
    public var readings: UInt64
    public var lags: LagHistogram
    /// The stall that was open: since when, why, and its innermost frames.
    /// Of the stall that is open: the probe's latest look less the time that is the service's own, without pauses and without
    /// waiting for a processor. 0 = none.
    public var openSince: UInt64
    public var openCause: StallCause
    public var openCall: Int32
    public var openHolder: Int32
    public var openFrames: [UInt64]
}

/// The header and all slots in use, read once.
public struct PageReading: Hashable, Sendable {
    public var service: String
    public var pid: Int32
    /// The watchdog's last round, CLOCK_MONOTONIC of the probe.
    public var watchdog: UInt64
    public var startedAt: UInt64
    public var suppressed: UInt64
    public var pausedNanoseconds: UInt64
    public var slotsRefused: UInt64
    public var slots: [SlotReading]

    /// Reads a page; nil where it is none of ours or too short. Whatever it says is bounded here.
    public init?(_ page: UnsafeRawBufferPointer) {
        guard page.count >= PageLayout.headerLength else { return nil }
        let source = PageSource(page)
        guard source.u64(0) == PageLayout.magic, source.u32(PageLayout.versionOffset) == UInt32(Frame.version) else {
            return nil
        }
        let room = (page.count - PageLayout.headerLength) / PageLayout.slotLength
        let count = min(Int(source.u32(PageLayout.slotCountOffset)), room, Limits.slots)
        service = source.text(PageLayout.serviceOffset, PageLayout.serviceLength)
        pid = Int32(bitPattern: source.u32(PageLayout.pidOffset))
        watchdog = source.u64(PageLayout.watchdogOffset)
        startedAt = source.u64(PageLayout.startedOffset)
        suppressed = source.u64(PageLayout.suppressedOffset)
        pausedNanoseconds = source.u64(PageLayout.pausedOffset)
        slotsRefused = source.u64(PageLayout.slotsRefusedOffset)
        slots = (0..<count).compactMap { SlotReading(source, $0) }
    }
}

extension SlotReading {
    init?(_ source: PageSource, _ index: Int) {
        let base = PageLayout.headerLength + index * PageLayout.slotLength
        guard let state = LoopState(rawValue: source.u32(base + PageLayout.stateOffset)), state != .free else {
            return nil
        }
        self.index = index
        self.state = state
        kind = LoopKind(rawValue: source.u32(base + PageLayout.kindOffset)) ?? .other
        name = source.text(base + PageLayout.nameOffset, PageLayout.nameLength)
        tid = Int32(bitPattern: source.u32(base + PageLayout.tidOffset))
        beat = source.u64(base + PageLayout.beatOffset)
        askedAt = source.u64(base + PageLayout.askedAtOffset)
        busySince = source.u64(base + PageLayout.busySinceOffset)
        stalls = source.u64(base + PageLayout.stallsOffset)
        suppressed = source.u64(base + PageLayout.slotSuppressedOffset)
        blockedNanoseconds = source.u64(base + PageLayout.blockedOffset)
        starvedNanoseconds = source.u64(base + PageLayout.starvedOffset)
        longestNanoseconds = source.u64(base + PageLayout.longestOffset)
        readings = source.u64(base + PageLayout.readingsOffset)
        lags = LagHistogram()
        for bucket in 0..<PageLayout.lagBuckets {
            lags.counts[bucket] = source.u64(base + PageLayout.lagsOffset + bucket * 8)
        }
        openSince = source.u64(base + PageLayout.openSinceOffset)
        openCause =
            StallCause(rawValue: UInt8(truncatingIfNeeded: source.u32(base + PageLayout.openCauseOffset))) ?? .unknown
        openCall = Int32(bitPattern: source.u32(base + PageLayout.openCallOffset))
        openHolder = Int32(bitPattern: source.u32(base + PageLayout.openHolderOffset))
        let depth = min(Int(source.u32(base + PageLayout.openDepthOffset)), PageLayout.openFrames)
        openFrames = (0..<depth).map { source.u64(base + PageLayout.openFramesOffset + $0 * 8) }
    }
}

/// Bounded reads of a page.
struct PageSource {
    private let page: UnsafeRawBufferPointer

    init(_ page: UnsafeRawBufferPointer) { self.page = page }

    func u64(_ offset: Int) -> UInt64 {
        guard offset >= 0, page.count - offset >= 8 else { return 0 }
        return UInt64(littleEndian: page.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }

    func u32(_ offset: Int) -> UInt32 {
        guard offset >= 0, page.count - offset >= 4 else { return 0 }
        return UInt32(littleEndian: page.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }

    /// Up to the first zero; control characters become `?`.
    func text(_ offset: Int, _ length: Int) -> String {
        guard offset >= 0, page.count - offset >= length else { return "" }
        var bytes: [UInt8] = []
        for index in offset..<offset + length {
            let byte = page[index]
            if byte == 0 { break }
            bytes.append(byte < 0x20 || byte == 0x7F ? UInt8(ascii: "?") : byte)
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
