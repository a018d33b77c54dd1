// The messages between probe and agent, one datagram of a SEQPACKET socket each:
//
//     ╭─ 'N' 'J' ─┬─ kind ─┬─ version ─┬─ length of all ─┬─ fields … ─╮
//     0           2        3           4                 8
//
//     probe ──▶ hello (with the shared page's descriptor)      agent ──▶ welcome | refusal
//     probe ──▶ stall, again while it lasts and when it ends
//     agent ──▶ stacks please                                  probe ──▶ stacks
//
// A receiver that does not know the version says so in a refusal and closes; an unknown kind is skipped and counted.

/// One message.
public enum Frame: Hashable, Sendable {
    case hello(Hello)
    case welcome(Welcome)
    case refusal(Refusal)
    case stall(StallReport)
    case stacksPlease(StacksPlease)
    case stacks(StacksReport)

    /// The version that this code speaks.
    public static let version: UInt8 = 1
    static let headerLength = 8

    /// Why bytes are no message.
    public enum Defect: Error, Hashable, Sendable {
        case tooShort, tooLong, wrongMagic, wrongLength, malformed
        case wrongVersion(UInt8)
        case unknownKind(UInt8)
    }

    var kind: UInt8 {
        switch self {
        case .hello: 1
        case .welcome: 2
        case .refusal: 3
        case .stall: 4
        case .stacksPlease: 5
        case .stacks: 6
        }
    }

    /// The message as bytes.
    public func encoded(version: UInt8 = Frame.version) -> [UInt8] {
        var body = FrameWriter()
        switch self {
        case .hello(let message): message.write(to: &body)
        case .welcome(let message): message.write(to: &body)
        case .refusal(let message): message.write(to: &body)
        case .stall(let message): message.write(to: &body)
        case .stacksPlease(let message): message.write(to: &body)
        case .stacks(let message): message.write(to: &body)
        }
        var head = FrameWriter(reserving: body.bytes.count + Self.headerLength)
        head.u8(UInt8(ascii: "N"))
        head.u8(UInt8(ascii: "J"))
        head.u8(kind)
        head.u8(version)
        head.u32(UInt32(clamping: body.bytes.count + Self.headerLength))
        return head.bytes + body.bytes
    }

    /// The message in `bytes`, which may come from anybody.
    public init(decoding bytes: [UInt8]) throws(Defect) {
        guard bytes.count >= Self.headerLength else { throw .tooShort }
        guard bytes.count <= Limits.frame else { throw .tooLong }
        guard bytes[0] == UInt8(ascii: "N"), bytes[1] == UInt8(ascii: "J") else { throw .wrongMagic }
        var reader = FrameReader(bytes, at: 2)
        let kind = reader.u8()
        let version = reader.u8()
        // A refusal is understood in every version: it is how versions are told apart.
        guard version == Self.version || kind == 3 else { throw .wrongVersion(version) }
        guard Int(reader.u32()) == bytes.count else { throw .wrongLength }
        let frame: Frame? =
            switch kind {
            case 1: Hello(reading: &reader).map(Frame.hello)
            case 2: Welcome(reading: &reader).map(Frame.welcome)
            case 3: Refusal(reading: &reader).map(Frame.refusal)
            case 4: StallReport(reading: &reader).map(Frame.stall)
            case 5: StacksPlease(reading: &reader).map(Frame.stacksPlease)
            case 6: StacksReport(reading: &reader).map(Frame.stacks)
            default: nil
            }
        guard (1...6).contains(kind) else { throw .unknownKind(kind) }
        guard let frame, !reader.failed, reader.isAtEnd else { throw .malformed }
        self = frame
    }
}
