/// What went wrong while reading the kernel's files.
///
/// A process that ends while it is read, or a file that this kernel does not have, is no error: that is nil.
public struct ProcError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The kinds of trouble; also the `code` label of `nightjar_errors_total`.
    public enum Code: String, Hashable, Sendable, CaseIterable {
        /// The kernel refused: no permission, no such root, an I/O error.
        case unreadable
        /// It was read, but is not what proc(5) says.
        case malformed
        /// Larger than the limit that we set ourselves; what is beyond was not read.
        case tooLarge
        /// Took longer than its time limit and was left alone.
        case tooSlow
        /// A limit on what is tracked was met.
        case overLimit
    }

    /// What kind of trouble.
    public var code: Code
    /// `/proc/4242/smaps_rollup`
    public var path: String
    /// What the system said, or what was expected and what was found.
    public var detail: String

    /// An error about one file.
    public init(_ code: Code, path: String, detail: String) {
        self.code = code
        self.path = path
        self.detail = detail
    }

    /// `cannot read '/proc/4242/io': Permission denied`
    public var description: String { "cannot read '\(path)': \(detail)" }
}

/// How many errors were swallowed, by code. Fixed size, adding one costs nothing.
public struct ErrorCounts: Hashable, Sendable {
    private var counts: InlineCounts = .init()

    /// None yet.
    public init() {}

    /// How many of one kind.
    public subscript(code: ProcError.Code) -> Int64 {
        get { counts[code] }
        set { counts[code] = newValue }
    }

    /// Codes that happened at all, in the order of `Code.allCases`.
    public var nonZero: [(code: ProcError.Code, count: Int64)] {
        ProcError.Code.allCases.map { ($0, self[$0]) }.filter { $0.1 != 0 }
    }

    /// Of all kinds together.
    public var total: Int64 { ProcError.Code.allCases.reduce(0) { $0 + self[$1] } }

    /// Code by code.
    public static func + (a: ErrorCounts, b: ErrorCounts) -> ErrorCounts {
        var sum = a
        for code in ProcError.Code.allCases { sum[code] += b[code] }
        return sum
    }

    /// What came between two counts.
    public static func - (a: ErrorCounts, b: ErrorCounts) -> ErrorCounts {
        var difference = a
        for code in ProcError.Code.allCases { difference[code] -= b[code] }
        return difference
    }
}

/// One field a code, so that counting needs no dictionary.
private struct InlineCounts: Hashable, Sendable {
    var unreadable: Int64 = 0
    var malformed: Int64 = 0
    var tooLarge: Int64 = 0
    var tooSlow: Int64 = 0
    var overLimit: Int64 = 0

    subscript(code: ProcError.Code) -> Int64 {
        get {
            switch code {
            case .unreadable: unreadable
            case .malformed: malformed
            case .tooLarge: tooLarge
            case .tooSlow: tooSlow
            case .overLimit: overLimit
            }
        }
        set {
            switch code {
            case .unreadable: unreadable = newValue
            case .malformed: malformed = newValue
            case .tooLarge: tooLarge = newValue
            case .tooSlow: tooSlow = newValue
            case .overLimit: overLimit = newValue
            }
        }
    }
}
