// Captures and fields name their types by mangled strings that hold *symbolic references*: a byte 0x01…0x1f followed by
// a relative address of a descriptor. Each is written out as the ordinary mangling of what it points to
// (`4main7RequestC`), and the whole goes to the runtime's demangler.

import NightjarSymbols

extension SwiftMetadata {
    static let longestMangling = 1024

    /// The readable form of the mangled type at `address`; nil where it cannot be read.
    func mangledType(at address: UInt64) -> String? {
        guard let text = expandedMangling(at: address) else { return nil }
        return demangledType(text).map(Self.cut)
    }

    private func expandedMangling(at address: UInt64) -> String? {
        var out: [UInt8] = []
        var at = address
        while out.count < Self.longestMangling {
            guard let byte = cache.byte(at: at) else { return nil }
            switch byte {
            case 0:
                return String(validating: out, as: UTF8.self)
            case 1, 2:
                guard let target = reference(at: at + 1, indirect: byte == 2), let mangled = contextMangling(target)
                else {
                    return nil
                }
                out += mangled.utf8
                at += 5
            case 3...0x17:
                return nil  // Accessor functions and other forms that only the process itself can follow.
            case 0x18...0x1f:
                at += 9
                return nil
            default:
                out.append(byte)
                at += 1
            }
        }
        return nil
    }

    private func reference(at address: UInt64, indirect: Bool) -> UInt64? {
        guard let target = cache.relative(address) else { return nil }
        return indirect ? cache.word(target) : target
    }

    /// `4main5OuterV5InnerC`: the module, then each type with the letter of its kind. Private discriminators are left out.
    private func contextMangling(_ descriptor: UInt64) -> String? {
        guard let path = contextPath(descriptor), path.count >= 2 else { return nil }
        var letters: [String] = []
        var at: UInt64? = descriptor
        while let here = at, letters.count < path.count - 1, let kind = contextKind(here) {
            switch kind {
            case .class: letters.append("C")
            case .struct: letters.append("V")
            case .enum: letters.append("O")
            case .protocol: letters.append("_p")
            default: break
            }
            at = cache.relativeIndirectable(here + 4)
        }
        guard letters.count == path.count - 1 else { return nil }
        func piece(_ name: String) -> String { "\(name.utf8.count)\(name)" }
        if letters == ["_p"] { return piece(path[0]) + piece(path[1]) }
        return piece(path[0]) + zip(path.dropFirst(), letters.reversed()).map { piece($0) + $1 }.joined()
    }

    private func demangledType(_ mangled: String) -> String? {
        let symbol = "$s\(mangled)D"
        guard let text = demangle(symbol), text != symbol else { return nil }
        return text
    }
}
