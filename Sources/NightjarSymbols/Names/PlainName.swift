// Names of C, C++ and Rust, as far as a stack needs them: which function, without its parameters.
//
//     _ZN5swift9TaskGroup5offerEPNS_9AsyncTaskE      swift::TaskGroup::offer
//     _ZN4core3ptr9drop_in17h0123456789abcdefE       core::ptr::drop_in
//     clock_nanosleep@@GLIBC_2.17                    clock_nanosleep
//
// Templates and substitutions are left mangled: a whole demangler is not worth its weight in other people's services.

enum PlainName {
    private static let most = 32

    /// The readable form of a symbol that is not Swift's; the symbol itself where there is none.
    static func of(_ symbol: String) -> String {
        if let nested = nested(symbol) { return nested }
        guard let version = symbol.firstIndex(of: "@"), version != symbol.startIndex else { return symbol }
        return String(symbol[..<version])
    }

    /// `_ZN` … `E`, or `_Z` and one name: lengths with names behind them.
    private static func nested(_ symbol: String) -> String? {
        let bytes = Array(symbol.utf8)
        guard bytes.starts(with: "_Z".utf8) else { return nil }
        let isNested = bytes.count > 2 && bytes[2] == UInt8(ascii: "N")
        var at = isNested ? 3 : 2
        while isNested, at < bytes.count, "KVrRO".utf8.contains(bytes[at]) { at += 1 }
        var parts: [String] = []
        while at < bytes.count, parts.count < most, let part = part(bytes, &at) {
            parts.append(part)
            if !isNested { break }
        }
        guard !parts.isEmpty, !isNested || at < bytes.count && bytes[at] == UInt8(ascii: "E") else { return nil }
        // Rust's last part is a hash.
        if let last = parts.last, parts.count > 1, last.utf8.count == 17, last.hasPrefix("h"),
            last.dropFirst().allSatisfy(\.isHexDigit)
        {
            parts.removeLast()
        }
        return parts.joined(separator: "::")
    }

    private static func part(_ bytes: [UInt8], _ at: inout Int) -> String? {
        var length = 0
        var end = at
        while end < bytes.count, bytes[end] >= 0x30, bytes[end] <= 0x39, length < 10_000 {
            length = length * 10 + Int(bytes[end] - 0x30)
            end += 1
        }
        guard end > at, length > 0, length <= bytes.count - end else { return nil }
        let name = String(decoding: bytes[end..<end + length], as: UTF8.self)
        at = end + length
        return name == "_GLOBAL__N_1" ? "(anonymous)" : name
    }
}
