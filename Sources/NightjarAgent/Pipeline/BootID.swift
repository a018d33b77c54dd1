import Glibc

/// Which boot this is: start times of processes are only comparable within one.
enum BootID {
    /// The kernel's id without dashes, or `unknown` where there is none (an old recording of /proc).
    static func read(proc: String) -> String {
        let descriptor = open("\(proc)/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return "unknown" }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 64)
        let count = Glibc.read(descriptor, &bytes, bytes.count)
        let text = bytes.prefix(max(0, count)).filter { $0 != 10 && $0 != 45 }
        return text.isEmpty ? "unknown" : String(decoding: text, as: UTF8.self)
    }
}
