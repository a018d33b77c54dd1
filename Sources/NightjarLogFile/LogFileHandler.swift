public import Logging

/// Writes the records of one logger to a ``LogFile``. Made by ``LogFile/handler(label:metadataProvider:)``.
///
/// Metadata of the handler is encoded once when it is set, not for each line. Where a key stands in several places the
/// call's own wins over the provider's, and that over the handler's.
public struct LogFileHandler: LogHandler {
    /// Keeps the log open as long as there is a logger for it.
    private let file: LogFile
    let core: LogCore
    private let override: LevelOverride
    let label: String
    let labelHash: UInt64
    private var ownLevel: Logger.Level
    var prefix: RecordEncoder.Prefix

    /// Asked once for each record that is written, on the caller's thread.
    public var metadataProvider: Logger.MetadataProvider?

    /// The logger's own metadata, on every line of it.
    public var metadata: Logger.Metadata = [:] {
        didSet { prefix = core.encoder.prefix(label: label, metadata: metadata) }
    }

    /// The logger's own level, or a lower one while ``LogFile/overrideLevel(_:for:)`` is in force.
    public var logLevel: Logger.Level {
        get { override.effective(ownLevel) }
        set { ownLevel = newValue }
    }

    init(file: LogFile, label: String, metadataProvider: Logger.MetadataProvider?) {
        self.file = file
        core = file.core
        override = file.core.override
        self.label = label
        self.metadataProvider = metadataProvider
        ownLevel = file.core.settings.level
        prefix = core.encoder.prefix(label: label, metadata: [:])
        var text = label
        labelHash = text.withUTF8 { hashed($0, seed: 1) }
    }

    /// One value of the logger's own metadata.
    public subscript(metadataKey key: String) -> Logger.MetadataValue? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    /// Called by the logger for a record whose level passed. Never waits for a disk, never fails.
    public func log(event: LogEvent) { core.log(event, self) }
}
