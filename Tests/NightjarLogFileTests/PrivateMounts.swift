import Foundation
import Synchronization
import Testing

/// A thread with a mount namespace of its own: what it mounts nobody else sees, and it is gone with its threads, so also
/// when a test fails. Threads that it starts (the log's writer) live in the same namespace.
enum PrivateMounts {
    private typealias Unshare = @convention(c) (Int32) -> Int32
    private typealias Mount =
        @convention(c) (UnsafePointer<CChar>?, UnsafePointer<CChar>, UnsafePointer<CChar>?, UInt, UnsafePointer<CChar>?)
        -> Int32

    private static func function<T>(_ name: String, as type: T.Type) -> T {
        unsafeBitCast(dlsym(UnsafeMutableRawPointer(bitPattern: 0), name), to: type)
    }

    private static func enter() -> Bool {
        let newNamespace: Int32 = 0x0002_0000
        let recursivePrivate: UInt = 1 << 14 | 1 << 18
        return function("unshare", as: Unshare.self)(newNamespace) == 0
            && function("mount", as: Mount.self)("none", "/", nil, recursivePrivate, nil) == 0
    }

    /// Whether this process may mount at all.
    static let areAllowed: Bool = {
        guard geteuid() == 0 else { return false }
        return run { mount("tmpfs", "none", "/mnt", "size=64k") } ?? false
    }()

    static let reason: Comment = "needs root and mount namespaces"

    static func mount(_ type: String, _ source: String, _ target: String, _ options: String, flags: UInt = 0) -> Bool {
        function("mount", as: Mount.self)(source, target, type, flags, options) == 0
    }

    /// nil where the namespace cannot be had.
    static func run<T: Sendable>(_ body: @escaping @Sendable () -> T) -> T? {
        let result = Mutex<T?>(nil)
        let done = DispatchSemaphore(value: 0)
        let thread = Thread {
            if enter() {
                let value = body()
                result.withLock { $0 = value }
            }
            done.signal()
        }
        thread.stackSize = 8 << 20
        thread.start()
        done.wait()
        return result.withLock { $0 }
    }

    /// Runs a shell command in the caller's namespace.
    static func shell(_ command: String) -> Bool { system(command + " >/dev/null 2>&1") == 0 }
}

/// A file system of one test.
enum SmallDisk: String, Sendable, CaseIterable, CustomTestStringConvertible {
    case tmpfs, ext4

    var testDescription: String { rawValue }

    /// Mounts it. Only inside `PrivateMounts.run`.
    func mount(at path: String, mebibytes: Int) -> Bool {
        mkdir(path, 0o755)
        switch self {
        case .tmpfs: return PrivateMounts.mount("tmpfs", "none", path, "size=\(mebibytes)m")
        case .ext4:
            let image = path + ".img"
            return PrivateMounts.shell(
                """
                truncate -s \(mebibytes)M \(image) && mkfs.ext4 -q -m 0 -O ^has_journal \(image) \
                && mount -o loop \(image) \(path)
                """)
        }
    }
}

/// Writes zeros until nothing more fits, as a foreign process would. Returns the bytes.
@discardableResult func fillUp(_ path: String) -> Int {
    let fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0o644)
    defer { close(fd) }
    var block = [UInt8](repeating: 0, count: 65_536)
    var sum = 0
    while block.count > 0 {
        let count = write(fd, block, block.count)
        if count > 0 { sum += count } else { block.removeLast(max(1, block.count / 2)) }
    }
    return sum
}
