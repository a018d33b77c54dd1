/// The probe's first message; the shared page's descriptor travels with it.
public struct Hello: Hashable, Sendable {
    public var service: String
    /// The process's own pid, in its own namespace; who it really is, the socket says.
    public var pid: Int32
    public var pageLength: UInt32
    public var slots: UInt16
    public var stallThresholdNanoseconds: UInt64
    /// CLOCK_MONOTONIC of the probe now: in a time namespace it is not the agent's.
    public var clock: UInt64

    public init(
        service: String, pid: Int32, pageLength: UInt32, slots: UInt16, stallThresholdNanoseconds: UInt64, clock: UInt64
    ) {
        self.service = service
        self.pid = pid
        self.pageLength = pageLength
        self.slots = slots
        self.stallThresholdNanoseconds = stallThresholdNanoseconds
        self.clock = clock
    }

    func write(to out: inout FrameWriter) {
        out.text(service)
        out.i32(pid)
        out.u32(pageLength)
        out.u16(slots)
        out.u64(stallThresholdNanoseconds)
        out.u64(clock)
    }

    init?(reading: inout FrameReader) {
        service = reading.text()
        pid = reading.i32()
        pageLength = reading.u32()
        slots = reading.u16()
        stallThresholdNanoseconds = reading.u64()
        clock = reading.u64()
        guard !reading.failed, pid > 0, Int(slots) <= Limits.slots else { return nil }
    }
}

/// The agent takes the probe on.
public struct Welcome: Hashable, Sendable {
    /// Reports a minute that the agent takes; more are counted by the probe and not sent.
    public var reportsPerMinute: UInt16

    public init(reportsPerMinute: UInt16) { self.reportsPerMinute = reportsPerMinute }

    func write(to out: inout FrameWriter) { out.u16(reportsPerMinute) }

    init?(reading: inout FrameReader) {
        reportsPerMinute = reading.u16()
        if reading.failed { return nil }
    }
}

/// The agent does not, and says why. The probe tells its own log once and tries again much later.
public struct Refusal: Hashable, Sendable {
    /// Why: what the probe can do about it differs.
    public enum Reason: UInt8, Hashable, Sendable, CaseIterable {
        case version = 1, limit, malformed, page, shuttingDown
    }

    public var reason: Reason
    /// The version that the agent speaks.
    public var version: UInt8
    public var detail: String

    public init(_ reason: Reason, version: UInt8 = Frame.version, detail: String) {
        self.reason = reason
        self.version = version
        self.detail = detail
    }

    func write(to out: inout FrameWriter) {
        out.u8(reason.rawValue)
        out.u8(version)
        out.text(detail)
    }

    init?(reading: inout FrameReader) {
        guard let known = Reason(rawValue: reading.u8()) else { return nil }
        reason = known
        version = reading.u8()
        detail = reading.text()
        if reading.failed { return nil }
    }
}

/// The agent asks for the stacks of all threads, now.
public struct StacksPlease: Hashable, Sendable {
    public var request: UInt32

    public init(request: UInt32) { self.request = request }

    func write(to out: inout FrameWriter) { out.u32(request) }

    init?(reading: inout FrameReader) {
        request = reading.u32()
        if reading.failed { return nil }
    }
}
