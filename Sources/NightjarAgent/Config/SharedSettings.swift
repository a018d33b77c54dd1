import NightjarDetectors
import NightjarModel
import Synchronization

/// Settings by subject for parts that keep their own reference: one book behind a lock, replaced by a reload.
final class SharedSettings: Sendable {
    private let book: Mutex<SettingsBook>

    init(_ config: Config) { book = Mutex(SettingsBook(config)) }

    func apply(_ config: Config) { book.withLock { $0 = SettingsBook(config) } }

    func settings(for subject: Subject) -> DetectorSettings { book.withLock { $0.settings(for: subject) } }
}
