public import Logging

/// How a ``LogFile`` writes, rotates, keeps and samples. Every setting has a default that is safe to leave alone.
///
/// Sizes are bytes. Values that contradict each other are brought into order when the file is made
/// (``LogFile/configuration`` shows the result): a wrong number here never ends a service.
public struct LogFileConfiguration: Sendable {
    /// The shape of a record. Each is one line, whatever the message holds.
    public enum Format: Sendable, Hashable {
        /// One JSON object: `time`, `level`, `label`, `message`, and where there is any `weight`, `metadata`, `error`, `file`.
        case json
        /// `2026-11-26T04:37:06.123456Z info checkout: message key=value`.
        case text
    }

    /// When a file is closed and a new one begun. The first limit that is met counts.
    public struct Rotation: Sendable, Hashable {
        /// The largest a file may become. Default 64 MiB.
        public var bytes: Int
        /// The longest a file may be written, aligned to multiples in UTC (an hour begins on the hour). Default never.
        public var every: Duration?

        public init(bytes: Int = 64 << 20, every: Duration? = nil) {
            self.bytes = bytes
            self.every = every
        }
    }

    /// How much of the past is kept. Oldest files go first; the file being written is never deleted.
    public struct Retention: Sendable, Hashable {
        /// All files of the log together, the current one and half-compressed ones included. Never exceeded. Default 1 GiB.
        public var totalBytes: Int
        /// How many rotated files. Default: no limit but the bytes.
        public var files: Int?
        /// How long a rotated file stays. Default 30 days.
        public var age: Duration?
        /// On a full disk own files are deleted down to this many. Default 1.
        public var minimumFiles: Int

        public init(
            totalBytes: Int = 1 << 30, files: Int? = nil, age: Duration? = .seconds(30 * 86_400), minimumFiles: Int = 1
        ) {
            self.totalBytes = totalBytes
            self.files = files
            self.age = age
            self.minimumFiles = minimumFiles
        }
    }

    /// Space on the file system that is left to others: below it, own files are deleted, then nothing but errors is written.
    public struct FreeSpaceFloor: Sendable, Hashable {
        public var bytes: Int
        /// Of the file system, 0…1. The smaller of the two counts, so that neither a small nor a huge disk is absurd.
        public var share: Double

        /// Default: 1 GiB, but at most 5 % of the file system.
        public init(bytes: Int = 1 << 30, share: Double = 0.05) {
            self.bytes = bytes
            self.share = share
        }

        public static let none = FreeSpaceFloor(bytes: 0, share: 0)
    }

    /// What happens to a rotated file, in a thread of its own at the lowest priority. The libraries are looked for when it
    /// runs; where the one that is asked for is not installed files stay plain and a notice says so.
    public enum Compression: Sendable, Hashable {
        case none
        /// zstd where libzstd.so.1 is installed, which is as good as everywhere, else gzip.
        case automatic
        /// `zcat` reads it. Level 1…9.
        case gzip(level: Int = 1)
        /// `zstdcat` reads it; packs log lines tighter than gzip, at a fifth of its CPU time. Level 1…19.
        case zstd(level: Int = 1)
    }

    /// A file beside the log that holds only records of level error and above, with a life of its own.
    public struct ErrorFile: Sendable, Hashable {
        /// Default: `checkout-error.log` beside `checkout.log`.
        public var path: String?
        public var rotation: Rotation
        public var retention: Retention
        /// Disk blocks kept allocated ahead of the last error line: a full disk still takes this much. Default 1 MiB.
        public var reserveBytes: Int
        /// Error lines held in memory while even the reserve is used up; beyond it they are counted. Default 256 KiB.
        public var memoryBytes: Int
        /// Whether the log itself shows errors too, between the lines around them. Default true.
        public var copiesToLog: Bool

