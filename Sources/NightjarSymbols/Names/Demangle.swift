// The Swift runtime knows how to read its own names; every Swift process carries it, static or dynamic.

import Glibc

@_silgen_name("swift_demangle")
private func runtimeDemangle(
    _ name: UnsafePointer<CChar>, _ length: Int, _ output: UnsafeMutablePointer<CChar>?,
    _ size: UnsafeMutablePointer<Int>?,
    _ flags: UInt32
) -> UnsafeMutablePointer<CChar>?

/// Names longer than this are not demangled: the runtime's demangler recurses, and this may run on a small stack.
private let longestMangledName = 4096

/// The Swift name behind a mangled one, in full; nil where it is no Swift symbol. A few µs.
public func demangle(_ mangled: String) -> String? {
    let bytes = mangled.utf8
    guard bytes.count <= longestMangledName, isSwiftSymbol(mangled) else { return nil }
    return mangled.withCString { name in
        guard let text = runtimeDemangle(name, bytes.count, nil, nil, 0) else { return nil }
        defer { free(text) }
        let demangled = String(cString: text)
        return demangled == mangled ? nil : demangled
    }
}

/// `$s…`, `$S…`, `$e…` and the older `_T0`.
func isSwiftSymbol(_ name: String) -> Bool {
    var bytes = name.utf8[...]
    if bytes.first == UInt8(ascii: "_") { bytes = bytes.dropFirst() }
    guard let first = bytes.first, let second = bytes.dropFirst().first else { return false }
    switch first {
    case UInt8(ascii: "$"): return [UInt8(ascii: "s"), UInt8(ascii: "S"), UInt8(ascii: "e")].contains(second)
    case UInt8(ascii: "T"): return second == UInt8(ascii: "0")
    default: return false
    }
}
