/// How loud a log line is, where it says so.
public enum LogLevel: UInt8, Hashable, Comparable, Sendable, CaseIterable {
    case trace, debug, info, notice, warning, error, critical

    /// By loudness: trace is the least.
    public static func < (a: LogLevel, b: LogLevel) -> Bool { a.rawValue < b.rawValue }

    /// The word people know it by.
    public var word: String {
        switch self {
        case .trace: "trace"
        case .debug: "debug"
        case .info: "info"
        case .notice: "notice"
        case .warning: "warning"
        case .error: "error"
        case .critical: "critical"
        }
    }

    /// From syslog's numbers: 0 emergency … 7 debug.
    public init?(priority: Int) {
        switch priority {
        case 0...2: self = .critical
        case 3: self = .error
        case 4: self = .warning
        case 5: self = .notice
        case 6: self = .info
        case 7: self = .debug
        default: return nil
        }
    }

    /// From a word as loggers print it, in any case, without brackets: `WARN`, `err`, `D`… is not taken.
    public init?(word: ArraySlice<UInt8>) {
        guard (3...9).contains(word.count) else { return nil }
        var lower = InlineArray<9, UInt8>(repeating: 0)
        for (offset, byte) in word.enumerated() {
            guard (65...90).contains(byte) || (97...122).contains(byte) else { return nil }
            lower[offset] = byte | 0x20
        }
        switch (lower[0], lower[1], lower[2], word.count) {
        case (t, r, a, 5): self = .trace  // trace
        case (v, e, r, 7): self = .trace  // verbose
        case (d, e, b, 5): self = .debug  // debug
        case (d, b, g, 3): self = .debug  // dbg
        case (i, n, f, 4): self = .info  // info
        case (n, o, t, 6): self = .notice  // notice
        case (w, a, r, 4), (w, a, r, 7): self = .warning  // warn, warning
        case (e, r, r, 3), (e, r, r, 5): self = .error  // err, error
        case (s, e, v, 6): self = .error  // severe
        case (c, r, i, 8), (c, r, i, 4): self = .critical  // critical, crit
        case (f, a, t, 5): self = .critical  // fatal
        case (p, a, n, 5): self = .critical  // panic
        default: return nil
        }
    }
}

private let a = UInt8(ascii: "a")
private let b = UInt8(ascii: "b")
private let c = UInt8(ascii: "c")
private let d = UInt8(ascii: "d")
private let e = UInt8(ascii: "e")
private let f = UInt8(ascii: "f")
private let g = UInt8(ascii: "g")
private let i = UInt8(ascii: "i")
private let n = UInt8(ascii: "n")
private let o = UInt8(ascii: "o")
private let p = UInt8(ascii: "p")
private let r = UInt8(ascii: "r")
private let s = UInt8(ascii: "s")
private let t = UInt8(ascii: "t")
private let v = UInt8(ascii: "v")
private let w = UInt8(ascii: "w")
