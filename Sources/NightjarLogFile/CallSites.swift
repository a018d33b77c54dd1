// Sampling where the call stands, before its message is built. A log handler cannot do this: swift-log tests only the
// level in front of the message, so a handler always sees messages that have already been paid for.
//
// Each call site has a slot in one table of the process, found by the address of its file name and its line. "First N of
// a second, then every Mth" is one atomic addition. The weight of a written record follows from its place: M within a
// second; at the turn of the second, one and what the last one left over. So weights add up to what was produced.

public import Logging
import Synchronization

@usableFromInline struct CallSiteAdmission: Sendable {
    /// 0: left out.
    @usableFromInline var weight: UInt64
    @usableFromInline var slot: Int
}

@usableFromInline enum CallSites {
    /// Call sites that can be sampled in one process. Further ones are written in full.
    static let capacity = 8_192
    static let table = KeyTable(capacity: capacity)

    @usableFromInline static func admit(
        _ file: UnsafePointer<UInt8>, _ length: Int, _ line: UInt, _ first: UInt32, _ every: UInt32
    ) -> CallSiteAdmission {
        let second = UInt32(truncatingIfNeeded: Clock.coarse() / 1_000_000_000) &+ 1
        let hash = (UInt64(UInt(bitPattern: file)) &* 0x9E37_79B9_7F4A_7C15 ^ UInt64(line) &* 0xD6E8_FEB8_6659_FD93) | 1
        let table = Self.table
        guard let slot = table.find(hash ^ hash >> 32 | 1, second: second) else {
            return CallSiteAdmission(weight: 1, slot: -1)
        }
        let (place, before) = slot.count(second: second)
        if place == 1 { return turned(slot, before, file, length, line, first, every) }
        if place <= first { return CallSiteAdmission(weight: 1, slot: table.index(of: slot)) }
        let beyond = place &- first
        guard beyond % every == 0 else { return CallSiteAdmission(weight: 0, slot: -1) }
        return CallSiteAdmission(weight: UInt64(every), slot: table.index(of: slot))
    }

    /// The first record of a second: it stands for what the second before left over too.
    @inline(never) private static func turned(
        _ slot: UnsafeMutablePointer<KeyTable.Slot>, _ before: UInt32, _ file: UnsafePointer<UInt8>, _ length: Int,
        _ line: UInt, _ first: UInt32, _ every: UInt32
    ) -> CallSiteAdmission {
        slot.pointee.pending.store(UInt64(first) << 32 | UInt64(every), ordering: .relaxed)
        if slot.pointee.name.load(ordering: .relaxed) == 0 {
            slot.pointee.place.store(UInt64(line) << 16 | UInt64(min(length, 0xFFFF)), ordering: .relaxed)
            slot.pointee.name.store(UInt64(UInt(bitPattern: file)), ordering: .releasing)
        }
        return CallSiteAdmission(weight: 1 + rest(before, first, every), slot: table.index(of: slot))
    }

    /// Records since the last written one, at this place of a second.
    private static func rest(_ place: UInt32, _ first: UInt32, _ every: UInt32) -> UInt64 {
        place > first ? UInt64((place &- first) % every) : 0
    }

    /// The log that this site's left-out records are counted for.
    @usableFromInline static func own(_ slot: Int, by handler: any LogHandler) {
        guard slot >= 0, table[slot].pointee.owner.load(ordering: .relaxed) == 0 else { return }
        if let handler = handler as? LogFileHandler {
            table[slot].pointee.owner.store(handler.core.identity, ordering: .relaxed)
        }
    }

    /// Left out and not yet represented by a written record, of the sites that belong to one log.
    static func rest(of owner: UInt64) -> UInt64 {
        var sum: UInt64 = 0
        table.forEach { slot in
            guard slot.pointee.owner.load(ordering: .relaxed) == owner else { return }
            let rule = slot.pointee.pending.load(ordering: .relaxed)
            let place = UInt32(truncatingIfNeeded: slot.pointee.window.load(ordering: .relaxed))
            guard rule != 0 else { return }
            sum += rest(place, UInt32(truncatingIfNeeded: rule >> 32), UInt32(truncatingIfNeeded: rule))
        }
        return sum
    }
}

extension KeyTable {
    @inline(__always) func index(of slot: UnsafeMutablePointer<Slot>) -> Int { slot - self[0] }
}

/// How many records a written one stands for, as it travels from the call site to the handler. Other handlers print it
/// like any metadata.
@usableFromInline struct SampleWeight: CustomStringConvertible, Sendable {
    @usableFromInline let weight: UInt64
    @usableFromInline let slot: Int
    @usableFromInline init(weight: UInt64, slot: Int) {
        self.weight = weight
        self.slot = slot
    }
    @usableFromInline var description: String { String(weight) }
    /// The metadata key under which it travels.
    @usableFromInline static var key: String { "weight" }
}

extension Logger.MetadataValue {
    var sampleWeight: SampleWeight? {
        if case .stringConvertible(let box) = self, type(of: box) == SampleWeight.self { return box as? SampleWeight }
        return nil
    }

    var isSampleWeight: Bool {
        if case .stringConvertible(let box) = self { return type(of: box) == SampleWeight.self }
        return false
    }
}

extension Logger {
    /// Logs the first records of every second from this call, then every so-manieth; the others are not even built.
    ///
    /// A record that is left out costs about 20 ns, whatever its message would have cost. One that is written carries how
    /// many it stands for (`"weight":100` in a ``LogFile``, metadata `weight` elsewhere): the weights of a call site add up
    /// to the number of its calls. Errors and critical records are never left out.
    ///
    ///     logger.sampled(.debug, "cache miss for \(key)")
    ///
    /// - Parameters:
    ///   - first: Records of each second that are written in full.
    ///   - thenEvery: After those, one in so many. 1 writes all.
    @inlinable
    public func sampled(
        _ level: Logger.Level, _ message: @autoclosure () -> Logger.Message, first: UInt32 = 10,
        thenEvery: UInt32 = 100,
        error: @autoclosure () -> (any Error)? = nil, metadata: @autoclosure () -> Logger.Metadata? = nil,
        file: StaticString = #fileID, function: String = #function, line: UInt = #line
    ) {
        guard logLevel <= level else { return }
        var weighted: SampleWeight?
        if level < .error, thenEvery > 1 {
            let admission = CallSites.admit(file.utf8Start, file.utf8CodeUnitCount, line, max(first, 1), thenEvery)
            guard admission.weight > 0 else { return }
            CallSites.own(admission.slot, by: handler)
            if admission.weight > 1 { weighted = SampleWeight(weight: admission.weight, slot: admission.slot) }
        }
        var metadata = metadata()
        if let weighted {
            metadata = (metadata ?? [:]).merging([SampleWeight.key: .stringConvertible(weighted)]) { $1 }
        }
        log(
            level: level, message(), error: error(), metadata: metadata, file: "\(file)", function: function, line: line
        )
    }
}
