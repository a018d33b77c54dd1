// Which pages of the target exist. Reading a page that was never touched would make the kernel map one, and reading a
// swapped page would bring it in; /proc/PID/pagemap tells beforehand. It needs the right to trace and, for a stranger,
// CAP_DAC_READ_SEARCH as well: where it cannot be read we go on without it and skip only what is absurdly large.

import Glibc

/// Tells which pages are in memory.
protocol TouchedPages {
    /// For `count` pages from `address` on: true where the page is not in memory. Empty where it cannot be told.
    func untouched(from address: UInt64, count: Int) -> [Bool]
    /// The first page in memory at or after `address`, at most `end`.
    func firstTouched(from address: UInt64, to end: UInt64) -> UInt64
    /// The first page not in memory at or after `address`, at most `end`.
    func firstUntouched(from address: UInt64, to end: UInt64) -> UInt64
}

/// `/proc/PID/pagemap`: eight bytes a page, bit 63 = in memory, bit 62 = swapped.
final class Pagemap: TouchedPages {
    private let descriptor: Int32
    private static let window = 8192

    init?(pid: Int32, procRoot: String) {
        descriptor = open("\(procRoot)/\(pid)/pagemap", O_RDONLY | O_CLOEXEC)
        if descriptor < 0 { return nil }
    }

    deinit { close(descriptor) }

    private func entries(from address: UInt64, count: Int) -> [UInt64] {
        [UInt64](unsafeUninitializedCapacity: count) { buffer, initialized in
            initialized = max(0, pread(descriptor, buffer.baseAddress, count * 8, off_t(address / 4096 * 8)) / 8)
        }
    }

    func untouched(from address: UInt64, count: Int) -> [Bool] {
        let found = entries(from: address, count: count)
        return found.count == count ? found.map { $0 >> 63 == 0 } : []
    }

    func firstTouched(from address: UInt64, to end: UInt64) -> UInt64 { first(true, from: address, to: end) ?? address }

    func firstUntouched(from address: UInt64, to end: UInt64) -> UInt64 { first(false, from: address, to: end) ?? end }

    /// Nil where it cannot be told.
    private func first(_ present: Bool, from address: UInt64, to end: UInt64) -> UInt64? {
        var at = address
        while at < end {
            let count = Int(min(UInt64(Self.window), (end - at + 4095) / 4096))
            let found = entries(from: at, count: count)
            if found.count < count { return nil }
            if let index = found.firstIndex(where: { ($0 >> 63 != 0) == present }) {
                return min(end, at + UInt64(index) * 4096)
            }
            at += UInt64(count) * 4096
        }
        return end
    }
}
