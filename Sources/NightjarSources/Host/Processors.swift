import Glibc

/// How many processors the host has.
enum Processors {
    /// `/sys/devices/system/cpu/online`, `0-3,5`; where it is missing, what sysconf says.
    static func online(sys: String) -> Int {
        let fallback = max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
        guard let folder = try? Directory("\(sys)/devices/system/cpu", capacity: 4096) else { return fallback }
        let count = folder.readWhole("online")
        guard count > 0, let number = Self.count(of: folder.bytes(count).span) else { return fallback }
        return number
    }

    /// Members of a list of ranges. Nil where it is none.
    static func count(of list: borrowing ByteSpan) -> Int? {
        var total = 0
        var position = 0
        while position < list.count, list[position] != newline {
            guard let first = number(list, &position) else { return nil }
            var last = first
            if position < list.count, list[position] == UInt8(ascii: "-") {
                position += 1
                guard let end = number(list, &position), end >= first else { return nil }
                last = end
            }
            guard last - first < 1 << 16 else { return nil }
            total += Int(last - first) + 1
            if position < list.count, list[position] == UInt8(ascii: ",") { position += 1 } else { break }
        }
        return total > 0 ? total : nil
    }
}
