/// Builds `4242/stat` in place: paths below `/proc` without a String or an allocation.
struct ProcPath: ~Copyable {
    private let buffer: UnsafeMutablePointer<CChar>
    private static let capacity = 48

    init() { buffer = .allocate(capacity: Self.capacity) }

    deinit { buffer.deallocate() }

    /// Valid until the next call. `file` begins with a slash and has at most 32 bytes.
    @inline(__always)
    func of(_ pid: Int32, _ file: StaticString) -> UnsafePointer<CChar> {
        precondition(file.utf8CodeUnitCount <= 32, "a file name below /proc/PID is short")
        var digits = 1
        var rest = pid
        while rest >= 10 {
            rest /= 10
            digits &+= 1
        }
        rest = pid
        for place in stride(from: digits &- 1, through: 0, by: -1) {
            buffer[place] = CChar(48 &+ rest % 10)
            rest /= 10
        }
        let source = UnsafeRawPointer(file.utf8Start).assumingMemoryBound(to: CChar.self)
        (buffer + digits).update(from: source, count: file.utf8CodeUnitCount)
        buffer[digits &+ file.utf8CodeUnitCount] = 0
        return UnsafePointer(buffer)
    }
}