        public init(
            path: String? = nil, rotation: Rotation = Rotation(bytes: 16 << 20),
            retention: Retention = Retention(totalBytes: 128 << 20, age: .seconds(90 * 86_400)),
            reserveBytes: Int = 1 << 20, memoryBytes: Int = 256 << 10, copiesToLog: Bool = true
        ) {
            self.path = path
            self.rotation = rotation
            self.retention = retention
            self.reserveBytes = reserveBytes
            self.memoryBytes = memoryBytes
            self.copiesToLog = copiesToLog
        }
    }

    /// Where notices about the log itself go: never into the file they are about.
    public enum Notices: Sendable {
        /// journald's socket where it is, else the standard error. Never waits for either.
        case automatic
        case standardError
        case silent
        /// Called on the writer's thread; must not log through the same file's handlers.
        case call(@Sendable (LogNotice) -> Void)
    }

    public var format: Format = .json
    /// The level of new handlers; each logger's `logLevel` can differ.
    public var level: Logger.Level = .info
    public var rotation = Rotation()
    public var retention = Retention()
    public var freeSpaceFloor = FreeSpaceFloor()
    public var compression: Compression = .automatic
    /// nil: errors stand in the log only, without reserve.
    public var errorFile: ErrorFile? = ErrorFile()
    public var sampling = Sampling()
    public var notices: Notices = .automatic

    /// Records carry the file and line they come from at this level and above. Default error; nil: never.
    public var locationFrom: Logger.Level? = .error
    /// Metadata values whose attributes it says true to are written as `<redacted>`. Default: none.
    public var redacts: (@Sendable (Logger.MetadataValueAttributes) -> Bool)?
    /// A longer record is cut, marked with `"cut":true` and counted. Default 16 KiB.
    public var maximumLineBytes: Int = 16 << 10
    /// Lines that may wait for the writer. Only touched pages cost memory; they are given back when idle. Default 1 MiB.
    public var bufferBytes: Int = 1 << 20
    /// How long a line may wait in memory; errors don't wait. Default 200 ms.
    public var flushInterval: Duration = .milliseconds(200)
    /// While lines are left out, how often the log says how many. Default 60 s.
    public var ledgerInterval: Duration = .seconds(60)
    /// Error lines are forced to the disk (`fdatasync`) after each batch. Default false: handed to the kernel.
    public var syncsErrors: Bool = false
    /// Pending lines are written when the process crashes or ends by a signal that it left at its default. Default true.
    public var flushesOnCrash: Bool = true
    /// Permission bits of new files. Default 0640.
    public var mode: UInt32 = 0o640

    public init() {}
}

/// Which records are left out, so that a flood costs little and stays countable. Errors are never left out.
///
/// A record that is written carries its weight: how many records of its kind it stands for, itself included. The sum of
/// weights in the log is what was produced.
public struct Sampling: Sendable {
    /// For records of one level.
    public enum Rule: Sendable, Hashable {
        case all
        /// Of each key, the first records of every second, then every so-manieth.
        case firstThenEvery(first: Int, every: Int)
        /// One in so many, at random.
        case random(oneIn: Int)
    }

    /// What makes two records the same kind.
    public enum Key: Sendable, Hashable {
        /// The file and line of the call. The cheapest.
        case callSite
        /// The logger's label.
        case label
        /// The value of this metadata key of the call or the logger.
        case metadata(String)
    }

    /// By level; a level that is missing is written in full.
    public var rules: [Logger.Level: Rule]
    public var key: Key
    /// The most bytes a second that info, notice and warning may write together. Default 8 MiB; nil: no limit.
    public var bytesPerSecond: Int?
    /// The same for trace and debug. Default 2 MiB; nil: no limit.
    public var verboseBytesPerSecond: Int?

    public init(
        rules: [Logger.Level: Rule] = [:], key: Key = .callSite, bytesPerSecond: Int? = 8 << 20,
        verboseBytesPerSecond: Int? = 2 << 20
    ) {
        self.rules = rules
        self.key = key
        self.bytesPerSecond = bytesPerSecond
        self.verboseBytesPerSecond = verboseBytesPerSecond
    }

    /// Every record is written as long as the disk takes it.
    public static var none: Sampling { Sampling(bytesPerSecond: nil, verboseBytesPerSecond: nil) }
}
